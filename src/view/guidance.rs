//! What each error class means and what to do about it, for somebody who is woken by it.
//!
//! Only what is known is said: the meaning as this program judged it, and the next step. `resume`
//! takes up what was not attempted without being asked; what ended otherwise is taken up with
//! `--retry CLASS`, which is named wherever it may be needed. These texts stand in the summary, in
//! `status`, in `help errors` and in README; there is no other place for them.

use crate::domain::ErrorClass;

use super::terminal::Style;
use super::words::wrap;

/// Two short texts about one class, and the command that takes its operations up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guidance {
    /// What has happened.
    pub meaning: &'static str,
    /// What to do; before the command, if there is one. Empty where the command is all.
    pub first: &'static str,
    /// The command.
    pub next: Next,
}

/// What takes the operations of a class up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, and nothing needs to.
    Nothing,
    /// Nothing: somebody has to decide.
    Decide,
    /// `resume`.
    Resume,
    /// `resume`, which waits for the server.
    Wait,
    /// `resume --retry` with the class.
    Retry,
    /// The same with the configuration as it is then.
    RetryConfigured,
}

impl Next {
    /// The flags that `resume` needs; `None` where it is of no use.
    pub fn flags(self, class: ErrorClass) -> Option<Vec<&'static str>> {
        match self {
            Next::Nothing | Next::Decide => None,
            Next::Resume => Some(Vec::new()),
            Next::Wait => Some(vec!["--wait", "10m"]),
            Next::Retry => Some(vec!["--retry", class.word()]),
            Next::RetryConfigured => Some(vec!["--retry", class.word(), "--config", "FILE"]),
        }
    }
}

impl Guidance {
    /// The same for operations that were not attempted: `resume` takes these up unasked.
    pub fn of_left(self) -> Guidance {
        let next = if self.next == Next::Retry { Next::Resume } else { self.next };
        Guidance { next, ..self }
    }

    /// What to do, as one text: `correct the name, then resume with --retry moved`.
    pub fn advice(&self, class: ErrorClass) -> String {
        let Some(flags) = self.next.flags(class) else { return self.first.to_owned() };
        let then = if self.first.is_empty() { "" } else { ", then " };
        let with = if flags.is_empty() { "" } else { " with " };
        format!("{}{then}resume{with}{}", self.first, flags.join(" "))
    }
}

/// The texts for a class.
pub const fn guidance(class: ErrorClass) -> Guidance {
    let (meaning, first, next) = match class {
        ErrorClass::InvalidRow => (
            "the row cannot be read as an operation",
            "the error column of results.csv says why; correct those rows and run them",
            Next::Decide,
        ),
        ErrorClass::Protected => (
            "`protect` in the configuration forbids touching it",
            "nothing to do, if that is as intended",
            Next::Nothing,
        ),
        ErrorClass::NoServer => (
            "every server was heard, and none has the domain",
            "add the server to the configuration",
            Next::RetryConfigured,
        ),
        ErrorClass::AmbiguousServer => (
            "more than one server or account has the domain",
            "say which with `domains` in the configuration",
            Next::RetryConfigured,
        ),
        ErrorClass::Unrouted => (
            "a server that may have the domain did not say",
            "its reason stands where its halt is told; mend that",
            Next::Resume,
        ),
        ErrorClass::Moved => ("the account no longer has the domain", "", Next::Retry),
        ErrorClass::ServerInUse => (
            "another run was using the server",
            "`mailsweep runs` shows it; it can be waited for",
            Next::Wait,
        ),
        ErrorClass::Excluded => (
            "left out by --only, --except, --servers, --except-servers or --shard",
            "nothing to do: it counts as no failure",
            Next::Nothing,
        ),
        ErrorClass::NoSuchMailbox => (
            "the server says that there is no such mailbox",
            "check the spelling, the account (--user), and whether it was deleted",
            Next::Nothing,
        ),
        ErrorClass::NotPermitted => {
            ("the account or the credential lacks the feature or the right", "have it granted", Next::Retry)
        }
        ErrorClass::Api => (
            "the server refused, for a reason of its own",
            "its words are in the error column; mend the cause",
            Next::Retry,
        ),
        ErrorClass::NotApplied => (
            "the server accepted the call, but the mailbox was not so afterwards",
            "look at one there, and in `mailsweep history` why it changed",
            Next::Retry,
        ),
        ErrorClass::NoState => (
            "the state could not be read, and --require-state asks for it",
            "find out why it cannot be read",
            Next::Resume,
        ),
        ErrorClass::NoPriorState => (
            "the state before the run is not known, so nothing was put back",
            "decide these one by one",
            Next::Decide,
        ),
        ErrorClass::NeedsRelease => (
            "undoing a hold would send the mail that is queued",
            "if it may be sent, undo again with --release-held",
            Next::Decide,
        ),
        ErrorClass::MaxChanges => (
            "more would change than --max-changes allows; nothing was changed",
            "check the input; if it is right, allow more with --max-changes N",
            Next::Resume,
        ),
        ErrorClass::Drifted => (
            "the state is no longer what the plan saw",
            "find out who changed it, then make a new plan",
            Next::Decide,
        ),
        ErrorClass::Undone => ("taken back by a later undo", "nothing to do", Next::Nothing),
        ErrorClass::Auth => (
            "the server refused the credential (401 or 403)",
            "put a new token in its place (a wrong --user or --server needs a new run)",
            Next::Resume,
        ),
        ErrorClass::Tls => (
            "the certificate or the TLS handshake is not sound",
            "correct the certificate, or use the name that it is made out to",
            Next::Resume,
        ),
        ErrorClass::Connect => (
            "no connection could be made, or it was lost",
            "check server, name and network (a wrong --server needs a new run)",
            Next::Retry,
        ),
        ErrorClass::Timeout => {
            ("no whole answer came in time", "give fewer --jobs or a longer --timeout", Next::Retry)
        }
        ErrorClass::Http => (
            "the answer had an HTTP status that is not success",
            "see http_status and error in results.csv",
            Next::Retry,
        ),
        ErrorClass::BadAnswer => (
            "the answer was not the API's: a login or firewall page, cut-off JSON",
            "check URL, port and what stands between",
            Next::Retry,
        ),
        ErrorClass::Throttled => (
            "the server asked for fewer requests (429 or 503)",
            "wait a while, and give a lower --rate",
            Next::Retry,
        ),
        ErrorClass::ErrorBudget => (
            "too many operations had failed (--max-errors); the rest was left",
            "see why those failed",
            Next::Resume,
        ),
        ErrorClass::Interrupted => ("the run was stopped before or during it", "", Next::Resume),
    };
    Guidance { meaning, first, next }
}

/// All of it, for `mailsweep help errors`, ending with a line break.
pub fn error_classes(style: Style, width: usize) -> String {
    let mut out = wrap(INTRODUCTION, 0, width);
    out.push_str("\n\n");
    ErrorClass::ALL.iter().for_each(|class| out.push_str(&error_class(*class, style, width)));
    out
}

/// The same for one class.
pub fn error_class(class: ErrorClass, style: Style, width: usize) -> String {
    let text = guidance(class);
    let mut out = style.bold(class.word());
    for line in [text.meaning, &text.advice(class)] {
        out.push('\n');
        out.push_str(&wrap(&format!("    {line}"), 4, width));
    }
    out.push('\n');
    out
}

const INTRODUCTION: &str = "What column error_class of results.csv says, what it means, and what to do. \
                            “resume” is mailsweep resume RUN_DIR; several classes go into one --retry, \
                            with commas between.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_short_text_and_an_advice() {
        for class in ErrorClass::ALL {
            let text = guidance(*class);
            for text in [text.meaning, &text.advice(*class)] {
                assert!(!text.is_empty() && text.chars().count() <= 110, "{class}: {text}");
                assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{class}: {text}");
            }
        }
    }

    #[test]
    fn an_advice_ends_with_what_to_type() {
        let advice = |class| guidance(class).advice(class);
        assert_eq!(advice(ErrorClass::Moved), "resume with --retry moved");
        assert_eq!(advice(ErrorClass::Interrupted), "resume");
        assert_eq!(
            advice(ErrorClass::NotPermitted),
            "have it granted, then resume with --retry not_permitted"
        );
        assert_eq!(advice(ErrorClass::Undone), "nothing to do");
        let left = guidance(ErrorClass::Connect).of_left().advice(ErrorClass::Connect);
        assert_eq!(left, "check server, name and network (a wrong --server needs a new run), then resume");
    }

    #[test]
    fn the_list_names_each_class_and_fits_its_place() {
        let list = error_classes(Style::PLAIN, 80);
        for class in ErrorClass::ALL {
            assert!(list.lines().any(|line| line == class.word()), "{class}");
        }
        assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
        assert!(list.ends_with('\n') && !list.ends_with("\n\n"));
    }
}
