//! A moment, as the records have it.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A moment in time: milliseconds since 1970 in UTC, written as RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Stamp(pub i64);

impl Stamp {
    /// The moment now, by the machine's clock.
    pub fn now() -> Stamp {
        Stamp(jiff::Timestamp::now().as_millisecond())
    }

    /// So many milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u32) -> Stamp {
        Stamp(self.0.saturating_add(i64::from(ms)))
    }

    /// Milliseconds from `earlier` to here; 0 if the clock went back.
    pub fn since(self, earlier: Stamp) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0).max(0)).unwrap_or(u32::MAX)
    }
}

/// A second up to its fraction, as in `2026-11-27T07:39:15`.
type Second = [u8; 19];

thread_local! {
    /// The second that was written last: of thousands of operations many are in the same one.
    static LAST: Cell<(i64, Second)> = const { Cell::new((i64::MIN, [0; 19])) };
}

/// A second of a year with four digits; not the last one of all, which the library has not whole.
fn second(seconds: i64) -> Option<Second> {
    let (last, text) = LAST.get();
    if last == seconds {
        return Some(text);
    }
    let begun =
        jiff::Timestamp::from_second(seconds).ok().filter(|_| seconds < jiff::Timestamp::MAX.as_second())?;
    let written = begun.to_string();
    let text = Second::try_from(written.strip_suffix('Z')?.as_bytes()).ok()?;
    LAST.set((seconds, text));
    Some(text)
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(second) = second(self.0.div_euclid(1000)) else {
            return match jiff::Timestamp::from_millisecond(self.0) {
                Ok(timestamp) => write!(f, "{timestamp:.3}"),
                Err(_) => f.write_str("?"),
            };
        };
        let mut text = *b"0000-00-00T00:00:00.000Z";
        text[..second.len()].copy_from_slice(&second);
        let mut ms = self.0.rem_euclid(1000);
        for digit in text[second.len() + 1..][..3].iter_mut().rev() {
            *digit += u8::try_from(ms % 10).unwrap_or_default();
            ms /= 10;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Stamp {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Stamp, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|timestamp| Stamp(timestamp.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_the_library(ms: i64) -> String {
        jiff::Timestamp::from_millisecond(ms).map_or("?".to_owned(), |at| format!("{at:.3}"))
    }

    #[test]
    fn moments_at_the_edges_are_written_as_the_library_writes_them() {
        const FIRST_OF_ALL: i64 = -377_705_023_201_000;
        const YEAR_0: i64 = -62_167_219_200_000;
        const LAST_OF_ALL: i64 = 253_402_207_200_999;
        for edge in [0, 1_000, YEAR_0, FIRST_OF_ALL, LAST_OF_ALL, i64::MIN + 2, i64::MAX - 2] {
            for ms in edge - 2..=edge + 2 {
                assert_eq!(Stamp(ms).to_string(), by_the_library(ms), "{ms}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_moment_is_written_as_the_library_writes_it_and_read_again(ms in -62_167_219_200_000i64..253_402_207_200_000, later in 0u32..3000) {
            for at in [Stamp(ms), Stamp(ms).plus(later), Stamp(ms)] {
                prop_assert_eq!(at.to_string(), by_the_library(at.0));
                let written = serde_json::to_string(&at).unwrap();
                prop_assert_eq!(&written, &format!("\"{at}\""));
                prop_assert_eq!(serde_json::from_str::<Stamp>(&written).unwrap(), at);
            }
        }
    }
}
