//! A set of error classes, such as those that an operator tolerates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ErrorClass;

/// Some of the error classes. Written as a list of their words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<ErrorClass>", into = "Vec<ErrorClass>")]
pub struct Classes(u64);

impl Classes {
    /// None of them.
    pub const NONE: Classes = Classes(0);

    const fn bit(class: ErrorClass) -> u64 {
        1 << class as u32
    }

    /// These and one more.
    pub const fn with(self, class: ErrorClass) -> Classes {
        Classes(self.0 | Classes::bit(class))
    }

    /// Whether this one is among them; no class is in no set.
    pub fn has(self, class: Option<ErrorClass>) -> bool {
        class.is_some_and(|class| self.0 & Classes::bit(class) != 0)
    }

    /// All of them, in the contract's order.
    pub fn iter(self) -> impl Iterator<Item = ErrorClass> {
        ErrorClass::ALL.iter().copied().filter(move |class| self.has(Some(*class)))
    }
}

impl FromIterator<ErrorClass> for Classes {
    fn from_iter<I: IntoIterator<Item = ErrorClass>>(classes: I) -> Classes {
        classes.into_iter().fold(Classes::NONE, Classes::with)
    }
}

impl From<Vec<ErrorClass>> for Classes {
    fn from(classes: Vec<ErrorClass>) -> Classes {
        classes.into_iter().collect()
    }
}

impl From<Classes> for Vec<ErrorClass> {
    fn from(classes: Classes) -> Vec<ErrorClass> {
        classes.iter().collect()
    }
}

impl FromStr for Classes {
    type Err = String;

    /// Words with commas between, or `none`.
    fn from_str(text: &str) -> Result<Classes, String> {
        if text.trim() == "none" {
            return Ok(Classes::NONE);
        }
        text.split(',').map(|word| word.trim().parse::<ErrorClass>()).collect()
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(ErrorClass::word).collect();
        f.write_str(if words.is_empty() { "none" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_a_place_of_its_own() {
        assert!(ErrorClass::ALL.len() <= 64);
        for class in ErrorClass::ALL {
            let alone = Classes::NONE.with(*class);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [*class]);
        }
        let all: Classes = ErrorClass::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), ErrorClass::ALL.len());
        assert!(!all.has(None));
    }

    #[test]
    fn a_set_is_written_and_read_in_words() {
        let set: Classes = "timeout, no_such_mailbox".parse().unwrap();
        assert_eq!(set.to_string(), "no_such_mailbox,timeout");
        assert_eq!(set.to_string().parse(), Ok(set));
        assert_eq!("none".parse(), Ok(Classes::NONE));
        assert_eq!(Classes::NONE.to_string(), "none");
        assert!("timeouts".parse::<Classes>().unwrap_err().contains("timeout"));
        assert!("".parse::<Classes>().is_err());
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["no_such_mailbox","timeout"]"#);
        assert_eq!(serde_json::from_str::<Classes>(&json).unwrap(), set);
    }
}
