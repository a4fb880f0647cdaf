//! What each error class means and what to do about it, for somebody who is woken by it.
//!
//! Only what is known is said: the meaning as this program judged it, and the next step. `resume`
//! takes up what was not attempted without being asked; what ended otherwise is taken up with
//! `--retry CLASS`, which is named wherever it may be needed.

use crate::domain::ErrorClass;

/// Two short texts about one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guidance {
    /// What has happened.
    pub meaning: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// The texts for a class.
pub const fn guidance(class: ErrorClass) -> Guidance {
    let (meaning, advice) = match class {
        ErrorClass::InvalidRow => (
            "the row cannot be read as an operation",
            "the error column of results.csv says why; correct those rows and run them",
        ),
        ErrorClass::Protected => {
            ("`protect` in the configuration forbids touching it", "nothing to do, if that is as intended")
        }
        ErrorClass::NoServer => (
            "no configured server has the domain",
            "correct the domain, or add the server and resume with --retry no_server --config FILE",
        ),
        ErrorClass::AmbiguousServer => (
            "more than one server has the domain",
            "say which by `domains` in the configuration, then resume --retry ambiguous_server --config FILE",
        ),
        ErrorClass::Unrouted => (
            "a server that may have the domain did not say",
            "see with `mailsweep check` why it is silent, then resume (--config FILE if you change that)",
        ),
        ErrorClass::Moved => {
            ("the recorded account no longer has the domain", "resume with --retry moved to look for it anew")
        }
        ErrorClass::ServerInUse => (
            "another run was using the server",
            "let that one end (`mailsweep runs`), then resume; --wait waits for it",
        ),
        ErrorClass::Excluded => ("left out by your own selection", "nothing to do, if that is as intended"),
        ErrorClass::NoSuchMailbox => (
            "the server says that there is no such mailbox",
            "check the spelling, the account (--user), and whether it was deleted",
        ),
        ErrorClass::NotPermitted => (
            "the account or the credential lacks the feature or the right",
            "have it granted, then resume with --retry not_permitted",
        ),
        ErrorClass::Api => (
            "the server refused, for a reason of its own",
            "its words are in the error column; mend the cause, then resume with --retry api",
        ),
        ErrorClass::NotApplied => (
            "the server accepted the call, but the mailbox did not change",
            "look at one of them on the server, then resume with --retry not_applied",
        ),
        ErrorClass::NoState => (
            "the state could not be read, and --require-state asks for it",
            "find out why it cannot be read, then resume",
        ),
        ErrorClass::NoPriorState => {
            ("the state before the run is not known, so nothing was put back", "decide these one by one")
        }
        ErrorClass::NeedsRelease => (
            "undoing a hold would send the mail that is queued",
            "if it may be sent, undo again with --release-held",
        ),
        ErrorClass::MaxChanges => (
            "more would change than --max-changes allows; nothing was changed",
            "check the input; if it is right, resume with a larger --max-changes",
        ),
        ErrorClass::Drifted => {
            ("the state is no longer what the plan saw", "find out who changed it, then make a new plan")
        }
        ErrorClass::Undone => ("taken back by a later undo", "nothing to do"),
        ErrorClass::Auth => (
            "the server refused the credential (401 or 403)",
            "put a new token where the old one was, then resume; a wrong user or server: start a new run",
        ),
        ErrorClass::Tls => (
            "the certificate or the TLS handshake is not sound",
            "mend the certificate, or what is trusted, then resume (--config FILE if you change that)",
        ),
        ErrorClass::Connect => (
            "no connection could be made, or it was lost",
            "check the server, the name and the network, then resume; --retry connect for those that failed",
        ),
        ErrorClass::Timeout => (
            "no whole answer came in time",
            "resume, with --retry timeout for those that ended, perhaps with fewer --jobs or a longer --timeout",
        ),
        ErrorClass::Http => (
            "the answer had an HTTP status that is not success",
            "see http_status and error in results.csv, then resume with --retry http",
        ),
        ErrorClass::BadAnswer => (
            "the answer was not one of the API's",
            "check URL, port and any proxy between; then resume, with --retry bad_answer for those that failed",
        ),
        ErrorClass::Throttled => (
            "the server asked for fewer requests (429 or 503)",
            "resume later with --retry throttled and a lower --rate",
        ),
        ErrorClass::ErrorBudget => (
            "too many operations had failed (--max-errors); the rest was left",
            "see why those failed before you resume",
        ),
        ErrorClass::Interrupted => ("the run was stopped before their turn", "resume"),
    };
    Guidance { meaning, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_short_text_and_an_advice() {
        for class in ErrorClass::ALL {
            let Guidance { meaning, advice } = guidance(*class);
            for text in [meaning, advice] {
                assert!(!text.is_empty() && text.chars().count() <= 100, "{class}: {text}");
                assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{class}: {text}");
            }
        }
    }

    #[test]
    fn what_is_to_be_retried_is_named_by_its_own_class() {
        for class in ErrorClass::ALL {
            let advice = guidance(*class).advice;
            if let Some((_, rest)) = advice.split_once("--retry ") {
                let named: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert_eq!(named, class.word());
            }
        }
    }
}
