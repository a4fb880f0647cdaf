//! The rate of one server.
//!
//! A cell is taken for every try, reads and retries included, so that no window of any length holds
//! more than `rate × window + burst` of them: the generic cell rate algorithm, from governor. Its
//! clock is the runtime's, so that paused time governs it in tests; it never sleeps itself but says
//! when the next cell is free, and its one waiter is the lane.

use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::limits::{Limits, Rate};

/// Hands out cells at a rate; with [`Rate::Unlimited`], as many as are asked for.
pub struct Limiter {
    start: Instant,
    cells: Option<RateLimiter<NotKeyed, InMemoryState, Runtime, NoOpMiddleware<Moment>>>,
}

impl Limiter {
    /// A limiter whose burst is free at once.
    pub fn new(limits: &Limits) -> Limiter {
        let start = Instant::now();
        let cells = quota(limits.rate, limits.effective_burst())
            .map(|quota| RateLimiter::direct_with_clock(quota, Runtime { start }));
        Limiter { start, cells }
    }

    /// A limiter whose burst is used up: another process may have called a moment ago.
    pub fn emptied(limits: &Limits) -> Limiter {
        let limiter = Limiter::new(limits);
        if let Some(cells) = &limiter.cells {
            // As many as there are.
            let _ = cells.check_n(limits.effective_burst());
        }
        limiter
    }

    /// Takes a cell, or says when the next one will be free.
    ///
    /// # Errors
    /// That moment; no cell was taken.
    pub fn take(&self) -> Result<(), Instant> {
        let Some(cells) = &self.cells else { return Ok(()) };
        cells.check().map_err(|not_until| {
            // The runtime's timers count whole milliseconds and fire late, never early.
            self.start + Duration::from_nanos(not_until.earliest_possible().0)
        })
    }
}

fn quota(rate: Rate, burst: NonZeroU32) -> Option<Quota> {
    let Rate::Limited { calls, per } = rate else { return None };
    // Rounded up: a period a little too short would be over the rate.
    let period = (per.seconds() * 1_000_000_000).div_ceil(u64::from(calls.get()));
    Some(Quota::with_period(Duration::from_nanos(period))?.allow_burst(burst))
}

/// Nanoseconds since the limiter was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Add<Nanos> for Moment {
    type Output = Moment;

    fn add(self, nanos: Nanos) -> Moment {
        Moment(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Moment) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, nanos: Nanos) -> Moment {
        Moment(self.0.saturating_sub(nanos.as_u64()))
    }
}

/// The runtime's clock.
#[derive(Clone, Debug)]
pub struct Runtime {
    start: Instant,
}

impl Clock for Runtime {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate: &str, burst: Option<u32>) -> Limits {
        Limits { rate: rate.parse().unwrap(), burst: burst.and_then(NonZeroU32::new), ..Limits::default() }
    }

    /// Takes `n` cells as they come; returns when each was taken.
    async fn taken(limiter: &Limiter, n: usize) -> Vec<Instant> {
        let mut times = Vec::new();
        while times.len() < n {
            match limiter.take() {
                Ok(()) => times.push(Instant::now()),
                Err(free_at) => tokio::time::sleep_until(free_at).await,
            }
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_reached_and_not_passed_from_one_an_hour_to_5000_a_second() {
        for (rate, n) in [("1/h", 30), ("7/m", 200), ("10/s", 500), ("333/s", 3000), ("5000/s", 20_000)] {
            let limits = limits(rate, None);
            let per_second = limits.rate.calls_per_second().unwrap();
            let times = taken(&Limiter::new(&limits), n).await;
            let took = times[n - 1].duration_since(times[0]).as_secs_f64();
            let burst = f64::from(limits.effective_burst().get());
            let fastest = (n as f64 - burst) / per_second;
            assert!(took >= fastest * 0.999_999, "{rate}: {took} s for what takes {fastest} s");
            assert!(took <= fastest / 0.99 + 0.001, "{rate}: {took} s for what takes {fastest} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lull_earns_no_more_than_the_burst() {
        let limiter = Limiter::new(&limits("10/s", Some(3)));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let times = taken(&limiter, 4).await;
        assert_eq!(times[0], times[2]);
        assert!(times[3] > times[2]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        let limiter = Limiter::new(&limits("none", None));
        let times = taken(&limiter, 10_000).await;
        assert_eq!(times[0], times[9_999]);
    }
}
