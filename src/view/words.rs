//! Numbers, spans of time and foreign text, as people read them.

use std::time::Duration;

use crate::domain::{clean, clip, is_printable};

/// `25000` as `25,000`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How many of those that the servers accepted a reading has shown to hold; nothing where none was
/// read.
pub(super) fn verified(ok: u64, verified: u64) -> Option<String> {
    match verified {
        0 => None,
        all if all == ok => Some("all verified".to_owned()),
        some => Some(format!("{} verified", count(some))),
    }
}

/// `1 row`, `2 rows`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A span with two units at most: `45s`, `12m 30s`, `2h 05m`, `3d 04h`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_millis() >= 500));
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// A short wait, to the tenth of a second below ten seconds.
pub(super) fn wait(wait: Duration) -> String {
    if wait < Duration::from_secs(10) { format!("{:.1}s", wait.as_secs_f64()) } else { span(wait) }
}

/// `9.8/s`, `250/s`.
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 9.95 {
        format!("{}/s", count(per_second.round() as u64))
    } else {
        format!("{per_second:.1}/s")
    }
}

/// Foreign text fit to stand on our lines. It should have been cleaned on the way in; that is no
/// reason to trust it here.
pub(super) fn shown(text: &str, max: usize) -> String {
    clip(&clean(text), max)
}

/// As [`shown`], where `max` counts the ellipsis too: for cells of a table.
pub(super) fn cell(text: &str, max: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= max { text } else { clip(&text, max.saturating_sub(1)) }
}

/// A text whose blanks matter, such as a command, with nothing in it that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect()
}

/// Breaks text at blanks into lines of at most `width` characters; the lines after the first begin
/// with `indent` blanks. A word that is longer than a line has a line of its own, uncut.
pub(super) fn wrap(text: &str, indent: usize, width: usize) -> String {
    let (first, text) = text.split_at(text.len() - text.trim_start_matches(' ').len());
    let mut out = first.to_owned();
    let mut column = first.len();
    let mut begins = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !begins && column + 1 + length > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !begins {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        begins = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (25_000, "25,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(0, "row", "rows"), "0 rows");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 00s"),
            (3599, "59m 59s"),
            (3600, "1h 00m"),
            (86399, "23h 59m"),
            (86400, "1d 00h"),
            (277_200, "3d 05h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(wait(Duration::from_millis(1540)), "1.5s");
        assert_eq!(wait(Duration::from_secs(30)), "30s");
        assert_eq!(rate(9.84), "9.8/s");
        assert_eq!(rate(1234.4), "1,234/s");
    }

    #[test]
    fn a_clipped_cell_is_never_wider_than_asked() {
        assert_eq!(cell("web01.example.net", 8), "web01.e…");
        assert_eq!(cell("web01", 5), "web01");
        assert_eq!(cell("a\u{1b}[2Jb", 10), "a [2Jb");
    }

    #[test]
    fn a_printable_text_keeps_its_blanks() {
        assert_eq!(printable("a  'b'\u{1b}[2J\n"), "a  'b'\u{fffd}[2J\u{fffd}");
    }

    #[test]
    fn wrapped_lines_hang_under_the_first() {
        assert_eq!(wrap("  aa bb cc dd", 4, 9), "  aa bb\n    cc dd");
        assert_eq!(wrap("word", 4, 9), "word");
        assert_eq!(wrap("a muchtoolongword b", 2, 6), "a\n  muchtoolongword\n  b");
    }
}
