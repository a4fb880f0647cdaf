//! The one question that is asked before anything is changed.

use std::io::{BufRead, Write};

/// No answer is longer; what is longer is no answer.
const MAX_ANSWER_BYTES: u64 = 1024;

/// Asks, and says whether the answer was yes: `y` or `yes` in any case, and nothing else. An end of
/// input, an error, or an empty line is a no.
pub fn ask(prompt: &str, input: impl BufRead, mut output: impl Write) -> bool {
    let asked = write!(output, "{prompt} [y/N] ").and_then(|()| output.flush());
    let mut answer = Vec::new();
    let read = input.take(MAX_ANSWER_BYTES).read_until(b'\n', &mut answer);
    if read.is_err() || !answer.ends_with(b"\n") {
        // The cursor still stands behind the question.
        let _ = writeln!(output);
    }
    // A question that could not be shown has not been answered.
    asked.is_ok() && read.is_ok() && is_yes(&answer)
}

fn is_yes(answer: &[u8]) -> bool {
    let answer = answer.trim_ascii();
    answer.eq_ignore_ascii_case(b"y") || answer.eq_ignore_ascii_case(b"yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", "Y\n", "yes\r\n", " YES \n", "y"] {
            assert!(ask("Go?", yes.as_bytes(), Vec::new()), "{yes:?}");
        }
        let long = "y".repeat(5000);
        for no in ["", "\n", "n\n", "ye\n", "yess\n", "no\ny\n", "j\n", "\u{fffd}\n", &long] {
            assert!(!ask("Go?", no.as_bytes(), Vec::new()), "{no:?}");
        }
        assert!(!ask("Go?", &b"\xff\xfe\n"[..], Vec::new()));
    }

    #[test]
    fn the_question_says_what_is_taken_for_an_empty_line() {
        let mut shown = Vec::new();
        ask("Send these 12 calls?", &b"n\n"[..], &mut shown);
        assert_eq!(shown, b"Send these 12 calls? [y/N] ");
    }

    #[test]
    fn a_question_nobody_saw_is_not_answered() {
        assert!(!ask("Go?", &b"y\n"[..], crate::view::testing::Broken));
    }
}
