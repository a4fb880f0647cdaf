//! Numbers, times and words as the page has them.

use std::time::Duration;

use crate::domain::{Channel, Flag, Status};
use crate::record::Stamp;
use crate::view::words::span;

/// A length of time as precise as it is short: `85 ms`, `3.8 s`, `12m 30s`.
pub fn took(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..59_950 => format!("{}.{} s", (ms + 50) / 1000, (ms + 50) % 1000 / 100),
        _ => span(Duration::from_millis(ms)),
    }
}

/// `2026-11-23T20:43:34.107Z` as `2026-11-23 20:43:34`; all times of a page are UTC.
pub fn moment(rfc3339: &str) -> String {
    match rfc3339.split_once('T') {
        Some((day, time)) => format!("{day} {}", time.get(..8).unwrap_or(time)),
        None => rfc3339.to_owned(),
    }
}

/// A moment of the record.
pub fn stamp(at: Stamp) -> String {
    moment(&at.to_string())
}

/// A part of a whole, in per cent: never `100 %` if something is lacking, nor `0 %` if it is not.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let per_mille = u128::from(part) * 1000 / u128::from(whole);
    match per_mille {
        0 if part > 0 => "< 0.1 %".to_owned(),
        1000 => "100 %".to_owned(),
        _ => format!("{}.{} %", per_mille / 10, per_mille % 10),
    }
}

/// What a status means, for somebody who has not read README.
pub const fn meaning(status: Status) -> &'static str {
    match status {
        Status::Ok => "called, and the server accepted it",
        Status::Unchanged => "was so already; no call was needed",
        Status::Failed => "called, and it did not succeed",
        Status::Unknown => "called, and whether it had effect is not known",
        Status::Invalid => "the row cannot be read as an operation",
        Status::Blocked => "not called: a rule or the routing forbids it",
        Status::Duplicate => "the same as an earlier operation of the input",
        Status::Superseded => "a later operation on the same mailbox has settled it",
        Status::NotAttempted => "not called, or only in vain",
        Status::Planned => "would be called",
    }
}

/// Which colour a status has; it always stands beside its word.
pub const fn tone(status: Status) -> &'static str {
    match status {
        Status::Ok | Status::Unchanged | Status::Duplicate | Status::Superseded | Status::Planned => "good",
        Status::Failed | Status::Blocked | Status::Invalid => "bad",
        Status::Unknown => "unclear",
        Status::NotAttempted => "left",
    }
}

/// The channel of a flag.
pub const fn channel(flag: Flag) -> Channel {
    match flag {
        Flag::Login => Channel::Login,
        Flag::Incoming => Channel::Incoming,
        Flag::Outgoing | Flag::Held => Channel::Outgoing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_time_is_told_precisely_and_a_long_one_in_two_units() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (1049, "1.0 s"),
            (9950, "10.0 s"),
            (59_949, "59.9 s"),
            (59_950, "1m 00s"),
            (754_000, "12m 34s"),
        ] {
            assert_eq!(took(ms), text, "{ms}");
        }
    }

    #[test]
    fn a_share_is_whole_only_if_nothing_lacks() {
        for (part, whole, text) in [
            (0, 0, "–"),
            (0, 9, "0.0 %"),
            (9, 9, "100 %"),
            (1, 3, "33.3 %"),
            (999_999, 1_000_000, "99.9 %"),
            (1, 1_000_000, "< 0.1 %"),
        ] {
            assert_eq!(share(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn a_moment_has_its_day_and_its_time() {
        assert_eq!(moment("2026-11-23T20:43:34.107Z"), "2026-11-23 20:43:34");
        assert_eq!(moment("?"), "?");
    }
}
