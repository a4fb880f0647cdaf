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

use super::breaker::{Breaker, Permit};
use super::budget::Budget;
use super::concurrency::Concurrency;
use super::limiter::Limiter;
use super::limits::{Limits, MaxErrors};
use super::order::{Chains, Queue, Stage};
use super::retry::Tries;
use crate::domain::{Classes, ErrorClass, Function, Status};
use crate::uapi::{Transport, Verdict};

/// What a lane is made of.
pub struct LaneSpec<'a> {
    /// The server's name.
    pub name: String,
    /// How to reach it: one for each credential.
    pub doors: Vec<&'a dyn Transport>,
    /// The accounts there and what is to be done in each.
    pub accounts: Vec<AccountSpec<'a>>,
    /// Operations that a try in an earlier session may have carried out.
    pub open: HashSet<u32>,
    /// Operations that wait until all others have ended.
    pub last: HashSet<u32>,
    /// Its limits.
    pub limits: Limits,
    /// What is known of it already.
    pub known: Known,
}

/// One account of a server.
pub struct AccountSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// By which of the lane's doors it is reached.
    pub door: usize,
    /// The operations to carry out there, in file order.
    pub ops: Vec<u32>,
}

/// What is known of a server when its lane opens, because it was asked something before.
#[derive(Default)]
pub struct Known {
    /// What has been taken of its rate.
    pub limiter: Option<Limiter>,
    /// The doors through which a good answer came.
    pub proven: HashSet<usize>,
    /// Good answers so far.
    pub good_answers: u64,
    /// Why nothing is to be sent to it in this session, if so.
    pub halted: Option<(ErrorClass, String)>,
    /// Whether something may be left undone because of that, though no operation is known to belong
    /// to it.
    pub may_have_work: bool,
}

impl<'a> LaneSpec<'a> {
    /// A server with one account, of which nothing is known, and these operations, none of which was
    /// ever tried or has to wait for the others.
    pub fn new(name: &str, transport: &'a dyn Transport, ops: Vec<u32>, limits: Limits) -> LaneSpec<'a> {
        LaneSpec {
            name: name.to_owned(),
            doors: vec![transport],
            accounts: vec![AccountSpec { name: "", door: 0, ops }],
            open: HashSet::new(),
            last: HashSet::new(),
            limits,
            known: Known::default(),
        }
    }
}

/// An operation that has been begun and has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Active {
    pub op: u32,
    pub account: u32,
    pub tries: Tries,
}

/// One account of a lane.
pub struct Account<'a> {
    pub name: &'a str,
    pub door: usize,
}

/// One way into a server, with a credential of its own.
pub struct Door<'a> {
    pub transport: &'a dyn Transport,
    /// Whether a good answer came through it in this session.
    is_proven: bool,
    /// Whether an operation was begun through it that has not ended, before it was proven.
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
    open: HashSet<u32>,
    /// Whether what is in flight is the first request through a door, which goes alone.
    is_alone: bool,
    /// Begun, with the number of the record that says so.
    begun: VecDeque<(u64, Active)>,
    retries: BinaryHeap<Reverse<Retry>>,
    limiter: Limiter,
    concurrency: Concurrency,
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
        (self.due, self.active.op).cmp(&(other.due, other.active.op))
    }
}

/// What a lane can do now.
pub enum Turn {
    /// Send this; its cell is taken.
    Send(Active),
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

/// Failures before an outage is called one.
const OUTAGE_FAILURES: u32 = 3;

impl<'a> Lane<'a> {
    pub fn new(spec: LaneSpec<'a>, stages: impl Fn(u32) -> Stage + 'a) -> Lane<'a> {
        let LaneSpec { name, doors, accounts, open, last, limits, known } = spec;
        let door = |(number, transport)| {
            let is_proven = known.proven.contains(&number);
            Door { transport, is_proven, is_tried: false }
        };
        let has_operations = accounts.iter().any(|account| !account.ops.is_empty());
        let (accounts, ops): (Vec<_>, Vec<_>) = accounts
            .into_iter()
            .map(|AccountSpec { name, door, mut ops }| {
                // Within a stage file order stays.
                ops.sort_by_key(|op| (last.contains(op), stages(*op)));
                (Account { name, door }, ops)
            })
            .unzip();
        Lane {
            name,
            doors: doors.into_iter().enumerate().map(door).collect(),
            accounts,
            limiter: known.limiter.unwrap_or_else(|| Limiter::new(&limits)),
            concurrency: Concurrency::new(limits.jobs.get() as usize),
            budget: Budget::new(Instant::now()),
            is_retry_granted: false,
            limits,
            in_flight: 0,
            unrecorded: 0,
            halted: None,
            had_work: has_operations || known.may_have_work,
            may_have_work: known.may_have_work,
            refused: None,
            good_answers: known.good_answers,
            queue: Queue::new(ops.into_iter(), last, stages),
            open,
            is_alone: false,
            begun: VecDeque::new(),
            retries: BinaryHeap::new(),
            breaker: Breaker::default(),
            paused_until: None,
            foreign_in_a_row: 0,
            outage: Outage::default(),
            ended: 0,
            failed: 0,
        }
    }

    /// Finds the first operations, when the chains are made.
    pub fn start(&mut self, chains: &mut Chains) {
        self.queue.start(chains);
    }

    /// All its operations.
    pub fn ops(&self) -> impl Iterator<Item = u32> {
        self.queue.ops()
    }

    /// Whether the server has given a good answer in this session.
    pub fn is_proven(&self) -> bool {
        self.good_answers > 0
    }

    /// Whether every operation has ended.
    pub fn is_done(&self) -> bool {
        self.queue.is_done()
    }

    /// Whether nothing is left to begin or to try again.
    pub fn is_through(&self) -> bool {
        self.begun.is_empty() && self.retries.is_empty() && self.queue.is_empty()
    }

    fn door(&self, account: u32) -> &Door<'a> {
        &self.doors[self.accounts[account as usize].door]
    }

    /// What can be sent now, given that records up to `written` are safe.
    pub fn turn(&mut self, now: Instant, written: u64) -> Turn {
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
        let begun = self.begun.front().filter(|(record, _)| *record <= written);
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
        Turn::Send(next)
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

    /// Takes operations from the queue that are to be begun now, so that their records are safe by
    /// the time a slot is free; `record` is the number that their record will have.
    pub fn begin(
        &mut self,
        chains: &mut Chains,
        function: impl Fn(u32) -> Function,
        record: u64,
        now: Instant,
    ) -> Vec<u32> {
        let mut begun = Vec::new();
        if self.halted.is_some() {
            return begun;
        }
        let window = self.window();
        while self.begun.len() < window {
            let may = |account| {
                let door = self.door(account);
                door.is_proven || !door.is_tried
            };
            let Some((next, account)) = self.queue.peek(may) else { break };
            // A release that was begun is never sent again, so none is begun while it could not go
            // out, but for the rate.
            let is_its_turn = self.begun.is_empty() && self.has_room(now, account);
            if !is_its_turn && !function(next).is_repeatable() {
                break;
            }
            self.queue.take(account, chains);
            let door = self.accounts[account as usize].door;
            self.doors[door].is_tried = true;
            let tries = Tries::begun(self.open.contains(&next));
            self.begun.push_back((record, Active { op: next, account, tries }));
            begun.push(next);
        }
        begun
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
        let jobs = self.concurrency.limit();
        match self.limits.rate.calls_per_second() {
            None => jobs.min(MOST_AHEAD),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(rate) => ((rate / 10.0) as usize).clamp(1, jobs.min(MOST_AHEAD)),
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

    /// Notes that an operation has ended and makes way for the next one of its mailbox; says
    /// whether this server's share of failures is now too high.
    pub fn ended(
        &mut self,
        active: &Active,
        status: Status,
        class: Option<ErrorClass>,
        aside: Classes,
        chains: &mut Chains,
    ) -> bool {
        self.queue.ended(active.op, active.account, chains);
        let door = self.accounts[active.account as usize].door;
        self.doors[door].is_tried = false;
        if aside.has(class) {
            return false;
        }
        self.ended += 1;
        self.failed += u64::from(counts_as_error(status, class, aside));
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
        self.doors.iter().for_each(|door| door.transport.halt());
        self.begun.clear();
        self.retries.clear();
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

/// How long a server has given no good answer, without the time in which it was not asked.
#[derive(Debug, Default)]
struct Outage {
    since: Option<Instant>,
    failures: u32,
    left_out_until: Option<Instant>,
}

impl Outage {
    fn good(&mut self) {
        *self = Outage::default();
    }

    fn failed(&mut self, now: Instant, longest: Duration) -> bool {
        self.failures += 1;
        let since = *self.since.get_or_insert(now);
        self.failures >= OUTAGE_FAILURES && now.saturating_duration_since(since) >= longest
    }

    /// Takes a span out of the count, once.
    fn leave_out(&mut self, from: Instant, until: Instant) {
        let from = self.left_out_until.map_or(from, |done| done.max(from));
        if let Some(since) = &mut self.since
            && until > from
        {
            *since += until - from;
            self.left_out_until = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_needs_three_failures_and_leaves_pauses_out() {
        let minute = Duration::from_secs(60);
        let mut outage = Outage::default();
        assert!(!outage.failed(Instant::now(), minute));
        tokio::time::sleep(2 * minute).await;
        assert!(!outage.failed(Instant::now(), minute), "only two failures");
        assert!(outage.failed(Instant::now(), minute));
        outage.good();
        outage.failed(Instant::now(), minute);
        let now = Instant::now();
        outage.leave_out(now, now + 2 * minute);
        outage.leave_out(now, now + 2 * minute);
        tokio::time::sleep(2 * minute).await;
        outage.failed(Instant::now(), minute);
        assert!(!outage.failed(Instant::now(), minute), "it was paused all the time");
        tokio::time::sleep(minute).await;
        assert!(outage.failed(Instant::now(), minute));
    }
}
