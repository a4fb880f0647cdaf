//! What a spreadsheet makes of a cell when it opens a file and saves it again: leading zeros go,
//! numbers and dates take on the machine's own form, marks and line breaks change. A cell that may
//! have come about in this way is told apart from one that says something else. It is a courtesy to
//! whoever opened the file, and never evidence: what counts is the file's hash.

use std::borrow::Cow;

/// How a cell stands to what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    /// As a spreadsheet may have put it.
    Reformatted,
    Other,
}

/// The bytes of a cell as text: UTF-8, or what Western spreadsheets save instead.
pub(super) fn text(cell: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(cell) {
        Ok(text) => text.into(),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(cell).0,
    }
}

/// Compares a cell with what was written there.
pub(super) fn likeness(written: &str, found: &str) -> Likeness {
    if written == found {
        return Likeness::Same;
    }
    let (written, found) = (plain(written), plain(found));
    let is_alike = written == found
        || written.strip_prefix('\'') == Some(&*found)
        || is_same_truth(&written, &found)
        || is_same_number(&written, &found)
        || is_same_moment(&written, &found)
        || is_lossy(&written, &found);
    if is_alike { Likeness::Reformatted } else { Likeness::Other }
}

/// Without blanks around it, and with one kind of line break.
fn plain(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

fn is_same_truth(written: &str, found: &str) -> bool {
    matches!(written, "true" | "false") && written.eq_ignore_ascii_case(found)
}

/// Whether characters that the file's encoding lacks became question marks, and nothing else did.
fn is_lossy(written: &str, found: &str) -> bool {
    let (mut of_written, mut of_found) = (written.chars(), found.chars());
    loop {
        match (of_written.next(), of_found.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || (b == '?' && !a.is_ascii()) => {}
            _ => return false,
        }
    }
}

/// Whether both are the same number: `004711` and `4711`, `1234567890123` and `1,23457E+12`.
fn is_same_number(written: &str, found: &str) -> bool {
    let (Some(written), Some(found)) = (Number::read(written), Number::read(found)) else { return false };
    // A spreadsheet counts with fifteen digits; where it writes an exponent it shows fewer.
    let digits = if found.has_exponent { found.digits.min(15) } else { 15 };
    let unit = 10f64.powi(1 - digits);
    (written.value - found.value).abs() <= written.value.abs() * unit
}

struct Number {
    value: f64,
    digits: i32,
    has_exponent: bool,
}

impl Number {
    fn read(text: &str) -> Option<Number> {
        const LONGEST: usize = 40;
        if text.len() > LONGEST || !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
            return None;
        }
        let text = text.replace([' ', '\u{a0}', '\u{202f}', '\''], "");
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let mut digits = mantissa.chars().filter(char::is_ascii_digit).count();
        // The last of two kinds of marks is the decimal one; a mark of one kind may be either.
        let value = match (mantissa.rfind('.'), mantissa.rfind(',')) {
            (Some(dot), Some(comma)) if dot < comma => text.replace('.', "").replace(',', "."),
            (Some(_), Some(_)) => text.replace(',', ""),
            (None, Some(_)) if mantissa.matches(',').count() == 1 => text.replace(',', "."),
            (None, Some(_)) => text.replace(',', ""),
            _ => text.clone(),
        };
        let value: f64 = value.parse().ok()?;
        digits = digits.max(1);
        let has_exponent = text.len() > mantissa.len();
        value.is_finite().then_some(Number { value, digits: digits as i32, has_exponent })
    }
}

/// Whether both are the same day or moment: `2026-11-23T20:43:34.108Z` and `23.11.26 20:43`.
fn is_same_moment(written: &str, found: &str) -> bool {
    let Some(moment) = Moment::read(written) else { return false };
    let is_afternoon = found.to_ascii_lowercase().contains("pm");
    let groups: Option<Vec<i64>> =
        found.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).map(parse).collect();
    let Some(groups) = groups.filter(|groups| (3..=7).contains(&groups.len())) else { return false };
    let (date, time) = groups.split_at(3);
    let [year, month, day] = moment.date;
    let is_year = |group: i64| group == year || group == year % 100;
    let is_date = match *date {
        [a, b, c] if b == month => (is_year(a) && c == day) || (a == day && is_year(c)),
        [a, b, c] => a == month && b == day && is_year(c),
        _ => false,
    };
    let is_hour = |group: i64| {
        group == moment.time[0]
            || (group == (moment.time[0] + 11) % 12 + 1 && is_afternoon == (moment.time[0] >= 12))
    };
    let is_time = time.iter().enumerate().all(|(place, group)| match place {
        0 => is_hour(*group),
        _ => *group == moment.time[place],
    });
    is_date && is_time && time.len() != 1
}

/// Year, month, day; hour, minute, second, millisecond.
struct Moment {
    date: [i64; 3],
    time: [i64; 4],
}

impl Moment {
    /// Reads what this program and others write in full: `2026-11-23`, `2026-11-23T20:43:34.108Z`.
    fn read(text: &str) -> Option<Moment> {
        let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
        let date: Vec<i64> = date.split('-').map(parse).collect::<Option<_>>()?;
        let time = time.trim_end_matches('Z').split([':', '.']).filter(|group| !group.is_empty());
        let mut time: Vec<i64> = time.map(parse).collect::<Option<_>>()?;
        time.resize(4, 0);
        Some(Moment { date: date.try_into().ok()?, time: time.try_into().ok()? })
    }
}

fn parse(group: &str) -> Option<i64> {
    const LONGEST: usize = 9;
    (group.len() <= LONGEST).then(|| group.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_does_to_a_cell_is_not_taken_for_another_content() {
        for (written, found) in [
            ("004711", "4711"),
            ("200", "200,00"),
            ("1234567890123456", "1,23457E+15"),
            ("1234567890123456789", "1234567890123460000"),
            ("1234567", "1,234,567"),
            ("2026-11-23T20:43:34.108Z", "2026-11-23 20:43:34"),
            ("2026-11-23T20:43:34.108Z", "23.11.26 20:43"),
            ("2026-11-23T20:43:34.108Z", "11/23/2026 8:43 PM"),
            ("2026-11-23T00:03:34.108Z", "11/23/2026 12:03 AM"),
            ("2026-11-23", "23.11.2026"),
            ("true", "TRUE"),
            ("'=1+1", "=1+1"),
            ("two\r\nlines", "two\nlines"),
            ("a blank ", "a blank"),
            ("日本 mail", "?? mail"),
        ] {
            assert_eq!(likeness(written, found), Likeness::Reformatted, "{written} and {found}");
            assert_eq!(likeness(written, written), Likeness::Same);
        }
    }

    #[test]
    fn what_says_something_else_is_not_excused() {
        for (written, found) in [
            ("ok", "failed"),
            ("ok", ""),
            ("", "ok"),
            ("200", "201"),
            ("17", "1"),
            ("17", "1.7"),
            ("1234567", "1234568"),
            ("2026-11-23T20:43:34.108Z", "2026-11-23 20:44"),
            ("2026-11-23T20:43:34.108Z", "24.11.2026 20:43"),
            ("2026-11-23T20:43:34.108Z", "11/23/2026 8:43 AM"),
            ("anna@example.com", "ben@example.com"),
            ("web01", "web02"),
            ("'=1+1", "=1+2"),
            ("abc", "???"),
            ("suspend", "unsuspend"),
        ] {
            assert_eq!(likeness(written, found), Likeness::Other, "{written} and {found}");
        }
    }

    #[test]
    fn a_cell_that_is_no_utf8_is_read_as_western_spreadsheets_save_it() {
        assert_eq!(text(b"M\xfcller \x80"), "Müller €");
        assert_eq!(text("Müller".as_bytes()), "Müller");
    }
}
