//! One account of a lane: from its first reading to its last.
//!
//! Its state is read, and is on the disk, before anything there is called; it is read again when it
//! has grown old; and when its last operation has ended and a call was made, the sessions of its
//! mailboxes are ended if that is wanted, and the state is read once more. Without I/O.

use tokio::time::Instant;

use super::spec::{AccountSpec, Checks, Fault, Unverified};
use crate::domain::ErrorClass;

/// One account of a lane.
pub struct Account<'a> {
    pub name: &'a str,
    pub door: usize,
    phase: Phase,
    /// Operations that were called and whose mailboxes were not read since: those that the server
    /// accepted, and those with an open outcome. Most are of the first kind, so they are kept small.
    accepted: Vec<u32>,
    doubtful: Vec<(u32, Fault)>,
    /// Operations behind these that ended without a call.
    uncalled: Vec<u32>,
    /// Whether a login was suspended and the sessions are not ended yet.
    sessions_due: bool,
    end: End,
}

/// How far it is with reading the state.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// It is to be read before the next call.
    Unread,
    /// It is being read.
    Reading,
    /// It was read, and this record has to be on the disk before a call.
    Recorded { record: u64, until: Instant },
    /// Calls can be made; until this moment, if the state can grow old.
    Open { until: Option<Instant> },
    /// Its state could not be read, and nothing is called without.
    Left { class: ErrorClass, error: String },
}

/// How far it is with what comes after its last operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    EndingSessions,
    Reading,
    Done,
}

/// Whether an operation of the account can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Now.
    Open,
    /// After a reading, which nobody has begun.
    Unread,
    /// After a reading that is on its way, to the server or to the disk.
    Closed,
}

/// What is to be done for an account beside its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    EndSessions,
    ReadAfter,
}

impl<'a> Account<'a> {
    /// An account, without its operations; says also what is to be done at once, if it has none.
    pub fn new(spec: AccountSpec<'a>, checks: &Checks) -> (Account<'a>, Vec<u32>) {
        let AccountSpec { name, door, ops, unverified, sessions_due } = spec;
        let mut account = Account {
            name,
            door,
            phase: if checks.before { Phase::Unread } else { Phase::Open { until: None } },
            accepted: Vec::new(),
            doubtful: Vec::new(),
            uncalled: Vec::new(),
            sessions_due: sessions_due && checks.end_sessions,
            end: End::NotYet,
        };
        if checks.after {
            unverified.into_iter().for_each(|unverified| account.note_call(unverified));
        }
        (account, ops)
    }

    /// Whether an operation can be called, given how many records are on the disk.
    pub fn access(&mut self, now: Instant, on_disk: u64) -> Access {
        if let Phase::Recorded { record, until } = self.phase
            && record <= on_disk
        {
            self.phase = Phase::Open { until: Some(until) };
        }
        match self.phase {
            Phase::Open { until: Some(until) } if until <= now => {
                self.phase = Phase::Unread;
                Access::Unread
            }
            Phase::Unread => Access::Unread,
            Phase::Reading | Phase::Recorded { .. } => Access::Closed,
            Phase::Open { .. } | Phase::Left { .. } => Access::Open,
        }
    }

    /// Whether its state has been read, or it is known that it cannot be.
    pub fn is_surveyed(&self) -> bool {
        !matches!(self.phase, Phase::Unread | Phase::Reading)
    }

    /// Why its operations are left, if they are.
    pub fn left(&self) -> Option<(ErrorClass, &str)> {
        match &self.phase {
            Phase::Left { class, error } => Some((*class, error)),
            _ => None,
        }
    }

    /// Notes that a reading is on its way.
    pub fn begin_reading(&mut self) {
        self.phase = Phase::Reading;
    }

    /// Notes that the state is in the record with this number, and how long it counts.
    pub fn was_read(&mut self, record: u64, until: Instant) {
        self.phase = Phase::Recorded { record, until };
    }

    /// Notes that the state could not be read: nothing is called without it if it is `required`.
    pub fn could_not_be_read(&mut self, class: ErrorClass, error: String, until: Instant, required: bool) {
        self.phase = if required { Phase::Left { class, error } } else { Phase::Open { until: Some(until) } };
    }

    /// Notes an operation that was called.
    pub fn note_call(&mut self, called: Unverified) {
        match called.fault {
            None => self.accepted.push(called.op),
            Some(fault) => self.doubtful.push((called.op, fault)),
        }
    }

    /// Notes an operation that ended without a call, its flag as wanted or not known. What was called
    /// before it on that flag can be proved no more.
    pub fn note_uncalled(&mut self, op: u32) {
        if self.was_called() {
            self.uncalled.push(op);
        }
    }

    fn was_called(&self) -> bool {
        !self.accepted.is_empty() || !self.doubtful.is_empty()
    }

    /// Notes that a login was suspended, after which sessions are to be ended.
    pub fn owes_sessions(&mut self) {
        self.sessions_due = true;
    }

    /// What is to be done when its last operation has ended, one after the other; `None` if nothing
    /// is left. To be asked again when that is done.
    pub fn next_chore(&mut self, reads_after: bool) -> Option<Chore> {
        if self.sessions_due && self.end == End::NotYet {
            self.end = End::EndingSessions;
            return Some(Chore::EndSessions);
        }
        if reads_after && self.was_called() && self.end != End::Done {
            self.end = End::Reading;
            return Some(Chore::ReadAfter);
        }
        self.end = End::Done;
        None
    }

    /// What was called and is to be proved by a reading.
    pub fn take_called(&mut self) -> Vec<Unverified> {
        self.end = End::Done;
        let accepted = std::mem::take(&mut self.accepted);
        let accepted = accepted.into_iter().map(|op| Unverified { op, fault: None });
        let doubtful = std::mem::take(&mut self.doubtful);
        let doubtful = doubtful.into_iter().map(|(op, fault)| Unverified { op, fault: Some(fault) });
        accepted.chain(doubtful).collect()
    }

    /// What ended behind them without a call.
    pub fn take_uncalled(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.uncalled)
    }

    /// The operations that are to be proved.
    pub fn called(&self) -> impl Iterator<Item = u32> {
        self.accepted.iter().copied().chain(self.doubtful.iter().map(|(op, _)| *op))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn account(checks: &Checks) -> Account<'static> {
        Account::new(AccountSpec::new("exampleu", 0, vec![]), checks).0
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_called_before_the_state_is_on_the_disk_and_again_when_it_is_old() {
        let (now, age) = (Instant::now(), Duration::from_secs(600));
        let mut account = account(&Checks::default());
        assert_eq!(account.access(now, 0), Access::Unread);
        account.begin_reading();
        assert_eq!(account.access(now, 9), Access::Closed);
        account.was_read(7, now + age);
        assert_eq!(account.access(now, 6), Access::Closed);
        assert_eq!(account.access(now, 7), Access::Open);
        assert_eq!(account.access(now + age, 7), Access::Unread);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_blind_reads_nothing_and_who_cannot_read_goes_on_unless_it_is_required() {
        let now = Instant::now();
        let mut blind = account(&Checks::blind());
        assert_eq!(blind.access(now + Duration::from_secs(86_400), 0), Access::Open);
        assert_eq!(blind.next_chore(false), None);
        let mut account = account(&Checks::default());
        account.could_not_be_read(ErrorClass::Api, "no".into(), now + Duration::from_secs(1), false);
        assert_eq!((account.access(now, 0), account.left()), (Access::Open, None));
        account.could_not_be_read(ErrorClass::Api, "no".into(), now, true);
        assert_eq!((account.access(now, 0), account.left()), (Access::Open, Some((ErrorClass::Api, "no"))));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_operation_come_sessions_then_a_reading_and_neither_without_a_call() {
        let mut account = account(&Checks::default());
        assert_eq!(account.next_chore(true), None);
        let mut account = self::account(&Checks::default());
        account.note_call(Unverified { op: 3, fault: None });
        account.owes_sessions();
        assert_eq!(account.next_chore(true), Some(Chore::EndSessions));
        assert_eq!(account.next_chore(true), Some(Chore::ReadAfter));
        assert_eq!(account.take_called(), [Unverified { op: 3, fault: None }]);
        assert_eq!(account.next_chore(true), None);
    }
}
