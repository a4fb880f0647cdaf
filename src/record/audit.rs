//! Whether a run's record is whole and agrees with itself: what `audit` finds.
//!
//! The journal vouches for everything else. Its first line is chained to `run.json`, which has the
//! hash of the input; the last line of a session has the hashes of the results. So each file is held
//! against the journal, and the journal against its own chain, its own results made anew, and the
//! end that `summary.json` remembers. Who writes the whole record anew, with all its hashes, is not
//! found out in this way; only a chain hash that was kept elsewhere does that.
//!
//! Nothing here writes to the run, unless it is asked to write the results again.

mod cells;
mod evidence;
mod files;
mod follow;
mod summary;
mod table;
mod tables;

use serde::Serialize;

use super::facts::RunFacts;
use super::journal::Chain;
use super::rundir::{DirError, RunDir};
use evidence::Evidence;

/// How it stands with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it was written.
    Ok,
    /// There is nothing yet to hold it against.
    NotYet,
    /// Its last session has not ended.
    NotEnded,
    /// It says the same in another form, or in another order.
    SavedAgain,
    /// It could not be read, or not be held against anything.
    Unread,
    /// It is not there, and should be.
    Missing,
    /// It or another one was altered.
    Doubtful,
    /// It is not what was written.
    Altered,
}

/// What was found of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub file: &'static str,
    /// How it stands with it.
    pub verdict: Verdict,
    /// The first of its lines that does not fit, from 1.
    pub line: Option<u64>,
    /// What there is to say of it, for people.
    pub says: String,
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionEnd {
    /// The session, from 1.
    pub session: usize,
    /// Who worked.
    pub operator: String,
    /// When it ended.
    pub at: String,
    /// Its exit code.
    pub exit_code: u8,
    /// The chain hash of everything up to there.
    pub chain: String,
}

/// What became of a hash that was expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expected {
    /// The hash.
    pub chain: String,
    /// The line up to which it vouches for the journal; none if the journal does not have it.
    pub line: Option<u64>,
    /// The session to which that line belongs, from 1.
    pub session: Option<usize>,
    /// When that session ended, if the line is its end.
    pub ended_at: Option<String>,
}

/// What an audit has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// The run's name.
    pub run_id: String,
    /// Whether all of it is as it was written, and a hash that was expected is there.
    pub sound: bool,
    /// Whether the last session has ended.
    pub ended: bool,
    /// One for each file, in the order in which each vouches for the next.
    pub files: Vec<Finding>,
    /// The ends of sessions, in order.
    pub sessions: Vec<SessionEnd>,
    /// How many lines the journal has, as far as it is sound.
    pub lines: u64,
    /// What became of the hash that was expected.
    pub expected: Option<Expected>,
    /// Whether a process was at work on the run meanwhile.
    pub in_use: bool,
    /// Whether results are not as they were and can be written again from the journal.
    pub can_rewrite: bool,
    /// Whether the run waits for a `resume`, which would take it up.
    pub can_resume: bool,
    /// Other files of the directory: nothing vouches for these.
    pub unvouched: Vec<String>,
}

impl Verdict {
    /// Whether there is nothing to be said against the file.
    pub fn is_sound(self) -> bool {
        matches!(self, Verdict::Ok | Verdict::NotYet)
    }
}

impl Audit {
    /// Whether the run has ended, and all of it is as it was written.
    pub fn is_well(&self) -> bool {
        self.sound && self.ended
    }
}

impl Finding {
    fn new(file: &'static str, verdict: Verdict, says: impl Into<String>) -> Finding {
        Finding { file, verdict, line: None, says: says.into() }
    }

    fn at(self, line: u64) -> Finding {
        Finding { line: Some(line), ..self }
    }
}

impl RunDir {
    /// Holds the files of a run against each other. Takes no lock, and writes nothing.
    pub fn audit(&self, facts: &RunFacts, expected: Option<Chain>) -> Audit {
        Evidence::gather(self, facts, expected).judge()
    }

    /// Writes those of `results.csv` and `unfinished.csv` again that are not as they were, from a
    /// journal that is whole; returns their names. Each comes out as the journal has its hash, or is
    /// left alone.
    ///
    /// # Errors
    /// If the run is in use, or one cannot be written.
    pub fn rewrite_results(&self, facts: &RunFacts) -> Result<Vec<&'static str>, DirError> {
        let _held = self.hold()?;
        Evidence::gather(self, facts, None).rewrite()
    }
}
