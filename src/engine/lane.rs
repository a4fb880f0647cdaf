//! One server's lane: everything that is judged per server.
//!
//! A lane has its queue, limiter, breaker and halt, and knows through which of its doors (a door is a
//! credential) a good answer has come yet: the first request through each goes alone, because a bad
//! credential sent by many at once locks the operator's address out. A dead server costs the others
//! nothing.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::accounts::{Access, Account, Chore};
use super::batching::Sizer;
use super::breaker::{Breaker, Permit};
use super::budget::Budget;
use super::concurrency::Concurrency;
use super::limiter::Limiter;
use super::limits::{Limits, MaxErrors};
use super::order::{Chains, Queue, Stage};
use super::outage::Outage;
use super::retry::Tries;
use super::spec::{Checks, LaneSpec, Way};
use super::states::{Judged, Standpoint, States};
use crate::domain::{Classes, ErrorClass, Status};
use crate::job::MailboxId;
use crate::record::{Phase, Safe};
use crate::uapi::Verdict;

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

/// A server may pause us for so long, however much longer it asks for.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Answers that are not the API's, in a row, that halt a server.
const FOREIGN_HALTS_AFTER: u32 = 3;

/// Operations are not begun further ahead: one record names them all.
const MOST_AHEAD: usize = 1000;

/// Operations that are settled without a call in one turn: there are signals to be heard too.
const MOST_SETTLED: usize = 2000;

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
                // Within a stage file order stays.
                ops.sort_by_key(|op| (last.contains(op), stages(*op)));
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

    /// Takes up what is to be begun now, so that its records are safe by the time a slot is free;
    /// `record` is the number that their record will have. An account that was not read is read
    /// first; what needs no call is settled.
    pub fn begin(
        &mut self,
        chains: &mut Chains,
        states: &States<'_>,
        record: u64,
        now: Instant,
        safe: Safe,
    ) -> Vec<Begun> {
        let mut begun = Vec::new();
        if self.halted.is_some() {
            return begun;
        }
        let needs = Needs { record, on_disk: false };
        for account in std::mem::take(&mut self.sessions_to_end) {
            self.begun.push_back((needs, Active::new(Errand::EndSessions, account)));
            begun.push(Begun::EndSessions(account));
        }
        let window = self.window();
        while self.begun.len() < window && begun.len() < MOST_SETTLED {
            let Some((next, account)) = self.whose_turn(now, safe) else { break };
            if self.accounts[account as usize].access(now, safe.on_disk) == Access::Unread {
                self.read_before(account);
                begun.push(Begun::Reading);
                continue;
            }
            let from = self.standpoint(next, account);
            let judged = match self.accounts[account as usize].left() {
                Some((class, error)) => no_state(class, error),
                None => states.judge(next, from),
            };
            if judged != Judged::Call {
                self.queue.take(account, chains);
                begun.push(Begun::Settled { op: next, account, judged });
                continue;
            }
            let errand = Errand::Call(next);
            let is_repeatable = errand.is_repeatable(states);
            // A release that was begun is never sent again, so none is begun while it could not go
            // out, but for the rate.
            let is_its_turn = self.begun.is_empty() && self.has_room(now, account);
            if !is_its_turn && !is_repeatable {
                break;
            }
            self.queue.take(account, chains);
            self.try_door(account);
            let tries = Tries::begun(from.open);
            // And what cannot be taken back must not be forgotten even if the power fails.
            let needs = Needs { on_disk: !is_repeatable, ..needs };
            self.begun.push_back((needs, Active { errand, account, tries, alone: false }));
            begun.push(Begun::Call(next));
        }
        begun
    }

    /// Reads all accounts that have operations and were not read in this session, as far as there is
    /// room. Says whether it began to read one.
    pub fn survey(&mut self) -> bool {
        let (window, before) = (self.window(), self.begun.len());
        for account in 0..u32::try_from(self.accounts.len()).unwrap_or(u32::MAX) {
            if self.halted.is_some() || self.begun.len() >= window {
                break;
            }
            let is_unread =
                !self.queue.is_account_done(account) && self.accounts[account as usize].is_to_be_surveyed();
            let door = self.door(account);
            if is_unread && (door.is_proven || !door.is_tried) {
                self.read_before(account);
            }
        }
        self.begun.len() > before
    }

    /// The operations that may be called, in file order, and from where each is judged: all but those
    /// of accounts that are left.
    pub fn to_judge(&self) -> Vec<(u32, Standpoint)> {
        let accounts = (0u32..).zip(&self.accounts).filter(|(_, account)| account.left().is_none());
        let ops = accounts.flat_map(|(number, _)| {
            let ops = self.queue.account_ops(number).iter();
            ops.map(move |op| (*op, self.standpoint(*op, number)))
        });
        let mut ops: Vec<_> = ops.collect();
        ops.sort_unstable_by_key(|(op, _)| *op);
        ops
    }

    /// Whether each account that has operations was read, or cannot be.
    pub fn is_surveyed(&self) -> bool {
        let mut accounts = (0u32..).zip(&self.accounts);
        self.halted.is_some()
            || accounts.all(|(number, account)| self.queue.is_account_done(number) || account.is_surveyed())
    }

    /// The operation whose turn it is, and its account: of those that can be called, or whose
    /// account can be read now.
    fn whose_turn(&mut self, now: Instant, safe: Safe) -> Option<(u32, u32)> {
        let Lane { accounts, doors, queue, .. } = self;
        queue.peek(|number, under_way| {
            let account = &mut accounts[number as usize];
            let door = &doors[account.door];
            (door.is_proven || !door.is_tried)
                && match account.access(now, safe.on_disk) {
                    Access::Open => true,
                    // A reading among calls could miss what they do.
                    Access::Unread => under_way == 0,
                    Access::Closed => false,
                }
        })
    }

    fn read_before(&mut self, account: u32) {
        self.try_door(account);
        self.accounts[account as usize].begin_reading();
        self.begun.push_back((Needs { record: 0, on_disk: false }, Active::new(Errand::ReadBefore, account)));
    }

    fn try_door(&mut self, account: u32) {
        let door = self.accounts[account as usize].door;
        self.doors[door].is_tried = true;
    }

    fn standpoint(&self, op: u32, account: u32) -> Standpoint {
        let looks_only = matches!(self.door(account).way, Way::Look(_));
        Standpoint { looks_only, open: self.open.contains(&op) }
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

    fn has_room(&self, now: Instant, account: u32) -> bool {
        let busy = self.busy();
        let most = if self.door(account).is_proven { usize::MAX } else { 1 };
        !self.is_alone && self.most_at_once(now).is_ok_and(|room| busy < room.min(most))
    }

    /// How many operations may be begun ahead: what a tenth of a second may need.
    fn window(&self) -> usize {
        if !self.is_proven() {
            return usize::from(self.in_flight == 0 && self.retries.is_empty());
        }
        // What goes together is begun together.
        let jobs = self.concurrency.limit() * self.sizer.size();
        match self.limits.rate.calls_per_second() {
            None => jobs.min(MOST_AHEAD),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(rate) => ((rate / 10.0) as usize).clamp(self.sizer.size(), jobs.min(MOST_AHEAD)),
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

    /// Counts the outcome of a call; says whether this server's share of failures is now too high.
    pub fn count(&mut self, status: Status, class: Option<ErrorClass>, aside: Classes) -> bool {
        if aside.has(class) {
            return false;
        }
        self.ended += 1;
        self.failed += u64::from(counts_as_error(status, class, aside));
        self.has_failed_too_often()
    }

    /// Counts an outcome of this session that a reading has corrected; says the same.
    pub fn recount(
        &mut self,
        was: Status,
        status: Status,
        class: Option<ErrorClass>,
        aside: Classes,
    ) -> bool {
        self.failed = self.failed.saturating_sub(u64::from(counts_as_error(was, None, aside)));
        self.failed += u64::from(counts_as_error(status, class, aside));
        self.has_failed_too_often()
    }

    fn has_failed_too_often(&self) -> bool {
        match self.limits.max_errors {
            MaxErrors::Percent(percent) if self.ended >= MaxErrors::JUDGED_AFTER => {
                self.failed * 100 > self.ended * u64::from(percent)
            }
            _ => false,
        }
    }

    /// Notes a good answer to an account's call, which took so long while so many held a slot.
    pub fn good(&mut self, account: u32, now: Instant, took: Duration, busy: usize) {
        self.concurrency.answered(now, took, busy);
        let door = self.accounts[account as usize].door;
        self.doors[door].is_proven = true;
        self.good_answers += 1;
        self.foreign_in_a_row = 0;
        self.breaker.good(now);
        self.outage.good();
    }

    /// Notes an answer that was not good, after it `took` so long. `wait` is how long its operation
    /// waits.
    pub fn bad(
        &mut self,
        verdict: &Verdict,
        wait: Duration,
        now: Instant,
        took: Duration,
        random: &mut fastrand::Rng,
    ) -> Bad {
        // Before a pause is set, which is then left out of the outage that begins here.
        let is_out = self.outage.failed(now, self.limits.max_outage);
        let mut rest = None;
        match verdict {
            Verdict::Throttled { after, .. } => {
                // Fewer at once is what a full server needs; one that has but one at a time already
                // can only be given time. A pause for each «no» would cost most of what it can do.
                let pause = after.or((self.concurrency.limit() == 1).then_some(wait));
                self.concurrency.pushed_back(now, took);
                if let Some(pause) = pause.map(|pause| pause.min(LONGEST_PAUSE)) {
                    self.pause(now, pause);
                    rest = Some(pause);
                }
            }
            Verdict::Foreign { class, .. } => {
                self.foreign_in_a_row += 1;
                if self.foreign_in_a_row >= FOREIGN_HALTS_AFTER {
                    return Bad::Halt(
                        *class,
                        format!("{FOREIGN_HALTS_AFTER} answers in a row were not the API's"),
                    );
                }
            }
            verdict => {
                if verdict.is_open() {
                    self.concurrency.pushed_back(now, took);
                }
                rest = self.breaker.failed(now, random);
            }
        }
        if is_out { Bad::Outage } else { Bad::GoOn { rest } }
    }

    fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause;
        let before = self.paused_until.unwrap_or(now).max(now);
        if until > before {
            self.outage.leave_out(before, until);
            self.paused_until = Some(until);
        }
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

/// How an operation ends whose account's state is required and could not be read.
fn no_state(class: ErrorClass, error: &str) -> Judged {
    let why =
        format!("the account's state could not be read ({class}: {error}), and --require-state wants it");
    Judged::End(Status::NotAttempted, Some(ErrorClass::NoState), why)
}

impl Active {
    /// Something that was not tried yet.
    fn new(errand: Errand, account: u32) -> Active {
        Active { errand, account, tries: Tries::default(), alone: false }
    }
}

/// What follows from a bad answer for its server.
#[derive(Debug, PartialEq)]
pub enum Bad {
    /// It goes on, perhaps after a rest.
    GoOn { rest: Option<Duration> },
    /// It is halted for this reason.
    Halt(ErrorClass, String),
    /// It is halted, for it has been out for too long.
    Outage,
}

/// The classes that count neither for nor against `--max-errors`: those that the operator tolerates,
/// and mailboxes that are gone, of which a leaked list is full.
pub fn left_aside(tolerated: Classes) -> Classes {
    tolerated.with(ErrorClass::NoSuchMailbox)
}

/// Whether an outcome counts for `--max-errors`.
pub fn counts_as_error(status: Status, class: Option<ErrorClass>, aside: Classes) -> bool {
    matches!(status, Status::Failed | Status::Unknown) && !aside.has(class)
}
