//! How many calls go together in one request.
//!
//! A server starts a process for each request, so calls that go together cost it less; how many it
//! bears nobody knows. `auto` begins small and doubles with each batch that was answered whole, up to
//! what its time surely suffices for. The first sign that batches are not wanted (a refusal, a
//! time-out, a size that is too large) ends them for that server and session: single calls always
//! work, and what was in the batch is asked for again one by one.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `--batch`: how many calls may go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Batch {
    /// So many; 1 is each by itself.
    Size(NonZeroU32),
    /// What the server stands.
    Auto,
}

/// A batch takes the sum of its calls' times, and no maximum is documented.
const MOST: u32 = 50;

/// Where `auto` begins, and where it ends.
const AUTO_FIRST: u32 = 4;
const AUTO_MOST: u32 = 20;

/// Answers in a row that name no single call before batches are given up: one may be no more than a
/// mailbox that is gone, told in a shape that nobody has recorded.
const SILENT_ENDS_AFTER: u32 = 2;

impl Batch {
    /// Each call by itself.
    pub const ONE: Batch = Batch::Size(NonZeroU32::MIN);

    /// The most calls that go together.
    pub fn most(self) -> u32 {
        match self {
            Batch::Size(size) => size.get(),
            Batch::Auto => AUTO_MOST,
        }
    }
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::ONE
    }
}

/// How many calls go together at one server, now.
#[derive(Debug)]
pub struct Sizer {
    most: u32,
    size: u32,
    silent_in_a_row: u32,
}

impl Sizer {
    /// What was asked for, and nothing known yet.
    pub fn new(batch: Batch) -> Sizer {
        let first = match batch {
            Batch::Size(size) => size.get(),
            Batch::Auto => AUTO_FIRST,
        };
        Sizer { most: batch.most(), size: first, silent_in_a_row: 0 }
    }

    /// How many calls may go together.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// Notes a batch whose calls were answered.
    pub fn answered(&mut self) {
        self.silent_in_a_row = 0;
        if self.size > 1 {
            self.size = (self.size * 2).min(self.most);
        }
    }

    /// Notes an answer that names no single call; says whether batches end with it.
    pub fn silent(&mut self) -> bool {
        self.silent_in_a_row += 1;
        self.silent_in_a_row >= SILENT_ENDS_AFTER && self.end()
    }

    /// Ends batches; says whether there were any.
    pub fn end(&mut self) -> bool {
        let were_any = self.size > 1;
        self.size = 1;
        self.most = 1;
        were_any
    }
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Batch, String> {
        if text.trim().eq_ignore_ascii_case("auto") {
            return Ok(Batch::Auto);
        }
        match text.trim().parse::<NonZeroU32>() {
            Ok(size) if size.get() <= MOST => Ok(Batch::Size(size)),
            _ => Err(format!("“{text}” is neither a number from 1 to {MOST} nor auto")),
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Batch::Size(size) => write!(f, "{size}"),
            Batch::Auto => f.write_str("auto"),
        }
    }
}

impl From<Batch> for String {
    fn from(batch: Batch) -> String {
        batch.to_string()
    }
}

impl TryFrom<String> for Batch {
    type Error = String;

    fn try_from(text: String) -> Result<Batch, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_and_auto_grows_with_what_was_answered() {
        let mut fixed = Sizer::new("20".parse().unwrap());
        fixed.answered();
        assert_eq!(fixed.size(), 20);
        let mut auto = Sizer::new(Batch::Auto);
        let sizes: Vec<usize> = (0..5)
            .map(|_| {
                let size = auto.size();
                auto.answered();
                size
            })
            .collect();
        assert_eq!(sizes, [4, 8, 16, 20, 20]);
        let mut one = Sizer::new(Batch::ONE);
        one.answered();
        assert_eq!(one.size(), 1);
    }

    #[test]
    fn batches_end_for_good_at_once_or_when_two_answers_in_a_row_name_no_call() {
        let mut sizer = Sizer::new(Batch::Auto);
        assert!(!sizer.silent() && sizer.size() == 4);
        sizer.answered();
        assert!(!sizer.silent(), "one between starts the count anew");
        assert!(sizer.silent());
        sizer.answered();
        assert_eq!(sizer.size(), 1);
        assert!(!sizer.end(), "there were none any more");
    }

    #[test]
    fn the_flag_is_a_number_or_auto() {
        for (text, batch) in [("1", Batch::ONE), ("AUTO", Batch::Auto), ("20", "20".parse().unwrap())] {
            assert_eq!(text.parse(), Ok(batch));
        }
        for wrong in ["0", "51", "-1", "", "many", "1.5"] {
            assert!(wrong.parse::<Batch>().is_err(), "{wrong}");
        }
    }
}
