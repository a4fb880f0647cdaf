//! How long a server has been out.

use std::time::Duration;

use tokio::time::Instant;

/// Failures before an outage is called one.
const OUTAGE_FAILURES: u32 = 3;

/// How long a server has given no good answer, without the time in which it was not asked.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
    failures: u32,
    left_out_until: Option<Instant>,
}

impl Outage {
    /// Notes a good answer.
    pub fn good(&mut self) {
        *self = Outage::default();
    }

    /// Notes a failure; says whether it has been out for too long.
    pub fn failed(&mut self, now: Instant, longest: Duration) -> bool {
        self.failures += 1;
        let since = *self.since.get_or_insert(now);
        self.failures >= OUTAGE_FAILURES && now.saturating_duration_since(since) >= longest
    }

    /// Takes a span out of the count, once.
    pub fn leave_out(&mut self, from: Instant, until: Instant) {
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
