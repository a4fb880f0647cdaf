//! What goes into a session and what comes out of it.

use super::lane::LaneSpec;
use crate::domain::ErrorClass;
use crate::job::Job;
use crate::record::{Stamp, WriteFault};

/// What a session is to do.
pub struct Session<'a> {
    /// The job.
    pub job: &'a Job,
    /// The servers and what is to be done at each.
    pub lanes: Vec<LaneSpec<'a>>,
    /// Operations that ended in earlier sessions.
    pub done_before: u64,
    /// What the jitter is drawn from.
    pub seed: u64,
    /// The time of day.
    pub clock: &'a dyn Fn() -> Stamp,
}

/// What a user can do to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// Why a session took no new work before it was through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A signal.
    Signal(Signal),
    /// `--max-errors N`.
    ErrorBudget,
    /// The journal cannot be written.
    Unwritable,
}

/// How a session ended.
#[derive(Debug)]
pub struct SessionEnd {
    /// Why it took no new work, if it stopped.
    pub stop: Option<Stop>,
    /// Why the journal cannot be written, if so.
    pub fault: Option<WriteFault>,
    /// Each server that had work, and why it was halted, if it was.
    pub servers: Vec<(String, Option<(ErrorClass, String)>)>,
}
