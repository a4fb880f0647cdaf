//! How much a run may change: the guard of a sweep whose list came from an export that may be broken.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `--max-changes`: how many operations may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MaxChanges {
    /// So many in the run.
    Count(u64),
    /// This share of the operations that would be called or are unchanged.
    Percent(u8),
}

/// How many operations change something, and how many find it so already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that change something, or may.
    pub changed: u64,
    /// Those that do not.
    pub unchanged: u64,
}

impl MaxChanges {
    /// Whether so many changes are too many; if so, in words, with the value that would pass.
    ///
    /// # Errors
    /// Those words.
    pub fn judge(self, changes: Changes) -> Result<(), String> {
        let Changes { changed, unchanged } = changes;
        let all = changed + unchanged;
        let (is_too_many, passes) = match self {
            MaxChanges::Count(most) => (changed > most, changed.to_string()),
            MaxChanges::Percent(percent) => {
                let share = (changed * 100).checked_div(all).unwrap_or(0);
                let share = share + u64::from(share * all < changed * 100);
                (changed * 100 > all * u64::from(percent), format!("{share}%"))
            }
        };
        if !is_too_many {
            return Ok(());
        }
        Err(format!(
            "{changed} of {all} operations would change something, more than --max-changes {self} allows, \
             so nothing was changed; look at the list first, then --max-changes {passes} lets it through"
        ))
    }

    /// The value that such words name as the one that lets it through.
    pub fn named_in(words: &str) -> Option<&str> {
        let (_, value) = words.rsplit_once("--max-changes ")?;
        let value = value.split(' ').next()?;
        value.parse::<MaxChanges>().is_ok().then_some(value)
    }
}

impl FromStr for MaxChanges {
    type Err = String;

    fn from_str(text: &str) -> Result<MaxChanges, String> {
        let fault = || format!("“{text}” is neither a number (such as 20) nor a share (such as 5%)");
        match text.strip_suffix('%') {
            Some(share) => match share.trim().parse() {
                Ok(percent @ 0..=100) => Ok(MaxChanges::Percent(percent)),
                _ => Err(fault()),
            },
            None => text.trim().parse().map(MaxChanges::Count).map_err(|_| fault()),
        }
    }
}

impl fmt::Display for MaxChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxChanges::Count(count) => write!(f, "{count}"),
            MaxChanges::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl From<MaxChanges> for String {
    fn from(most: MaxChanges) -> String {
        most.to_string()
    }
}

impl TryFrom<String> for MaxChanges {
    type Error = String;

    fn try_from(text: String) -> Result<MaxChanges, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(most: &str, changed: u64, unchanged: u64) -> bool {
        most.parse::<MaxChanges>().unwrap().judge(Changes { changed, unchanged }).is_ok()
    }

    #[test]
    fn so_many_may_change_and_not_one_more() {
        assert!(passes("20", 20, 0) && !passes("20", 21, 5000));
        assert!(passes("0", 0, 7) && !passes("0", 1, 7));
        assert!(passes("5%", 5, 95) && !passes("5%", 6, 94));
        assert!(passes("100%", 7, 0) && passes("0%", 0, 0) && !passes("0%", 1, 1_000_000));
    }

    #[test]
    fn the_value_that_it_names_would_pass() {
        for (most, changed, unchanged) in [("3", 17, 4), ("5%", 6, 94), ("5%", 1, 16), ("0%", 1, 2999)] {
            let most: MaxChanges = most.parse().unwrap();
            let words = most.judge(Changes { changed, unchanged }).unwrap_err();
            let value = MaxChanges::named_in(&words).unwrap();
            assert!(passes(value, changed, unchanged), "{words}");
        }
        assert_eq!(MaxChanges::named_in("more would change than --max-changes allows"), None);
    }

    #[test]
    fn nothing_else_is_a_guard() {
        for wrong in ["", "-1", "101%", "5 percent", "%", "1.5"] {
            assert!(wrong.parse::<MaxChanges>().is_err(), "{wrong}");
        }
    }
}
