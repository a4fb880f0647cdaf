//! What goes into a session and what comes out of it.

use serde::{Deserialize, Serialize};

use super::spec::{Checks, Foreseen, LaneSpec};
use crate::domain::{Channel, Classes, ErrorClass};
use crate::job::Job;
use crate::record::{Stamp, WriteFault};

/// What a session is to do.
pub struct Session<'a> {
    /// The job.
    pub job: &'a Job,
    /// The servers and what is to be done at each.
    pub lanes: Vec<LaneSpec<'a>>,
    /// Which channels go first.
    pub order: ChannelOrder,
    /// What is read, and what follows from it.
    pub checks: Checks,
    /// What a plan that the run is bound to has foreseen for each operation.
    pub foreseen: Option<&'a dyn Fn(u32) -> Foreseen>,
    /// Error classes that do not count for `--max-errors`.
    pub tolerated: Classes,
    /// Operations that ended in earlier sessions.
    pub done_before: u64,
    /// What the jitter is drawn from.
    pub seed: u64,
    /// The time of day.
    pub clock: &'a dyn Fn() -> Stamp,
}

impl<'a> Session<'a> {
    /// The first session of a job, in file order, with the state read before and after the calls.
    pub fn new(job: &'a Job, lanes: Vec<LaneSpec<'a>>, clock: &'a dyn Fn() -> Stamp) -> Session<'a> {
        Session {
            job,
            lanes,
            order: ChannelOrder::default(),
            checks: Checks::default(),
            foreseen: None,
            tolerated: Classes::NONE,
            done_before: 0,
            seed: 1,
            clock,
        }
    }
}

/// In which order channels are called, over all mailboxes of a server. Operations on the same flag of
/// a mailbox keep file order whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOrder([u8; Channel::ALL.len()]);

impl ChannelOrder {
    /// These channels first, one after the other, and then all that are not named, together. With
    /// none named, that is file order.
    pub fn first(channels: &[Channel]) -> ChannelOrder {
        let place = |channel| channels.iter().position(|named| *named == channel).unwrap_or(channels.len());
        ChannelOrder(Channel::ALL.map(|channel| u8::try_from(place(channel)).unwrap_or(u8::MAX - 1)))
    }

    /// The lower it is, the earlier the channel.
    pub(super) fn stage(self, channel: Channel) -> u8 {
        self.0[channel as usize]
    }
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
    /// `--max-changes`.
    MaxChanges,
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
    /// How it ended for each lane, in their order.
    pub servers: Vec<ServerEnd>,
}

/// How a session ended for one server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerEnd {
    /// Its name.
    pub name: String,
    /// Whether there was something to do there.
    pub had_work: bool,
    /// Why it was halted, if it was and that left something undone.
    pub halted: Option<(ErrorClass, String)>,
    /// The door through which it refused a credential in the run, if it did.
    pub refused: Option<usize>,
}
