//! The circuit breaker of one server.
//!
//! A server that does not answer gains nothing from more of the same, and neither does its
//! neighbour in the rack: after failures in a row, or where half of all answers fail, everything to
//! it rests, and then one request at a time asks whether it is back, less and less often. After
//! linkerd's: consecutive failures trip it, an exponential wait with jitter lies between probes, and
//! one good answer closes it. Throttling is no failure (the server says itself how long to wait),
//! and an API's «no» is a good answer.
//!
//! A row alone hardly sees a server of which half is dead: where every second answer fails by chance,
//! five in a row come once in some sixty, and a good one between starts the count anew. So the share
//! counts too. Half of the answers is where a server
//! does more harm than work: a call then takes two tries in the mean, and a share that healthy
//! servers have on a bad day, say a tenth, is far from it. Twenty answers are needed, as half of
//! fewer is soon reached by chance: where a fifth fails, any twenty hold ten failures less than
//! once in three hundred times. Ten seconds are two at the default rate, and short enough that an hour of
//! good answers does not hide a minute of bad ones.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::retry::longest_wait;

/// Failures in a row that trip it.
const TRIPS_AFTER: u32 = 5;

/// How far back the share of failures is counted, in whole seconds, the present one included.
const WINDOW: u64 = 10;

/// Outcomes in the window before their share is judged.
const LEAST_OUTCOMES: u32 = 20;

/// Where a server's circuit stands.
#[derive(Debug, Default)]
pub struct Breaker {
    failures_in_a_row: u32,
    /// Probes that failed since it tripped.
    failed_probes: u32,
    resting_until: Option<Instant>,
    recent: Recent,
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// As much as the limits allow.
    Normal,
    /// One request at a time, to see whether the server is back.
    Probe,
    /// Nothing before this moment.
    Wait(Instant),
}

impl Breaker {
    /// What may be sent now.
    pub fn permit(&self, now: Instant) -> Permit {
        match self.resting_until {
            None => Permit::Normal,
            Some(until) if until > now => Permit::Wait(until),
            Some(_) => Permit::Probe,
        }
    }

    /// Notes a good answer at `now`.
    pub fn good(&mut self, now: Instant) {
        match self.permit(now) {
            Permit::Normal => {
                self.failures_in_a_row = 0;
                self.recent.note(now, false);
            }
            // The circuit is whole, and what was before it broke says nothing any more.
            Permit::Probe => *self = Breaker::default(),
            // A request from before it tripped: where half fails, the other half is still coming in.
            Permit::Wait(_) => {}
        }
    }

    /// Notes a failure; returns the rest that begins now, if one does.
    pub fn failed(&mut self, now: Instant, random: &mut fastrand::Rng) -> Option<Duration> {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let begins = match self.permit(now) {
            Permit::Normal => {
                self.recent.note(now, true);
                self.failures_in_a_row >= TRIPS_AFTER || self.recent.is_bad()
            }
            Permit::Probe => true,
            // A request from before it tripped.
            Permit::Wait(_) => false,
        };
        if !begins {
            return None;
        }
        self.failed_probes = self.failed_probes.saturating_add(1);
        // From half to all of the longest wait: full jitter could mean no rest at all.
        let rest = longest_wait(self.failed_probes + 1).mul_f64(0.5 + random.f64() / 2.0);
        self.resting_until = Some(now + rest);
        Some(rest)
    }
}

/// The outcomes of the window, counted by the second, so that it holds a handful of numbers however
/// many they are.
#[derive(Debug, Default)]
struct Recent {
    start: Option<Instant>,
    /// Newest last, as second since the start, outcomes, and failures among them.
    seconds: VecDeque<(u64, u32, u32)>,
}

impl Recent {
    fn note(&mut self, now: Instant, failed: bool) {
        let start = *self.start.get_or_insert(now);
        let second = now.saturating_duration_since(start).as_secs();
        while self.seconds.front().is_some_and(|(oldest, ..)| oldest + WINDOW <= second) {
            self.seconds.pop_front();
        }
        match self.seconds.back_mut() {
            Some((newest, outcomes, failures)) if *newest >= second => {
                *outcomes = outcomes.saturating_add(1);
                *failures = failures.saturating_add(u32::from(failed));
            }
            _ => self.seconds.push_back((second, 1, u32::from(failed))),
        }
    }

    /// Whether half or more of enough outcomes were failures.
    fn is_bad(&self) -> bool {
        let outcomes: u32 = self.seconds.iter().map(|(_, outcomes, _)| outcomes).sum();
        let failures: u32 = self.seconds.iter().map(|(.., failures)| failures).sum();
        outcomes >= LEAST_OUTCOMES && failures >= outcomes.div_ceil(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_trips_probes_ever_less_often_and_closes_with_one_good_answer() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.failed(Instant::now(), &mut random), None);
        }
        assert_eq!(breaker.permit(Instant::now()), Permit::Normal);
        let mut rests = Vec::new();
        for _ in 0..8 {
            let rest = breaker.failed(Instant::now(), &mut random).expect("rests");
            assert!(matches!(breaker.permit(Instant::now()), Permit::Wait(_)));
            assert_eq!(breaker.failed(Instant::now(), &mut random), None, "a late failure adds nothing");
            tokio::time::sleep(rest).await;
            assert_eq!(breaker.permit(Instant::now()), Permit::Probe);
            rests.push(rest.as_secs_f64());
        }
        assert!((0.5..=1.0).contains(&rests[0]), "{rests:?}");
        assert!(rests[7] > 15.0 && rests.iter().all(|rest| *rest <= 30.0), "{rests:?}");
        breaker.good(Instant::now());
        assert_eq!(breaker.permit(Instant::now()), Permit::Normal);
        assert_eq!(breaker.failed(Instant::now(), &mut random), None, "and counts afresh");
    }

    /// Feeds outcomes, one each so many milliseconds, of which every so manyth is good; returns how
    /// many it took to trip, if it did.
    async fn trips(
        breaker: &mut Breaker,
        every_ms: u64,
        outcomes: usize,
        good: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut random = fastrand::Rng::with_seed(3);
        for n in 0..outcomes {
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            let now = Instant::now();
            if good(n) {
                breaker.good(now);
            } else if breaker.failed(now, &mut random).is_some() {
                return Some(n + 1);
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn it_trips_when_half_of_twenty_outcomes_in_ten_seconds_are_failures() {
        for (every_ms, good, expected) in [
            (100, (|n| n % 2 == 0) as fn(usize) -> bool, Some(20)),
            (1, |n| n % 2 == 0, Some(20)),
            (100, |n| n % 3 == 0, Some(20)),
            (100, |n| n % 9 < 5, None),
            // Hardly two a second are needed for a judgement.
            (600, |n| n % 2 == 0, None),
            (480, |n| n % 2 == 0, Some(20)),
            // A good hour does not hide what comes after it.
            (100, |n| n < 3600 || n % 2 == 0, Some(3700)),
        ] {
            let outcome = trips(&mut Breaker::default(), every_ms, 10_000, good).await;
            match (outcome, expected) {
                (Some(n), Some(about)) => {
                    // The window holds between nine and ten seconds.
                    assert!((about - about / 300..=about + 2).contains(&n), "{every_ms} ms: {n}");
                }
                (outcome, expected) => assert_eq!(outcome, expected, "{every_ms} ms"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn good_answers_from_before_it_tripped_do_not_close_it_and_a_good_probe_clears_the_window() {
        let mut breaker = Breaker::default();
        assert!(trips(&mut breaker, 10, 100, |n| n % 2 == 0).await.is_some());
        breaker.good(Instant::now());
        let Permit::Wait(until) = breaker.permit(Instant::now()) else { panic!("it rests") };
        tokio::time::sleep_until(until).await;
        assert_eq!(breaker.permit(Instant::now()), Permit::Probe);
        breaker.good(Instant::now());
        assert_eq!(breaker.permit(Instant::now()), Permit::Normal);
        let again = trips(&mut breaker, 10, 100, |n| n % 2 == 0).await;
        assert!(again.is_some_and(|n| n >= 20), "counted afresh: {again:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_does_not_grow_with_what_it_counts() {
        let mut breaker = Breaker::default();
        trips(&mut breaker, 7, 20_000, |n| n % 4 != 0).await;
        assert!(breaker.recent.seconds.len() <= 11, "{}", breaker.recent.seconds.len());
    }
}
