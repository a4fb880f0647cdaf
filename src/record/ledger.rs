//! Where every operation stands: the journal, added up.
//!
//! The same [`Ledger::apply`] is fed by a live run and by recovery, so that a run that was killed
//! and taken up again cannot come to other results than one that was not. It is packed: a run may
//! have millions of operations, and nearly all of them end alike.

mod slot;
mod standing;
mod undone;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::{ErrorClass, Function, State, Status};
use crate::job::{Job, MailboxId, Operation, What};

use self::slot::{BEGUN, HOLDS, LACKS, OPEN, SHUTS_LOGIN, Slot, UNCLEAR, UNDER_WAY, UNDONE};
pub use self::standing::{Reason, Standing};
pub use self::undone::Undo;
use self::undone::together;
use super::entry::{Entry, Phase, Session, SessionsEnded, Stamp, StateRead};
use super::places::{Place, Places};
use super::round_trips::RoundTrips;

/// The state of all operations of a run.
pub struct Ledger {
    slots: Vec<Slot>,
    /// Every server that any session named.
    servers: Vec<ServerTotals>,
    /// What the current session's server numbers mean.
    session_servers: Vec<u16>,
    stop: Option<(ErrorClass, String)>,
    places: Places,
    /// The last reading of each mailbox before a call.
    readings: Vec<State>,
    /// The reading of each mailbox after its last call, if there was one.
    after: Vec<State>,
    /// The accounts whose sessions were to be ended, and what came of it the last time.
    sessions_ended: BTreeMap<(String, String), Option<(ErrorClass, String)>>,
    /// The places where a login was, or may have been, suspended and no sessions were ended since.
    sessions_owed: BTreeSet<u32>,
    /// When each session began.
    starts: Vec<Stamp>,
    /// The runs that take back part of this one, in their order.
    undos: Vec<Undo>,
}

/// What a server was asked, over all sessions, and how the last one left it.
#[derive(Clone, Debug, Default)]
pub struct ServerTotals {
    /// Its name.
    pub name: String,
    /// Tries made there.
    pub requests: u64,
    /// How long they took, but for those that only asked what is there.
    pub round_trips: RoundTrips,
    /// Set if the last session halted it: the class of what is left, and why.
    pub halted: Option<(ErrorClass, String)>,
}

impl Ledger {
    /// A ledger in which nothing has happened yet.
    pub fn new(job: &Job) -> Ledger {
        let fresh = |operation: &Operation| {
            let shuts_login = operation.function() == Some(Function::SuspendLogin);
            Slot::new(operation.mailbox, if shuts_login { SHUTS_LOGIN } else { 0 })
        };
        let unread = vec![State::NEVER; job.mailboxes.len()];
        Ledger {
            slots: job.operations.iter().map(fresh).collect(),
            servers: Vec::new(),
            session_servers: Vec::new(),
            stop: None,
            places: Places::new(job.mailboxes.len()),
            readings: unread.clone(),
            after: unread,
            sessions_ended: BTreeMap::new(),
            sessions_owed: BTreeSet::new(),
            starts: Vec::new(),
            undos: Vec::new(),
        }
    }

    /// Adds one entry, whose line stands at byte `at` of the journal. An entry about an operation
    /// or server that does not exist is ignored: the caller has checked it against the job.
    pub fn apply(&mut self, entry: &Entry, at: u64) {
        match entry {
            Entry::Session(session) => self.open_session(session),
            Entry::Asked(asked) => self.count_requests(asked.server, asked.requests.into()),
            Entry::Route { server, account, mailboxes, .. } => {
                let Some(name) = self.server_mut(*server).map(|totals| totals.name.clone()) else { return };
                let number = self.places.number(&name, account);
                for (first, last) in mailboxes {
                    (*first..=*last).for_each(|id| self.places.put(MailboxId(id), number));
                }
            }
            Entry::Begin { ops, .. } => {
                for op in ops {
                    if let Some(slot) = self.slots.get_mut(*op as usize) {
                        slot.keep_before(&self.readings);
                        slot.begin();
                        if let Some(after) = self.after.get_mut(slot.mailbox.index()) {
                            *after = State::NEVER;
                        }
                    }
                }
            }
            Entry::State(read) => self.note_reading(read),
            Entry::Unchanged { ops, .. } => {
                for op in each(ops) {
                    if let Some(slot) = self.slots.get_mut(op as usize) {
                        slot.keep_before(&self.readings);
                        slot.end(Status::Unchanged, None);
                        slot.set(HOLDS, true);
                    }
                }
            }
            Entry::Settled { holds, lacks, unclear, .. } => {
                for op in each(holds) {
                    if let Some(slot) = self.slots.get_mut(op as usize) {
                        slot.end(Status::Ok, None);
                    }
                    self.note_shut(op);
                }
                self.note_proof(holds, lacks);
                for op in each(holds).chain(each(lacks)) {
                    // What was read after an earlier session's calls is older than this.
                    let Some(slot) = self.slots.get(op as usize) else { continue };
                    if self.after(slot.mailbox).was_read() {
                        self.after[slot.mailbox.index()] = self.reading(slot.mailbox);
                    }
                }
                for op in each(unclear) {
                    if let Some(slot) = self.slots.get_mut(op as usize) {
                        slot.set(UNCLEAR, true);
                    }
                }
            }
            Entry::EndSessions { server, account, .. } => {
                let why = "no answer was waited for".to_owned();
                self.put_sessions_ended(*server, account, Some((ErrorClass::Interrupted, why)));
            }
            Entry::SessionsEnded(ended) => self.note_sessions_ended(ended),
            Entry::Undone { by, dir, ops, .. } => {
                for op in each(ops) {
                    if let Some(slot) = self.slots.get_mut(op as usize) {
                        slot.set(UNDONE, true);
                    }
                }
                match self.undos.last_mut().filter(|undo| undo.by == *by) {
                    // A long list takes several lines; and one that was killed before it had a run, and
                    // was begun again, is noted twice.
                    Some(undo) => undo.ops = together(std::mem::take(&mut undo.ops), ops),
                    None => self.undos.push(Undo { by: by.clone(), dir: dir.clone(), ops: ops.clone() }),
                }
            }
            Entry::Try(attempt) => {
                self.note_round_trip(attempt.server, attempt.ms);
                if let Some(slot) = self.slots.get_mut(attempt.op as usize) {
                    slot.note_attempt(attempt.at, attempt.ms);
                    slot.http = attempt.http.unwrap_or(0);
                    slot.set(OPEN, slot.is(OPEN) || attempt.open);
                    slot.class = Some(attempt.class);
                    slot.put_reason(Some(at));
                }
            }
            Entry::End(ended) => {
                if let (Some(server), Some(ms)) = (ended.server, ended.ms) {
                    self.note_round_trip(server, ms);
                }
                if let Some(slot) = self.slots.get_mut(ended.op as usize) {
                    if let Some(ms) = ended.ms {
                        slot.note_attempt(ended.at, ms);
                        slot.http = ended.http.unwrap_or(0);
                    }
                    slot.keep_before(&self.readings);
                    slot.end(ended.status, ended.class);
                    slot.put_reason(Some(at).filter(|_| !ended.error.is_empty()));
                    // A reading that corrects an outcome comes when the sessions have been ended.
                    if ended.ms.is_some() {
                        self.note_shut(ended.op);
                    }
                }
            }
            Entry::Halt { server, class, reason, .. } => {
                if let Some(totals) = self.server_mut(*server) {
                    totals.halted = Some((*class, reason.clone()));
                }
            }
            Entry::Stop { class, reason, .. } => self.stop = Some((*class, reason.clone())),
            Entry::Close { .. } => self.slots.iter_mut().for_each(Slot::leave),
        }
    }

    fn note_reading(&mut self, read: &StateRead) {
        self.count_requests(read.server, read.requests.into());
        let known = match read.phase {
            Phase::Before => &mut self.readings,
            Phase::After => &mut self.after,
        };
        for (state, mailboxes) in &read.states {
            for mailbox in each(mailboxes) {
                if let Some(known) = known.get_mut(mailbox as usize) {
                    *known = *state;
                }
            }
        }
        self.note_proof(&read.holds, &read.lacks);
    }

    /// Notes of which operations a reading says that they hold, and of which that they do not.
    fn note_proof(&mut self, holds: &[(u32, u32)], lacks: &[(u32, u32)]) {
        for (ops, mark) in [(holds, HOLDS), (lacks, LACKS)] {
            for op in each(ops) {
                if let Some(slot) = self.slots.get_mut(op as usize) {
                    slot.set(HOLDS | LACKS, false);
                    slot.set(mark, true);
                    // What was accepted and does not show may still come, or have sent a queue.
                    slot.set(OPEN, slot.is(OPEN) || mark == LACKS);
                }
            }
        }
    }

    /// Notes that a login was suspended, or may have been: open sessions outlive that.
    fn note_shut(&mut self, op: u32) {
        let Some(slot) = self.slots.get(op as usize) else { return };
        let is_shut = slot.is(SHUTS_LOGIN) && matches!(slot.status, Some(Status::Ok | Status::Unknown));
        if let Some(place) = self.places.number_of(slot.mailbox).filter(|_| is_shut) {
            self.sessions_owed.insert(place);
        }
    }

    fn note_sessions_ended(&mut self, ended: &SessionsEnded) {
        self.count_requests(ended.server, ended.requests.into());
        let fault = ended.class.map(|class| (class, ended.error.to_string()));
        self.put_sessions_ended(ended.server, &ended.account, fault);
    }

    fn put_sessions_ended(&mut self, in_session: u16, account: &str, fault: Option<(ErrorClass, String)>) {
        let Some(server) = self.server_mut(in_session).map(|totals| totals.name.clone()) else { return };
        if fault.is_none() {
            let number = self.places.number(&server, account);
            self.sessions_owed.remove(&number);
        }
        self.sessions_ended.insert((server, account.to_owned()), fault);
    }

    /// The accounts whose mailboxes' sessions were to be ended, by server and account, and why that
    /// failed if it did.
    pub fn sessions_ended(&self) -> &BTreeMap<(String, String), Option<(ErrorClass, String)>> {
        &self.sessions_ended
    }

    /// The accounts in which a login was, or may have been, suspended, and the sessions of whose
    /// mailboxes were not ended since.
    pub fn sessions_owed(&self) -> impl Iterator<Item = &Place> {
        self.sessions_owed.iter().filter_map(|number| self.places.list().get(*number as usize))
    }

    /// The last reading of a mailbox before a call.
    pub fn reading(&self, mailbox: MailboxId) -> State {
        self.readings.get(mailbox.index()).copied().unwrap_or_default()
    }

    /// The last reading of a mailbox after a call; [`State::NEVER`] if there was none since.
    fn after(&self, mailbox: MailboxId) -> State {
        self.after.get(mailbox.index()).copied().unwrap_or(State::NEVER)
    }

    /// Whether an operation was called, or may have been.
    pub fn was_begun(&self, op: u32) -> bool {
        self.slots.get(op as usize).is_some_and(|slot| slot.is(BEGUN))
    }

    /// Whether an operation ended by a call that the server took, or may have taken, and its mailbox
    /// was not read since. What was proved once is not doubted because more was done to its mailbox.
    pub fn is_unverified(&self, op: u32) -> bool {
        self.slots.get(op as usize).is_some_and(|slot| {
            let may_have_effect = match slot.status {
                Some(Status::Ok | Status::Unknown) => true,
                Some(Status::Failed) => slot.is(OPEN),
                _ => false,
            };
            let is_proved = slot.is(HOLDS | LACKS | UNCLEAR);
            slot.is(BEGUN) && may_have_effect && !is_proved && !self.after(slot.mailbox).was_read()
        })
    }

    /// Those of these operations that a reading can still tell of: behind the others a later one on the
    /// same flag had effect, or may have had it.
    pub fn provable(&self, job: &Job, mut ops: Vec<u32>) -> Vec<u32> {
        let flag = |operation: &Operation| match operation.what {
            What::Call(function) => Some((operation.mailbox, function.target().flag as u8)),
            _ => None,
        };
        let wanted: HashSet<_> = ops.iter().filter_map(|op| flag(&job.operations[*op as usize])).collect();
        let mut last = HashMap::new();
        for (op, operation) in (0u32..).zip(&job.operations) {
            let changed = flag(operation).filter(|flag| wanted.contains(flag) && self.may_have_changed(op));
            if let Some(flag) = changed {
                last.insert(flag, op);
            }
        }
        ops.retain(|op| {
            let flag = flag(&job.operations[*op as usize]);
            flag.and_then(|flag| last.get(&flag)).is_none_or(|last| last <= op)
        });
        ops
    }

    /// Whether an operation had effect, or may have had.
    fn may_have_changed(&self, op: u32) -> bool {
        self.slots.get(op as usize).is_some_and(|slot| {
            slot.is(BEGUN) && (slot.is(OPEN | UNDER_WAY) || slot.status == Some(Status::Ok))
        })
    }

    /// Why the session that is noted last took no new work, if that was so.
    pub fn stopped_because(&self) -> Option<&str> {
        self.stop.as_ref().map(|(_, why)| why.as_str())
    }

    /// Whether it was called, and a reading has shown that it holds.
    pub fn is_verified(&self, op: u32) -> bool {
        self.slots.get(op as usize).is_some_and(|slot| slot.status == Some(Status::Ok) && slot.is(HOLDS))
    }

    fn open_session(&mut self, session: &Session) {
        self.stop = None;
        self.starts.push(session.at);
        for totals in &mut self.servers {
            totals.halted = None;
        }
        // The session before was killed with these on their way.
        for slot in self.slots.iter_mut().filter(|slot| slot.is(UNDER_WAY)) {
            slot.set(UNDER_WAY, false);
            slot.set(OPEN, true);
        }
        // It is routed again; if it is then left for another reason, that is the one to tell.
        let waits = (Some(Status::NotAttempted), Some(ErrorClass::Unrouted));
        for slot in self.slots.iter_mut().filter(|slot| (slot.status, slot.class) == waits) {
            slot.status = None;
        }
        self.session_servers = session
            .servers
            .iter()
            .map(|name| {
                let known = self.servers.iter().position(|t| t.name == *name).unwrap_or_else(|| {
                    self.servers.push(ServerTotals { name: name.clone(), ..ServerTotals::default() });
                    self.servers.len() - 1
                });
                u16::try_from(known).unwrap_or(u16::MAX)
            })
            .collect();
    }

    fn server_mut(&mut self, in_session: u16) -> Option<&mut ServerTotals> {
        let known = *self.session_servers.get(in_session as usize)?;
        self.servers.get_mut(known as usize)
    }

    fn count_requests(&mut self, in_session: u16, count: u64) {
        if let Some(totals) = self.server_mut(in_session) {
            totals.requests += count;
        }
    }

    fn note_round_trip(&mut self, in_session: u16, ms: u32) {
        if let Some(totals) = self.server_mut(in_session) {
            totals.requests += 1;
            totals.round_trips.note(ms);
        }
    }

    /// When each session began.
    pub fn starts(&self) -> &[Stamp] {
        &self.starts
    }

    /// Where the mailboxes belong, as far as that is settled.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The servers of all sessions, in the order in which they came up.
    pub fn servers(&self) -> &[ServerTotals] {
        &self.servers
    }

    /// How the operation ended; `None` as long as it has not.
    pub fn ended(&self, op: u32) -> Option<(Status, Option<ErrorClass>)> {
        let slot = self.slots.get(op as usize)?;
        slot.status.map(|status| (status, slot.class))
    }

    /// When the answer came that ended it, if it ended `ok` or `unchanged` by a call.
    pub fn ended_well_at(&self, op: u32) -> Option<Stamp> {
        let slot = self.slots.get(op as usize)?;
        let is_well = matches!(slot.status, Some(Status::Ok | Status::Unchanged)) && slot.attempts > 0;
        is_well.then(|| Stamp(slot.started().0.saturating_add(i64::from(slot.duration_ms))))
    }

    /// Whether its last try was refused by the server.
    pub fn met_refusal(&self, op: u32) -> bool {
        self.slots
            .get(op as usize)
            .is_some_and(|slot| slot.status.is_none() && slot.class == Some(ErrorClass::Auth))
    }

    /// The operations that did not end well and whose flag a later operation has set well since: to
    /// take one of these up again would undo the later one.
    pub fn overtaken(&self, job: &Job) -> HashSet<u32> {
        overtaken(job, |op| matches!(self.ended(op), Some((Status::Ok | Status::Unchanged, _))))
    }

    /// Whether it may have had effect without an answer that says so.
    pub fn may_have_had_effect(&self, op: u32) -> bool {
        self.slots.get(op as usize).is_some_and(|slot| slot.is(OPEN | UNDER_WAY))
    }
}

/// See [`Ledger::overtaken`]; `is_well` says whether an operation ended `ok` or `unchanged`.
pub(super) fn overtaken(job: &Job, is_well: impl Fn(u32) -> bool) -> HashSet<u32> {
    let mut overtaken = HashSet::new();
    // Per mailbox, the flags that a later operation has set well.
    let mut set_later = vec![0u8; job.mailboxes.len()];
    for op in (0..u32::try_from(job.operations.len()).unwrap_or(u32::MAX)).rev() {
        let operation = &job.operations[op as usize];
        let What::Call(function) = operation.what else { continue };
        let bit = 1 << function.target().flag as u8;
        let later = &mut set_later[operation.mailbox.index()];
        if is_well(op) {
            *later |= bit;
        } else if *later & bit != 0 {
            overtaken.insert(op);
        }
    }
    overtaken
}

/// Every number of rows of them.
fn each(rows: &[(u32, u32)]) -> impl Iterator<Item = u32> {
    rows.iter().flat_map(|(first, last)| *first..=*last)
}

#[cfg(test)]
mod tests;
