//! How many requests may be on their way to one server.
//!
//! Nobody knows how many a server takes at once, so it is found out while running, up to `--jobs`:
//! more while that gains something, fewer on the first sign of a queue. The frame is Vector's
//! adaptive concurrency: rounds of a round trip, growth only where the limit was reached, at most one
//! decrease per round trip, and both back-pressure and a risen round-trip time are signs. It departs
//! from it in what a risen time means. Vector judges against a moving average, and an average moves
//! along with a queue that grows slowly, without end where the queue is long. Here the mean of a
//! round is held against the lowest that was seen (`base`), and that is kept honest by the decrease
//! itself: in a queue the time is proportional to what is in flight, so by Little's law fewer in
//! flight take proportionally less. Where they do not, it was no queue but a slower server or another
//! function; then the base rises and the decrease is taken back. A wrong decrease, from noise or from
//! a change, so costs one round, and
//! nothing has to be measured for its own sake, unless no decrease has come for long.

use std::time::Duration;

use tokio::time::Instant;

/// Where it begins: the first request of a server is alone anyway.
const FIRST: usize = 2;

/// A round's time this much over the base is a queue. Real times scatter, and half as much again on
/// the server is a queue it can bear.
const RISEN: f64 = 1.4;

/// A decrease goes this far below what the base says would do, so that a base that was itself
/// measured in a queue comes down.
const BELOW: f64 = 0.9;

/// After so many rounds without a decrease there is one to look whether the base still holds, to
/// this share. Nothing else would tell where the limit cannot grow any more.
const LOOK_AFTER: u32 = 24;
const LOOK: f64 = 0.7;

/// However much times scatter, more over the base than this and [`RISEN`] is a queue.
const MOST_ERROR: f64 = 0.6;

/// Less than so many seconds is no queue but the network's scatter, or our own.
const LEAST_QUEUE_S: f64 = 0.005;

/// The first base is the mean of so many answers.
const LEAST_KNOWN: f64 = 16.0;

/// What is left of the limit after back-pressure, as in Vector.
const PUSHED_BACK: f64 = 0.9;

/// Rounds without growth after growth was pushed back, at most.
const LONGEST_HOLD: u32 = 4;

/// Fewer answers than this say little about a mean.
const LEAST_ANSWERS: usize = 8;

/// The limit of one server, between 1 and the most allowed.
#[derive(Debug)]
pub struct Concurrency {
    most: usize,
    limit: usize,
    /// Doubling each round, until the first sign of a queue.
    doubling: bool,
    /// How much the next growth adds; it doubles with every round that bore it.
    step: usize,
    /// Whether this round is the first one of a higher limit.
    has_grown: bool,
    /// Rounds without growth after the next growth that is pushed back; they double, so that a
    /// server whose bound has been found is seldom asked for more.
    patience: u32,
    /// Rounds yet to come without growth.
    hold: u32,
    /// The mean round trip without a queue, in seconds, as far as known.
    base: Option<f64>,
    /// How many answers that rests on, in the beginning.
    known: f64,
    /// Answers yet to come to what was sent before the limit changed, which say nothing about it.
    /// Told by number: by the time sent, a round would hold the quick answers only.
    old: usize,
    /// When the limit last changed.
    changed: Option<Instant>,
    /// Rounds since the base was last looked at.
    unlooked: u32,
    round: Round,
    /// What a decrease came from, while its first round runs.
    before: Option<Before>,
}

/// The answers since the limit was last looked at.
#[derive(Debug, Default)]
struct Round {
    answers: usize,
    /// The sum of their round trips.
    seconds: f64,
    /// And of the squares of these.
    squares: f64,
    /// Whether the limit was reached: otherwise it cannot be what bounded it.
    reached: bool,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    limit: usize,
    rtt: f64,
}

impl Concurrency {
    /// A limit that may grow up to `most`; 0 counts as 1.
    pub fn new(most: usize) -> Concurrency {
        let most = most.max(1);
        Concurrency {
            most,
            limit: FIRST.min(most),
            doubling: true,
            step: 1,
            has_grown: false,
            patience: 0,
            hold: 0,
            base: None,
            known: 0.0,
            old: 0,
            changed: None,
            unlooked: 0,
            round: Round::default(),
            before: None,
        }
    }

    /// How many requests may be on their way: 1 to the most allowed.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Notes that a request was sent, with which so many are on their way.
    pub fn sent(&mut self, in_flight_after: usize) {
        self.round.reached |= in_flight_after >= self.limit;
    }

    /// Notes a good answer after `rtt`; with it, `in_flight_before` were on their way.
    pub fn answered(&mut self, now: Instant, rtt: Duration, in_flight_before: usize) {
        if self.is_old() {
            return;
        }
        self.round.reached |= in_flight_before >= self.limit;
        self.round.answers += 1;
        self.round.seconds += rtt.as_secs_f64();
        self.round.squares += rtt.as_secs_f64().powi(2);
        let enough = if self.doubling { self.limit.div_ceil(2) } else { self.limit.max(LEAST_ANSWERS) };
        if self.round.answers >= enough {
            let limit = self.limit;
            self.judge();
            self.round = Round::default();
            if self.limit != limit {
                self.changed = Some(now);
                self.old = in_flight_before.saturating_sub(1);
                if !self.doubling {
                    // And until the queue has become what the new limit makes it.
                    self.old = self.old.max(self.limit);
                }
            }
        }
    }

    /// Notes throttling, a time-out or a fault of the server, after `took`.
    pub fn pushed_back(&mut self, now: Instant, took: Duration) {
        self.is_old();
        // What was sent before the last change belongs to the burst that is answered already.
        if self.changed.is_some_and(|changed| changed + took > now) {
            return;
        }
        self.changed = Some(now);
        self.old = self.limit - 1;
        #[allow(clippy::cast_precision_loss)]
        let kept = (self.limit as f64 * PUSHED_BACK).floor();
        self.limit = rounded(kept).max(1);
        // Failures that no growth brought about are no bound.
        self.patience = if self.has_grown { (self.patience * 2).clamp(1, LONGEST_HOLD) } else { 0 };
        self.hold = self.patience;
        self.before = None;
        self.round = Round::default();
        self.begin_low();
    }

    /// Counts off an answer to what was sent before the limit changed.
    fn is_old(&mut self) -> bool {
        let old = self.old > 0;
        self.old = self.old.saturating_sub(1);
        old
    }

    /// Growth begins with the smallest step again.
    fn begin_low(&mut self) {
        self.doubling = false;
        self.has_grown = false;
        self.step = 1;
    }

    #[allow(clippy::cast_precision_loss)]
    fn judge(&mut self) {
        let answers = self.round.answers as f64;
        let rtt = self.round.seconds / answers;
        let before = self.before.take();
        let Some(base) = self.base else {
            self.base = Some(rtt);
            self.known = answers;
            return self.grow();
        };
        if !self.round.reached {
            // Whatever this is, our own requests do not queue.
            self.base = Some(base + (rtt - base) / 4.0);
            return;
        }
        if let Some(before) = before {
            return self.look_back(before, rtt, base);
        }
        // A mean of few answers, or of such as scatter, says less: two of its standard errors.
        let variance = (self.round.squares / answers - rtt * rtt).max(0.0);
        let error = (variance / answers).sqrt() / rtt;
        let error = (2.0 * error).max(1.0 / answers).min(MOST_ERROR);
        if rtt > base * (RISEN + error) && rtt - base > LEAST_QUEUE_S {
            if !self.doubling {
                self.look(rtt, (base / rtt * BELOW).max(0.5));
            }
            // Doubling looks at too little to go down by: now it looks well.
            return self.begin_low();
        }
        self.unlooked += 1;
        if self.unlooked >= LOOK_AFTER && !self.doubling {
            return self.look(rtt, LOOK);
        }
        if self.doubling && self.known < LEAST_KNOWN {
            self.base = Some((base * self.known + rtt * answers) / (self.known + answers));
            self.known += answers;
        }
        self.grow();
    }

    /// Goes down to a share of the limit, to see what that does.
    #[allow(clippy::cast_precision_loss)]
    fn look(&mut self, rtt: f64, share: f64) {
        self.unlooked = 0;
        self.before = Some(Before { limit: self.limit, rtt });
        self.limit = rounded(self.limit as f64 * share).min(self.limit - 1).max(1);
    }

    /// The first round after a decrease: what it did to the round trip says what the server takes.
    #[allow(clippy::cast_precision_loss)]
    fn look_back(&mut self, before: Before, rtt: f64, base: f64) {
        let left = rtt / before.rtt;
        let share = self.limit as f64 / before.limit as f64;
        self.base = Some(if left < share.sqrt() && rtt > base {
            // Nearer to «all was queue» than to «none was»: nearly right.
            (base + rtt) / 2.0
        } else {
            rtt
        });
        // Little's law: what it answered before, at the time it takes without the queue.
        self.limit = rounded(before.limit as f64 * left).clamp(self.limit, before.limit);
    }

    fn grow(&mut self) {
        if !self.round.reached {
            return;
        }
        if self.has_grown {
            self.patience = 0;
        }
        self.has_grown = false;
        if self.hold > 0 {
            self.hold -= 1;
            return;
        }
        let by = if self.doubling { self.limit } else { self.step.min(self.limit) };
        self.has_grown = self.limit < self.most;
        self.limit = (self.limit + by).min(self.most);
        self.doubling &= self.limit < self.most;
        self.step = (self.step * 2).min(self.most);
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(limit: f64) -> usize {
    limit.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKES: Duration = Duration::from_millis(100);

    /// A policy that has grown to its most, 32.
    fn grown() -> (Concurrency, Instant) {
        let mut now = Instant::now();
        let mut policy = Concurrency::new(32);
        for _ in 0..200 {
            now += TAKES;
            policy.answered(now, TAKES, policy.limit());
        }
        assert_eq!(policy.limit(), 32);
        (policy, now)
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_stays_between_one_and_the_most_allowed() {
        assert_eq!(Concurrency::new(0).limit(), 1);
        assert_eq!(Concurrency::new(1).limit(), 1);
        let (mut policy, mut now) = grown();
        for _ in 0..100 {
            now += TAKES;
            policy.pushed_back(now, Duration::ZERO);
        }
        assert_eq!(policy.limit(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_limit_is_not_reached_a_risen_time_is_not_its_doing() {
        let (mut policy, mut now) = grown();
        for n in 0..500 {
            now += TAKES;
            // The round that was under way then did reach it.
            policy.answered(now, if n < 64 { TAKES } else { 5 * TAKES }, 3);
            assert_eq!(policy.limit(), 32);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_failures_of_one_burst_count_once() {
        let (mut policy, sent) = grown();
        for ms in 0..32 {
            let took = Duration::from_millis(60_000 + ms);
            policy.pushed_back(sent + took, took);
        }
        assert_eq!(policy.limit(), 28);
        let now = sent + Duration::from_secs(61);
        policy.pushed_back(now, TAKES);
        assert_eq!(policy.limit(), 25, "what was sent afterwards is another burst");
    }

    #[tokio::test(start_paused = true)]
    async fn growth_that_is_pushed_back_again_and_again_is_tried_less_and_less_often() {
        let mut now = Instant::now();
        let mut policy = Concurrency::new(32);
        let mut waits = Vec::new();
        for _ in 0..6 {
            let mut answers = 0;
            while policy.limit() < 4 {
                now += TAKES;
                policy.answered(now, TAKES, policy.limit());
                answers += 1;
            }
            waits.push(answers);
            now += TAKES;
            policy.pushed_back(now, Duration::ZERO);
        }
        assert!(waits.is_sorted() && waits[5] >= 2 * waits[1] && waits[5] <= 90, "{waits:?}");
    }
}
