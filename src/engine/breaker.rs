//! The circuit breaker of one server.
//!
//! A server that does not answer gains nothing from more of the same, and neither does its
//! neighbour in the rack: after a row of failures everything to it rests, and then one request at a
//! time asks whether it is back, less and less often. After linkerd's: consecutive failures trip
//! it, an exponential wait with jitter lies between probes, and one good answer closes it. Throttling
//! is no failure (the server says itself how long to wait), and an API's «no» is a good answer.

use std::time::Duration;

use tokio::time::Instant;

use super::retry::longest_wait;

/// Failures in a row that trip it.
const TRIPS_AFTER: u32 = 5;

/// Where a server's circuit stands.
#[derive(Debug, Default)]
pub struct Breaker {
    failures_in_a_row: u32,
    /// Probes that failed since it tripped.
    failed_probes: u32,
    resting_until: Option<Instant>,
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

    /// Notes a good answer: the circuit is whole.
    pub fn good(&mut self) {
        *self = Breaker::default();
    }

    /// Notes a failure; returns the rest that begins now, if one does.
    pub fn failed(&mut self, now: Instant, random: &mut fastrand::Rng) -> Option<Duration> {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let begins = match self.permit(now) {
            Permit::Normal => self.failures_in_a_row >= TRIPS_AFTER,
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
        breaker.good();
        assert_eq!(breaker.permit(Instant::now()), Permit::Normal);
    }
}
