//! What somebody on the telephone can read out to the owner of a mailbox: which of its ways are shut,
//! since when, and why one is not, in whole sentences and without our words.

use crate::domain::{ErrorClass, Flag};
use crate::record::{MailboxEnd, Mark, Stage};

/// The sentences for a mailbox. What a later run takes back is not told as if it stood; how that went
/// is told by that run's own workbook.
pub fn spoken(end: &MailboxEnd, is_undone: impl Fn(Flag) -> bool) -> String {
    let since = end.since().map(|at| {
        let text = at.to_string();
        let (day, time) = text.split_once('T').unwrap_or((&text, ""));
        format!("{day} {} UTC", time.get(..5).unwrap_or_default())
    });
    let mut sentences = Vec::new();
    for state in [SHUT, OPEN, HELD, SENT] {
        let done: Vec<&str> = end
            .marks()
            .filter(|(flag, mark)| mark.stage == Stage::Done && state_of(*flag, *mark) == state)
            .filter(|(flag, _)| !is_undone(*flag))
            .map(|(flag, _)| way(flag))
            .collect();
        let verb = match (done.len(), &since) {
            (0, _) => continue,
            (1, None) => "is",
            (1, Some(_)) => "has been",
            (_, None) => "are",
            (_, Some(_)) => "have been",
        };
        let since = since.as_deref().map(|since| format!(" since {since}")).unwrap_or_default();
        sentences.push(format!("{} {verb} {state}{since}.", sentence_case(&joined(&done))));
    }
    let undone: Vec<&str> =
        end.marks().filter(|(flag, _)| is_undone(*flag)).map(|(flag, _)| way(flag)).collect();
    if !undone.is_empty() {
        sentences.push(format!(
            "What was done about {} is being taken back: how it stands now, the report on that says.",
            joined(&undone)
        ));
    }
    let is_undone = &is_undone;
    let lacking = |stage| end.marks().filter(move |(flag, mark)| mark.stage == stage && !is_undone(*flag));
    for (flag, mark) in lacking(Stage::Undone) {
        let (what, state, because) = (sentence_case(way(flag)), state_of(flag, mark), because_of(mark));
        sentences.push(format!("{what} was to be {state}, and was not{because}."));
    }
    for (flag, mark) in lacking(Stage::Unclear) {
        let (what, state, because) = (way(flag), state_of(flag, mark), because_of(mark));
        sentences.push(format!("Whether {what} is {state} is not known{because}."));
    }
    sentences.join(" ")
}

const SHUT: &str = "shut";
const OPEN: &str = "open again";
const HELD: &str = "held back";
const SENT: &str = "let go";

fn state_of(flag: Flag, mark: Mark) -> &'static str {
    match (flag, mark.on) {
        (Flag::Held, true) => HELD,
        (Flag::Held, false) => SENT,
        (_, true) => SHUT,
        (_, false) => OPEN,
    }
}

const fn way(flag: Flag) -> &'static str {
    match flag {
        Flag::Login => "logging in",
        Flag::Incoming => "receiving mail",
        Flag::Outgoing => "sending mail",
        Flag::Held => "mail that is sent",
    }
}

fn because_of(mark: Mark) -> String {
    mark.class.map(|class| format!(", because {}", because(class))).unwrap_or_default()
}

fn joined(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Why something was not done, for somebody who has never heard of us.
const fn because(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::NoSuchMailbox => "the server has no mailbox of this name",
        ErrorClass::NotPermitted => "we lack the right to change it on that server",
        ErrorClass::Protected => "this mailbox is one that we never touch",
        ErrorClass::NoServer => "none of our servers has this domain",
        ErrorClass::AmbiguousServer => "more than one server has this domain",
        ErrorClass::Moved => "the domain has moved to another account",
        ErrorClass::Unrouted | ErrorClass::Connect | ErrorClass::Tls => "the server could not be reached",
        ErrorClass::Timeout | ErrorClass::BadAnswer | ErrorClass::Http => "the server gave no clear answer",
        ErrorClass::Throttled | ErrorClass::ServerInUse => "the server was busy",
        ErrorClass::Auth => "the server did not let us in",
        ErrorClass::Api | ErrorClass::NotApplied => "the server did not carry it out",
        ErrorClass::NoState | ErrorClass::NoPriorState | ErrorClass::Drifted => {
            "its state before is not known for certain"
        }
        ErrorClass::NeedsRelease => "it would send the mail that is waiting",
        ErrorClass::Undone => "it has been taken back since",
        ErrorClass::InvalidRow => "the request for it cannot be read",
        ErrorClass::Excluded => "it was left out on purpose",
        ErrorClass::MaxChanges | ErrorClass::ErrorBudget | ErrorClass::Interrupted => {
            "the work was stopped before its turn"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_words_without_ours() {
        for class in ErrorClass::ALL {
            let words = because(*class);
            assert!(words.len() > 10 && !words.ends_with('.'), "{words}");
            assert!(
                !words.contains("--")
                    && !words.contains('_')
                    && !words.contains('`')
                    && !words.contains("mailsweep"),
                "{words}"
            );
        }
    }

    #[test]
    fn several_ways_are_joined_as_they_are_spoken() {
        assert_eq!(joined(&["a"]), "a");
        assert_eq!(joined(&["a", "b", "c"]), "a, b and c");
        assert_eq!(sentence_case("logging in"), "Logging in");
    }
}
