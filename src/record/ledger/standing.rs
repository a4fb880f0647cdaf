//! What the results say of each operation.

use super::super::entry::Stamp;
use super::Ledger;
use super::slot::{BEGUN, OPEN, Slot};
use crate::domain::{ErrorClass, State, Status};
use crate::job::{Job, What};

/// One operation's line of the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// How it ended, or what is to be said of it as long as it has not.
    pub status: Status,
    /// Why, if not well.
    pub class: Option<ErrorClass>,
    /// HTTP status of the last answer.
    pub http: Option<u16>,
    /// Tries over all sessions.
    pub attempts: u16,
    /// Start of the first try.
    pub started: Option<Stamp>,
    /// From there to the outcome, in milliseconds.
    pub duration_ms: Option<u32>,
    /// Whether the flag was read to be as wanted; `None` if it was not read.
    pub verified: Option<bool>,
    /// What was last read of its mailbox before its first call.
    pub before: State,
    /// What was read of it after the last one.
    pub after: State,
    /// Where its reason is found.
    pub reason: Reason,
}

/// Where the words for an operation's `error` column are.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// There is none.
    None,
    /// In the journal's line at this byte.
    Journal(u64),
    /// Here.
    Text(String),
    /// In the row itself, which is not an operation.
    Row,
}

impl Standing {
    /// Of an operation that was never tried.
    pub(in super::super) fn untried(status: Status, class: Option<ErrorClass>, reason: Reason) -> Standing {
        Standing {
            status,
            class,
            http: None,
            attempts: 0,
            started: None,
            duration_ms: None,
            verified: None,
            before: State::NEVER,
            after: State::NEVER,
            reason,
        }
    }
}

impl Ledger {
    /// What the results say of an operation.
    pub fn standing(&self, job: &Job, op: u32) -> Standing {
        let Some(slot) = self.slots.get(op as usize) else {
            return Standing::untried(Status::NotAttempted, Some(ErrorClass::Interrupted), Reason::None);
        };
        match job.operations[op as usize].what {
            What::Invalid => {
                return Standing::untried(Status::Invalid, Some(ErrorClass::InvalidRow), Reason::Row);
            }
            What::Duplicate(_) => return Standing::untried(Status::Duplicate, None, Reason::None),
            What::Call(_) => {}
        }
        let journal = slot.reason_at().map_or(Reason::None, Reason::Journal);
        let (status, class, reason) = match slot.status {
            // One that may have had effect is not called «not attempted».
            Some(Status::NotAttempted) if slot.is(OPEN) => (Status::Unknown, slot.class, journal),
            Some(status) => (status, slot.class, journal),
            None => {
                let place = self.places.of(job.operations[op as usize].mailbox);
                self.left_undone(slot, place.map(|place| place.server.as_str()), journal)
            }
        };
        let tried = slot.attempts > 0;
        let is_settled = slot.is(BEGUN) || slot.status.is_some();
        let before = if is_settled { slot.before } else { self.reading(slot.mailbox) };
        let after = match slot.status {
            Some(Status::Unchanged) => slot.before,
            _ if slot.is(BEGUN) => match self.after(slot.mailbox) {
                // A reading before another call has told what became of this one.
                State::NEVER if slot.verified().is_some() => self.reading(slot.mailbox),
                after => after,
            },
            _ => State::NEVER,
        };
        Standing {
            status,
            class,
            http: (slot.http != 0).then_some(slot.http),
            attempts: slot.attempts,
            started: tried.then(|| slot.started()),
            duration_ms: tried.then_some(slot.duration_ms),
            verified: slot.verified(),
            before,
            after,
            reason,
        }
    }

    /// An operation without an outcome: why the session left it. One that may have had effect is
    /// not called «not attempted».
    fn left_undone(
        &self,
        slot: &Slot,
        home: Option<&str>,
        journal: Reason,
    ) -> (Status, Option<ErrorClass>, Reason) {
        let halted = home.and_then(|name| self.servers.iter().find(|t| t.name == name)?.halted.as_ref());
        let (class, why) = match (halted, &self.stop) {
            // Nobody asked again where it belongs.
            (None, _) if slot.class == Some(ErrorClass::Unrouted) && home.is_none() => {
                (ErrorClass::Unrouted, "")
            }
            (Some((class, why)), _) | (None, Some((class, why))) => (*class, why.as_str()),
            (None, None) => (ErrorClass::Interrupted, "the session ended before this operation was done"),
        };
        let own_words = slot.class == Some(class) && journal != Reason::None;
        let status = if slot.is(OPEN) { Status::Unknown } else { Status::NotAttempted };
        (status, Some(class), if own_words { journal } else { Reason::Text(why.to_owned()) })
    }
}
