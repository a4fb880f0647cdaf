//! One account of a lane: from its first reading to its last.
//!
//! Its state is read, and is on the disk, before anything there is called; it is read again when it
//! has grown old; and when its last operation has ended and a call was made, the sessions of its
//! mailboxes are ended if that is wanted, and the state is read once more. Without I/O.

use tokio::time::Instant;

use super::spec::{AccountSpec, Checks, Unverified};
use crate::domain::{ErrorClass, Status};

/// One account of a lane.
pub struct Account<'a> {
    pub name: &'a str,
    pub door: usize,
    phase: Phase,
    /// Whether its state was read in this session, or could not be.
    is_surveyed: bool,
    /// Whether that it cannot be read was told.
    is_told: bool,
    /// Operations that were called and whose mailboxes were not read since: those that the server
    /// accepted, those with an open outcome, and those of earlier sessions. Most are of the first
    /// kind, so they are kept small.
    accepted: Vec<u32>,
    doubtful: Vec<Unverified>,
    earlier: Vec<Unverified>,
    /// Operations behind these that ended without a call.
    uncalled: Vec<u32>,
    /// Whether a login was suspended and the sessions are not ended yet.
    sessions_due: bool,
    end: End,
}

/// What was called in an account and is to be proved by a reading.
pub struct Called {
    /// In this session.
    pub now: Vec<Unverified>,
    /// In earlier ones.
    pub earlier: Vec<Unverified>,
    /// Not called, for their flag was as wanted or nobody can tell: what was called before them on
    /// that flag shows no more.
    pub uncalled: Vec<u32>,
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
        let account = Account {
            name,
            door,
            phase: if checks.before { Phase::Unread } else { Phase::Open { until: None } },
            is_surveyed: !checks.before,
            is_told: false,
            accepted: Vec::new(),
            doubtful: Vec::new(),
            earlier: if checks.after { unverified } else { Vec::new() },
            uncalled: Vec::new(),
            sessions_due: sessions_due && checks.end_sessions,
            end: End::NotYet,
        };
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

    /// Whether its state has been read in this session, or it is known that it cannot be. That a
    /// state has grown old since does not matter here, or a survey of many might never end.
    pub fn is_surveyed(&self) -> bool {
        self.is_surveyed
    }

    /// Whether a survey has to begin to read it.
    pub fn is_to_be_surveyed(&self) -> bool {
        !self.is_surveyed && self.phase == Phase::Unread
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
        self.is_surveyed = true;
    }

    /// Notes that nothing is called here, because the state is required and could not be read.
    pub fn is_left(&mut self, class: ErrorClass, error: String) {
        self.phase = Phase::Left { class, error };
        self.is_surveyed = true;
    }

    /// Whether it is to be told that the state cannot be read: once.
    pub fn tell_unread(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }

    /// Notes an operation that was called.
    pub fn note_call(&mut self, called: Unverified) {
        match called.fault {
            None => self.accepted.push(called.op),
            Some(_) => self.doubtful.push(called),
        }
    }

    /// Notes an operation that ended without a call.
    pub fn note_uncalled(&mut self, op: u32) {
        if self.called().next().is_some() {
            self.uncalled.push(op);
        }
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
        if reads_after && self.called().next().is_some() && self.end != End::Done {
            self.end = End::Reading;
            return Some(Chore::ReadAfter);
        }
        self.end = End::Done;
        None
    }

    /// Whether something beside its operations was not done, or not seen through.
    pub fn leaves_chores(&self, reads_after: bool) -> bool {
        let owes_sessions = self.sessions_due && matches!(self.end, End::NotYet | End::EndingSessions);
        owes_sessions || reads_after && self.called().next().is_some()
    }

    /// What was called and is to be proved by a reading.
    pub fn take_called(&mut self) -> Called {
        self.end = End::Done;
        let accepted = std::mem::take(&mut self.accepted).into_iter();
        let accepted = accepted.map(|op| Unverified { op, ended: Status::Ok, fault: None });
        Called {
            now: accepted.chain(std::mem::take(&mut self.doubtful)).collect(),
            earlier: std::mem::take(&mut self.earlier),
            uncalled: std::mem::take(&mut self.uncalled),
        }
    }

    /// The operations that are to be proved.
    pub fn called(&self) -> impl Iterator<Item = u32> {
        let others = self.doubtful.iter().chain(&self.earlier).map(|called| called.op);
        self.accepted.iter().copied().chain(others)
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
        account.was_read(1, now);
        assert_eq!((account.access(now, 1), account.left()), (Access::Unread, None));
        account.is_left(ErrorClass::Api, "no".into());
        assert_eq!((account.access(now, 0), account.left()), (Access::Open, Some((ErrorClass::Api, "no"))));
        assert!(account.tell_unread() && !account.tell_unread());
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_has_grown_old_is_surveyed_all_the_same() {
        let now = Instant::now();
        let mut account = account(&Checks::default());
        assert!(account.is_to_be_surveyed() && !account.is_surveyed());
        account.begin_reading();
        assert!(!account.is_to_be_surveyed() && !account.is_surveyed());
        account.was_read(0, now);
        assert_eq!(account.access(now, 0), Access::Unread);
        assert!(!account.is_to_be_surveyed() && account.is_surveyed());
        assert!(self::account(&Checks::blind()).is_surveyed());
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_operation_come_sessions_then_a_reading_and_neither_without_a_call() {
        let mut account = account(&Checks::default());
        assert_eq!(account.next_chore(true), None);
        let mut account = self::account(&Checks::default());
        let accepted = |op| Unverified { op, ended: Status::Ok, fault: None };
        account.note_call(accepted(3));
        account.owes_sessions();
        assert!(account.leaves_chores(false));
        assert_eq!(account.next_chore(true), Some(Chore::EndSessions));
        assert!(account.leaves_chores(false), "it is not done yet");
        assert_eq!(account.next_chore(true), Some(Chore::ReadAfter));
        assert!(account.leaves_chores(true) && !account.leaves_chores(false));
        assert_eq!(account.take_called().now, [accepted(3)]);
        assert_eq!(account.next_chore(true), None);
        assert!(!account.leaves_chores(true));
    }
}
