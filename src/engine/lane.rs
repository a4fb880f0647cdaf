//! One server's lane: everything that is judged per server.
//!
//! A lane has its queue, limiter, breaker and halt, and knows whether its server has given a good
//! answer yet: until it has, one request is on its way at a time, because a bad credential sent by
//! many at once locks the operator's address out. A dead server costs the others nothing.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Permit};
use super::limiter::Limiter;
use super::limits::{Limits, MaxErrors};
use super::order::{Chains, Queue};
use super::retry::Tries;
use crate::domain::{ErrorClass, Function, Status};
use crate::uapi::{Transport, Verdict};

/// What a lane is made of.
pub struct LaneSpec<'a> {
    /// The server's name.
    pub name: String,
    /// How to reach it.
    pub transport: &'a dyn Transport,
    /// The operations to carry out there, in the order of the calls.
    pub ops: Vec<u32>,
    /// Those of them that a try in an earlier session may have carried out.
    pub open: HashSet<u32>,
    /// How many of them, at the end, wait until all others have ended.
    pub last: usize,
    /// Its limits.
    pub limits: Limits,
}

impl<'a> LaneSpec<'a> {
    /// A server with these operations, none of which was ever tried or has to wait for the others.
    pub fn new(name: &str, transport: &'a dyn Transport, ops: Vec<u32>, limits: Limits) -> LaneSpec<'a> {
        LaneSpec { name: name.to_owned(), transport, ops, open: HashSet::new(), last: 0, limits }
    }
}

/// An operation that has been begun and has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Active {
    pub op: u32,
    pub tries: Tries,
}

pub struct Lane<'a> {
    pub name: String,
    pub transport: &'a dyn Transport,
    pub limits: Limits,
    pub in_flight: usize,
    /// Calls that have come back and whose outcome is not written yet. Should the process die now,
    /// they are made again like those in flight, so they keep their slots.
    pub unrecorded: usize,
    pub halted: Option<(ErrorClass, String)>,
    /// Whether it had anything to do at all.
    pub had_work: bool,
    /// Good answers in this session.
    pub good_answers: u64,
    queue: Queue,
    open: HashSet<u32>,
    /// Begun, with the number of the record that says so.
    begun: VecDeque<(u64, Active)>,
    retries: BinaryHeap<Reverse<Retry>>,
    limiter: Limiter,
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
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Answers that are not the API's, in a row, that halt a server.
const FOREIGN_HALTS_AFTER: u32 = 3;

/// Operations are not begun further ahead: one record names them all.
const MOST_AHEAD: usize = 1000;

/// Failures before an outage is called one.
const OUTAGE_FAILURES: u32 = 3;

impl<'a> Lane<'a> {
    pub fn new(spec: LaneSpec<'a>) -> Lane<'a> {
        Lane {
            name: spec.name,
            transport: spec.transport,
            limiter: Limiter::new(&spec.limits),
            limits: spec.limits,
            in_flight: 0,
            unrecorded: 0,
            halted: None,
            had_work: !spec.ops.is_empty(),
            good_answers: 0,
            queue: Queue::new(spec.ops, spec.last),
            open: spec.open,
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

    /// Whether the server has given a good answer in this session.
    pub fn is_proven(&self) -> bool {
        self.good_answers > 0
    }

    /// Whether every operation has ended.
    pub fn is_done(&self) -> bool {
        self.queue.is_done()
    }

    /// Whether nothing is left to begin or to try again.
    pub fn is_through(&mut self, chains: &mut Chains) -> bool {
        self.begun.is_empty() && self.retries.is_empty() && self.queue.peek(chains).is_none()
    }

    /// What can be sent now, given that records up to `written` are safe.
    pub fn turn(&mut self, now: Instant, written: u64) -> Turn {
        if self.halted.is_some() {
            return Turn::Rest;
        }
        match self.most_at_once(now) {
            Err(until) => return Turn::Wait(until),
            Ok(most) if self.in_flight + self.unrecorded >= most => return Turn::Rest,
            Ok(_) => {}
        }
        let due = self.retries.peek().map(|Reverse(retry)| retry.due);
        let retry_is_due = due.is_some_and(|due| due <= now);
        // The first operation is alone until the server has answered it well.
        let may_begin = self.is_proven() || due.is_none();
        let is_ready = may_begin && self.begun.front().is_some_and(|(record, _)| *record <= written);
        if !retry_is_due && !is_ready {
            return due.map_or(Turn::Rest, Turn::Wait);
        }
        if let Err(free_at) = self.limiter.take() {
            if self.in_flight == 0 {
                self.outage.leave_out(now, free_at);
            }
            return Turn::Wait(free_at);
        }
        let active = if retry_is_due {
            self.retries.pop().map(|Reverse(retry)| retry.active)
        } else {
            self.begun.pop_front().map(|(_, active)| active)
        };
        active.map_or(Turn::Rest, Turn::Send)
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
            let Some(next) = self.queue.peek(chains) else { break };
            // A release that was begun is never sent again, so none is begun while it could not go
            // out, but for the rate.
            let is_its_turn = self.begun.is_empty() && self.has_room(now);
            if !is_its_turn && !function(next).is_repeatable() {
                break;
            }
            self.queue.take(chains);
            let tries = Tries::begun(self.open.contains(&next));
            self.begun.push_back((record, Active { op: next, tries }));
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
            Permit::Normal if self.is_proven() => Ok(self.limits.jobs.get() as usize),
            Permit::Normal | Permit::Probe => Ok(1),
        }
    }

    fn has_room(&self, now: Instant) -> bool {
        self.most_at_once(now).is_ok_and(|most| self.in_flight + self.unrecorded < most)
    }

    /// How many operations may be begun ahead: what a tenth of a second may need.
    fn window(&self) -> usize {
        if !self.is_proven() {
            return usize::from(self.in_flight == 0 && self.retries.is_empty());
        }
        let jobs = self.limits.jobs.get() as usize;
        match self.limits.rate.calls_per_second() {
            None => jobs.min(MOST_AHEAD),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(rate) => ((rate / 10.0) as usize).clamp(1, jobs.min(MOST_AHEAD)),
        }
    }

    /// Puts an operation back until it is to be tried again.
    pub fn try_again(&mut self, due: Instant, active: Active) {
        self.retries.push(Reverse(Retry { due, active }));
    }

    /// Notes that an operation has ended and makes way for the next one of its mailbox; says
    /// whether this server's share of failures is now too high.
    pub fn ended(&mut self, op: u32, status: Status, class: Option<ErrorClass>, chains: &mut Chains) -> bool {
        self.queue.ended(op, chains);
        if class == Some(ErrorClass::NoSuchMailbox) {
            return false;
        }
        self.ended += 1;
        self.failed += u64::from(counts_as_error(status, class));
        match self.limits.max_errors {
            MaxErrors::Percent(percent) if self.ended >= MaxErrors::JUDGED_AFTER => {
                self.failed * 100 > self.ended * u64::from(percent)
            }
            _ => false,
        }
    }

    /// Notes a good answer.
    pub fn good(&mut self) {
        self.good_answers += 1;
        self.foreign_in_a_row = 0;
        self.breaker.good();
        self.outage.good();
    }

    /// Notes an answer that was not good. `wait` is how long its operation waits.
    pub fn bad(
        &mut self,
        verdict: &Verdict,
        wait: Duration,
        now: Instant,
        random: &mut fastrand::Rng,
    ) -> Bad {
        // Before a pause is set, which is then left out of the outage that begins here.
        let is_out = self.outage.failed(now, self.limits.max_outage);
        let mut rest = None;
        match verdict {
            Verdict::Throttled { after, .. } => {
                let pause = after.unwrap_or(wait).min(LONGEST_PAUSE);
                self.pause(now, pause);
                rest = Some(pause);
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
            _ => rest = self.breaker.failed(now, random),
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

/// Whether an outcome counts for `--max-errors`: a leaked list is full of mailboxes that are gone.
pub fn counts_as_error(status: Status, class: Option<ErrorClass>) -> bool {
    matches!(status, Status::Failed | Status::Unknown) && class != Some(ErrorClass::NoSuchMailbox)
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
