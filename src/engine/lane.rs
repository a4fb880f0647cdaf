//! One server's lane: everything that is judged per server.
//!
//! A lane has its queue, limiter, breaker and halt, and knows through which of its doors (a door is a
//! credential) a good answer has come yet: the first request through each goes alone, because a bad
//! credential sent by many at once locks the operator's address out. A dead server costs the others
//! nothing.

mod begin;
mod judged;

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet, VecDeque};

use tokio::time::Instant;

use super::accounts::{Account, Chore};
use super::batching::Sizer;
use super::breaker::{Breaker, Permit};
use super::budget::Budget;
use super::concurrency::Concurrency;
use super::limiter::Limiter;
use super::limits::Limits;
use super::order::{Chains, Queue, Stage};
use super::outage::Outage;
use super::retry::Tries;
use super::spec::{Checks, LaneSpec, Way};
use super::states::{Judged, States};
use crate::domain::ErrorClass;
use crate::job::MailboxId;
use crate::record::{Phase, Safe};

pub use judged::{Bad, LONGEST_PAUSE, counts_as_error, left_aside};

/// Something to send: an operation that has been begun and has not ended, or what an account needs
/// beside its operations.
#[derive(Clone, Copy, Debug)]
pub struct Active {
    pub errand: Errand,
    pub account: u32,
    pub tries: Tries,
    /// Whether it goes by itself: it was in a batch that did not answer it.
    pub alone: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// An operation's call.
    Call(u32),
    /// The state of the account's mailboxes, before its next call.
    ReadBefore,
    /// To end the sessions of the account's mailboxes.
    EndSessions,
    /// The state of the account's mailboxes, after its last call.
    ReadAfter,
}

impl Errand {
    /// The operation that it is about, if it is about one.
    pub fn op(self) -> Option<u32> {
        match self {
            Errand::Call(op) => Some(op),
            Errand::ReadBefore | Errand::EndSessions | Errand::ReadAfter => None,
        }
    }

    /// Whether doing it twice does no more than doing it once.
    pub fn is_repeatable(self, states: &States<'_>) -> bool {
        match self {
            Errand::Call(op) => states.function(op).is_repeatable(),
            Errand::ReadBefore | Errand::EndSessions | Errand::ReadAfter => true,
        }
    }
}

/// What was taken up in a turn.
#[derive(Debug, PartialEq)]
pub enum Begun {
    /// A reading, of which no record has to be written before.
    Reading,
    /// An operation that is to be called.
    Call(u32),
    /// An account whose sessions are to be ended.
    EndSessions(u32),
    /// An operation that ends without a call.
    Settled { op: u32, account: u32, judged: Judged },
}

/// How much must be safe before something is sent.
#[derive(Clone, Copy, Debug)]
struct Needs {
    record: u64,
    on_disk: bool,
}

impl Needs {
    fn are_met(self, safe: Safe) -> bool {
        self.record <= if self.on_disk { safe.on_disk } else { safe.written }
    }
}

/// One way into a server, with a credential of its own.
pub struct Door<'a> {
    pub way: Way<'a>,
    /// Whether a good answer came through it in this session.
    is_proven: bool,
    /// Whether something was begun through it that has not ended, before it was proven.
    is_tried: bool,
}

pub struct Lane<'a> {
    pub name: String,
    pub doors: Vec<Door<'a>>,
    pub accounts: Vec<Account<'a>>,
    pub limits: Limits,
    pub in_flight: usize,
    /// Calls that have come back and whose outcome is not written yet. Should the process die now,
    /// they are made again like those in flight, so they keep their slots.
    pub unrecorded: usize,
    pub halted: Option<(ErrorClass, String)>,
    /// Whether it had anything to do at all.
    pub had_work: bool,
    /// Whether something may be left undone though no operation is known to belong here.
    pub may_have_work: bool,
    /// The door whose credential the server refused.
    pub refused: Option<usize>,
    /// Good answers in this session.
    pub good_answers: u64,
    queue: Queue<'a>,
    /// Whether an account is read again after its last call.
    reads_after: bool,
    open: HashSet<u32>,
    /// Whether what is in flight is the first request through a door, which goes alone.
    is_alone: bool,
    /// Begun, with what has to be safe before it is sent.
    begun: VecDeque<(Needs, Active)>,
    /// Accounts whose sessions are to be ended, and no record says so yet.
    sessions_to_end: Vec<u32>,
    retries: BinaryHeap<Reverse<Retry>>,
    limiter: Limiter,
    concurrency: Concurrency,
    /// How many calls go together.
    pub sizer: Sizer,
    budget: Budget,
    /// Whether the budget has let the next retry through, which then waits for the rate alone.
    is_retry_granted: bool,
    breaker: Breaker,
    paused_until: Option<Instant>,
    /// Answers that were not the API's since the last good one.
    foreign_in_a_row: u32,
    outage: Outage,
    ended: u64,
    failed: u64,
}

struct Retry {
    due: Instant,
    active: Active,
}

impl PartialEq for Retry {
    fn eq(&self, other: &Retry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Retry {}

impl PartialOrd for Retry {
    fn partial_cmp(&self, other: &Retry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Retry {
    fn cmp(&self, other: &Retry) -> Ordering {
        let place = |retry: &Retry| (retry.due, retry.active.errand, retry.active.account);
        place(self).cmp(&place(other))
    }
}

/// What a lane can do now.
pub enum Turn {
    /// Send this; its cell is taken.
    Send(Active),
    /// Send these in one request; their cells are taken.
    Together(Vec<Active>),
    /// Nothing before this moment.
    Wait(Instant),
    /// Nothing until something else happens.
    Rest,
}

impl<'a> Lane<'a> {
    pub fn new(spec: LaneSpec<'a>, checks: &Checks, stages: impl Fn(u32) -> Stage + 'a) -> Lane<'a> {
        let LaneSpec { name, doors, accounts, open, last, limits, known } = spec;
        let door = |(number, way)| {
            let is_proven = known.proven.contains(&number);
            Door { way, is_proven, is_tried: false }
        };
        let has_work = accounts
            .iter()
            .any(|account| !account.ops.is_empty() || !account.unverified.is_empty() || account.sessions_due);
        let (accounts, ops): (Vec<_>, Vec<_>) = accounts
            .into_iter()
            .map(|spec| {
                let (account, mut ops) = Account::new(spec, checks);
                // Within a stage in file order.
                ops.sort_unstable_by_key(|op| (last.contains(op), stages(*op), *op));
                (account, ops)
            })
            .unzip();
        Lane {
            name,
            doors: doors.into_iter().enumerate().map(door).collect(),
            accounts,
            limiter: known.limiter.unwrap_or_else(|| Limiter::new(&limits)),
            concurrency: Concurrency::new(limits.jobs.get() as usize),
            sizer: Sizer::new(limits.batch),
            budget: Budget::new(Instant::now()),
            is_retry_granted: false,
            limits,
            in_flight: 0,
            unrecorded: 0,
            halted: None,
            had_work: has_work || known.may_have_work,
            reads_after: checks.after,
            may_have_work: known.may_have_work,
            refused: None,
            good_answers: known.good_answers,
            queue: Queue::new(ops.into_iter(), last, stages),
            open,
            is_alone: false,
            begun: VecDeque::new(),
            sessions_to_end: Vec::new(),
            retries: BinaryHeap::new(),
            breaker: Breaker::default(),
            paused_until: None,
            foreign_in_a_row: 0,
            outage: Outage::default(),
            ended: 0,
            failed: 0,
        }
    }

    /// Finds the first operations, when the chains are made, and what accounts without operations
    /// still need.
    pub fn start(&mut self, chains: &mut Chains) {
        self.queue.start(chains);
        for account in 0..u32::try_from(self.accounts.len()).unwrap_or(u32::MAX) {
            if self.queue.is_account_done(account) {
                self.look_after(account);
            }
        }
    }

    /// Lines up what an account needs when its operations have ended. Nothing about its sessions is
    /// sent before its record is written; that number is filled in when it is known.
    pub fn look_after(&mut self, account: u32) {
        let errand = match self.accounts[account as usize].next_chore(self.reads_after) {
            None => return,
            Some(Chore::ReadAfter) => Errand::ReadAfter,
            Some(Chore::EndSessions) => {
                self.sessions_to_end.push(account);
                return;
            }
        };
        self.begun.push_back((Needs { record: 0, on_disk: false }, Active::new(errand, account)));
    }

    /// The mailboxes of an account of which a reading is wanted: before calls those of its
    /// operations, after them those of what was called.
    pub fn mailboxes(&self, account: u32, phase: Phase, states: &States<'_>) -> Vec<MailboxId> {
        let mut mailboxes: Vec<MailboxId> = match phase {
            Phase::Before => self.queue.account_ops(account).iter().map(|op| states.mailbox(*op)).collect(),
            Phase::After => {
                let called = self.accounts[account as usize].called();
                called.map(|op| states.mailbox(op)).collect()
            }
        };
        mailboxes.sort_unstable_by_key(|id| id.0);
        mailboxes.dedup();
        mailboxes
    }

    /// All its operations.
    pub fn ops(&self) -> impl Iterator<Item = u32> {
        self.queue.ops()
    }

    /// Whether the server has given a good answer in this session.
    pub fn is_proven(&self) -> bool {
        self.good_answers > 0
    }

    /// Whether every operation has ended, and was looked at where that was wanted.
    pub fn is_done(&self) -> bool {
        self.queue.is_done() && !self.accounts.iter().any(|account| account.leaves_chores(self.reads_after))
    }

    /// Whether nothing is left to begin or to try again.
    pub fn is_through(&self) -> bool {
        let is_nothing_begun = self.begun.is_empty() && self.sessions_to_end.is_empty();
        is_nothing_begun && self.retries.is_empty() && self.queue.is_empty()
    }

    fn door(&self, account: u32) -> &Door<'a> {
        &self.doors[self.accounts[account as usize].door]
    }

    /// What can be sent now, given how many records are safe.
    pub fn turn(&mut self, now: Instant, safe: Safe) -> Turn {
        if self.halted.is_some() {
            return Turn::Rest;
        }
        let busy = self.busy();
        match self.most_at_once(now) {
            Err(until) => return Turn::Wait(until),
            Ok(most) if busy >= most || self.is_alone => return Turn::Rest,
            Ok(_) => {}
        }
        let due = self.retry_due(now);
        let is_retry = due.is_some_and(|due| due <= now);
        let retry = self.retries.peek().filter(|_| is_retry);
        let begun = self.begun.front().filter(|(needs, _)| needs.are_met(safe));
        let is_unrepeatable = !is_retry && begun.is_some_and(|(needs, _)| needs.on_disk);
        let next = retry.map(|Reverse(retry)| retry.active).or(begun.map(|(_, active)| *active));
        let Some(next) = next else { return due.map_or(Turn::Rest, Turn::Wait) };
        // The first request with each credential is alone, or a bad one would be sent many times.
        let is_first = !self.door(next.account).is_proven;
        if is_first && busy > 0 {
            return Turn::Rest;
        }
        if let Err(free_at) = self.limiter.take() {
            if self.in_flight == 0 {
                self.outage.leave_out(now, free_at);
            }
            return Turn::Wait(free_at);
        }
        if is_retry {
            self.retries.pop();
            self.is_retry_granted = false;
        } else {
            self.begun.pop_front();
            self.budget.request(now);
        }
        self.is_alone = is_first;
        self.concurrency.sent(busy + 1);
        if is_retry || is_first || is_unrepeatable || !self.may_go_together(next, now) {
            return Turn::Send(next);
        }
        self.gather(next, now, safe)
    }

    /// Whether a call may be one of a batch: not while it is found out whether the server answers.
    fn may_go_together(&self, active: Active, now: Instant) -> bool {
        let is_call = matches!(active.errand, Errand::Call(_)) && !active.alone;
        is_call && self.sizer.size() > 1 && self.breaker.permit(now) == Permit::Normal
    }

    /// Takes what may go in one request with a call: what is begun behind it, as far as the rate lets
    /// it now. There is no waiting for more.
    fn gather(&mut self, first: Active, now: Instant, safe: Safe) -> Turn {
        let door = self.accounts[first.account as usize].door;
        let mut together = vec![first];
        while together.len() < self.sizer.size() {
            let Some((needs, next)) = self.begun.front().copied() else { break };
            // What is never sent twice needs the disk, and goes by itself.
            let fits = needs.are_met(safe)
                && !needs.on_disk
                && self.may_go_together(next, now)
                && self.accounts[next.account as usize].door == door;
            if !fits || self.limiter.take().is_err() {
                break;
            }
            self.begun.pop_front();
            self.budget.request(now);
            together.push(next);
        }
        if together.len() == 1 { Turn::Send(first) } else { Turn::Together(together) }
    }

    /// Puts back what a batch left unanswered, to be sent next.
    pub fn put_back(&mut self, active: Active) {
        self.begun.push_front((Needs { record: 0, on_disk: false }, active));
    }

    /// Requests that hold a slot.
    fn busy(&self) -> usize {
        self.in_flight + self.unrecorded
    }

    /// How many requests may be on their way at present, as long as nothing else bounds them.
    pub fn limit(&self) -> usize {
        self.concurrency.limit()
    }

    /// When the next retry may be sent, as far as it and the budget are concerned.
    fn retry_due(&mut self, now: Instant) -> Option<Instant> {
        let Reverse(Retry { due, active }) = self.retries.peek()?;
        // To ask a server whether it is back is no burden that a budget has to keep off it.
        let is_probe = self.breaker.permit(now) == Permit::Probe;
        if *due > now || self.is_retry_granted || is_probe || !self.door(active.account).is_proven {
            return Some(*due);
        }
        match self.budget.may_retry(now) {
            Ok(()) => {
                self.is_retry_granted = true;
                Some(*due)
            }
            Err(until) => Some(until),
        }
    }

    /// How many requests may be on their way now, or when to ask again.
    fn most_at_once(&self, now: Instant) -> Result<usize, Instant> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(until);
        }
        match self.breaker.permit(now) {
            Permit::Wait(until) => Err(until),
            Permit::Normal if self.is_proven() => Ok(self.concurrency.limit()),
            Permit::Normal | Permit::Probe => Ok(1),
        }
    }

    /// A call has come back, or is not waited for any more. Returns how many held a slot with it.
    pub fn landed(&mut self) -> usize {
        let busy = self.busy();
        self.in_flight -= 1;
        self.is_alone = false;
        busy
    }

    /// Puts an operation back until it is to be tried again.
    pub fn try_again(&mut self, due: Instant, active: Active) {
        self.retries.push(Reverse(Retry { due, active }));
    }

    /// Notes that an operation has ended and makes way for the next one of its mailbox.
    pub fn ended(&mut self, op: u32, account: u32, chains: &mut Chains) {
        self.queue.ended(op, account, chains);
        if self.queue.is_account_done(account) {
            self.look_after(account);
        }
    }

    /// Notes that something that was begun through an account's door came to its end.
    pub fn leave_door(&mut self, account: u32) {
        let door = self.accounts[account as usize].door;
        self.doors[door].is_tried = false;
    }

    /// Sends nothing more in this session.
    pub fn halt(&mut self, class: ErrorClass, reason: String) {
        self.halted = Some((class, reason));
        for door in &self.doors {
            if let Way::Act(transport) = door.way {
                transport.halt();
            }
        }
        self.begun.clear();
        self.sessions_to_end.clear();
        self.retries.clear();
    }
}

impl Active {
    /// Something that was not tried yet.
    fn new(errand: Errand, account: u32) -> Active {
        Active { errand, account, tries: Tries::default(), alone: false }
    }
}
