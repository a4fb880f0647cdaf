//! How many retries one server gets.
//!
//! Each operation has its own tries, and still all of them together can multiply what a server in
//! trouble is asked for. So retries are at most a fifth of the first tries of the last ten seconds,
//! as in Finagle and linkerd; and one a second is let through whatever the share, or a quiet lane
//! would never try again. It delays retries and drops none.
//!
//! Not tower's `TpsBudget`, though it has the same purpose and its clock is the runtime's. Its ring
//! moves on by two slots whenever it is looked at a moment more than one slot later, and it starts
//! the next slot from that look, so that its ten seconds are between five and ten or more; its
//! reserve of one a second may then come twice, or ten at once. Nor can it say when to ask again.
//! Counted here, in whole seconds and on the safe side: retries of eleven seconds against first
//! tries of ten.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long a first try earns its share of a retry.
const SECONDS: u64 = 10;

/// First tries that earn one retry.
const PER_RETRY: u64 = 5;

/// So often one is let through in any case.
const RESERVE: Duration = Duration::from_secs(1);

/// What one server's retries may be.
///
/// A retry granted by its share makes at most a fifth of the first tries of the ten seconds that end
/// with it; any other comes at least a second after the one before.
#[derive(Debug)]
pub struct Budget {
    start: Instant,
    /// Newest last, none older than [`SECONDS`], so never more than a handful.
    counts: VecDeque<Count>,
    last_retry: Option<Instant>,
}

/// What was sent in one second since the start.
#[derive(Clone, Copy, Debug)]
struct Count {
    second: u64,
    requests: u64,
    retries: u64,
}

impl Budget {
    /// A budget that has seen nothing yet.
    pub fn new(now: Instant) -> Budget {
        Budget { start: now, counts: VecDeque::new(), last_retry: None }
    }

    /// Notes that a first try was sent.
    pub fn request(&mut self, now: Instant) {
        self.count(now).requests += 1;
    }

    /// Takes a retry from the budget, or says when to ask again at the latest: first tries that are
    /// sent until then may make it sooner.
    ///
    /// # Errors
    /// That moment; nothing was taken.
    pub fn may_retry(&mut self, now: Instant) -> Result<(), Instant> {
        let second = self.count(now).second;
        let retries: u64 = self.counts.iter().map(|count| count.retries).sum();
        let of_ten_seconds = self.counts.iter().filter(|count| count.second + SECONDS > second);
        let requests: u64 = of_ten_seconds.map(|count| count.requests).sum();
        let reserve = self.last_retry.map_or(now, |last| last + RESERVE);
        if (retries + 1) * PER_RETRY > requests && reserve > now {
            return Err(reserve);
        }
        self.count(now).retries += 1;
        self.last_retry = Some(now);
        Ok(())
    }

    /// This second's count; what is too old goes.
    fn count(&mut self, now: Instant) -> &mut Count {
        let second = now.saturating_duration_since(self.start).as_secs();
        while self.counts.front().is_some_and(|oldest| oldest.second + SECONDS < second) {
            self.counts.pop_front();
        }
        if self.counts.back().is_none_or(|newest| newest.second < second) {
            self.counts.push_back(Count { second, requests: 0, retries: 0 });
        }
        let last = self.counts.len() - 1;
        &mut self.counts[last]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What was sent to a server on which everything fails, as seconds since the start.
    struct Sent {
        first: Vec<f64>,
        retries: Vec<f64>,
        /// Tries of each operation.
        tries: Vec<u32>,
    }

    /// Sends `operations` at a rate, each of which fails until its four retries are used up. As in
    /// a lane, a retry that is due goes before an operation that is new.
    async fn all_fails(operations: usize, rate: f64) -> Sent {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut sent = Sent { first: Vec::new(), retries: Vec::new(), tries: vec![0; operations] };
        let mut due: BTreeMap<(Instant, usize), ()> = BTreeMap::new();
        let mut new = 0..operations;
        loop {
            let now = Instant::now();
            let seconds = (now - start).as_secs_f64();
            let mut next = None;
            let mut wake = None;
            if let Some((&(at, op), ())) = due.first_key_value() {
                let granted = if at > now { Err(at) } else { budget.may_retry(now) };
                match granted {
                    Ok(()) => {
                        due.pop_first();
                        sent.retries.push(seconds);
                        next = Some(op);
                    }
                    Err(at) => wake = Some(at),
                }
            }
            if next.is_none() {
                next = new.next();
                if next.is_some() {
                    budget.request(now);
                    sent.first.push(seconds);
                }
            }
            match (next, wake) {
                (Some(op), _) => {
                    sent.tries[op] += 1;
                    if sent.tries[op] < 5 {
                        due.insert((now + Duration::from_millis(300), op), ());
                    }
                    tokio::time::sleep(Duration::from_secs_f64(1.0 / rate)).await;
                }
                (None, Some(wake)) => tokio::time::sleep_until(wake).await,
                (None, None) => return sent,
            }
        }
    }

    fn within(times: &[f64], from: f64, until: f64) -> usize {
        times.partition_point(|at| *at <= until) - times.partition_point(|at| *at <= from + 1e-6)
    }

    #[tokio::test(start_paused = true)]
    async fn where_everything_fails_retries_stay_under_a_fifth_and_none_is_dropped() {
        for rate in [0.5, 2.0, 10.0, 73.0, 500.0] {
            let sent = all_fails(1000, rate).await;
            assert!(sent.tries.iter().all(|tries| *tries == 5), "at {rate}/s a retry was dropped");
            for (i, &at) in sent.retries.iter().enumerate() {
                let held = within(&sent.retries, at - 10.0, at);
                let earned = within(&sent.first, at - 10.0, at) / 5;
                let pause = if i == 0 { 1.0 } else { at - sent.retries[i - 1] };
                assert!(held <= earned || pause >= 1.0 - 1e-6, "at {rate}/s: {held} of {earned} at {at} s");
                // Of any ten seconds: what these and the ten before them earned, and the reserve.
                let earned = within(&sent.first, at - 20.0, at) / 5;
                assert!(held <= earned + 10, "at {rate}/s: {held} of {earned} at {at} s");
            }
            let last_first = sent.first[999];
            let meanwhile = within(&sent.retries, -1.0, last_first) as f64;
            // A fifth, or one a second at the low rates, is really let through.
            let expected = (200.0_f64).max(last_first * 0.9).min(3999.0);
            if last_first > 30.0 {
                assert!(meanwhile > expected * 0.85, "at {rate}/s only {meanwhile} of {expected}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_a_second_is_let_through_when_nothing_was_earned() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for second in 0..30 {
            assert_eq!(start.elapsed().as_secs(), second);
            assert_eq!(budget.may_retry(Instant::now()), Ok(()));
            let again = budget.may_retry(Instant::now()).expect_err("one a second");
            tokio::time::sleep_until(again).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_earned_is_lost_after_ten_seconds_and_spent_once() {
        let mut granted = Vec::new();
        for wait in [0, 5, 9, 11, 60] {
            let mut budget = Budget::new(Instant::now());
            for _ in 0..50 {
                budget.request(Instant::now());
            }
            tokio::time::sleep(Duration::from_secs(wait)).await;
            granted.push((0..50).filter(|_| budget.may_retry(Instant::now()).is_ok()).count());
        }
        assert_eq!(granted, [10, 10, 10, 1, 1]);
    }
}
