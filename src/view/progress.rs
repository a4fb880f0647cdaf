//! How far a session is: counting events, the rate, the time left, and the line that says so.
//!
//! Counting happens in the engine's thread at 25,000 events a second and so allocates nothing. The
//! rate is a mean over the last ten seconds or so, weighted towards the newest: a plain mean over
//! the session would hide that a server has slowed down, a shorter one jumps about. Operations
//! that are given up without a call (their server was halted) are no work done: they count neither
//! as done nor for the rate, but nor are they left to do.

use std::time::Duration;

use crate::domain::Status;

use super::terminal::Style;
use super::words::{count, rate, span};

/// The figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// Operations of the job, those done in earlier sessions included.
    pub total: u64,
    /// Operations that have ended, earlier sessions included, without those not attempted.
    pub done: u64,
    /// Operations of this session that ended `failed` or `unknown`.
    pub failed: u64,
    /// Operations of this session that were given up without a call.
    pub not_attempted: u64,
    /// Calls in flight.
    pub in_flight: usize,
    /// Operations a second, lately; 0 while unknown. At the end, over the whole session.
    pub rate: f64,
    /// Nothing more will come, even if something is left.
    pub over: bool,
}

impl Progress {
    /// Counts the end of an operation.
    pub(super) fn ended(&mut self, status: Status) {
        match status {
            Status::NotAttempted => self.not_attempted += 1,
            Status::Failed | Status::Unknown => {
                self.failed += 1;
                self.done += 1;
            }
            _ => self.done += 1,
        }
    }

    /// Counts an operation that had ended otherwise before.
    pub(super) fn corrected(&mut self, before: Status, now: Status) {
        let is_failure = |status| matches!(status, Status::Failed | Status::Unknown);
        self.failed = self.failed.saturating_sub(u64::from(is_failure(before))) + u64::from(is_failure(now));
    }

    /// The last figures, of a session that took `elapsed` for `done` operations.
    pub(super) fn at_the_end(self, done: u64, elapsed: Duration) -> Progress {
        // Of a shorter session the clock tells more than the rate.
        let rate = if elapsed.as_secs() > 0 { done as f64 / elapsed.as_secs_f64() } else { 0.0 };
        Progress { in_flight: 0, rate, over: true, ..self }
    }

    /// Operations still to come.
    fn remaining(&self) -> u64 {
        self.total.saturating_sub(self.done).saturating_sub(self.not_attempted)
    }

    /// The time that the rest takes at the present rate.
    pub(super) fn left(&self) -> Option<Duration> {
        let seconds = self.remaining() as f64 / self.rate;
        // Beyond some months it is no estimate but a standstill.
        (!self.over && seconds.is_finite() && self.remaining() > 0 && seconds < 1e7)
            .then(|| Duration::from_secs_f64(seconds))
    }

    /// Rounded down, so that 100 means all.
    pub(super) fn percent(&self) -> u64 {
        let percent = u128::from(self.done) * 100 / u128::from(self.total.max(1));
        percent.min(100) as u64
    }

    /// For a line of its own: `1,234 of 25,000 done, 4%, 9.8/s, 3 failed, 4 in flight, 40m 10s left`.
    pub(super) fn sentence(&self) -> String {
        let mut out = format!("{} of {} done, {}%", count(self.done), count(self.total), self.percent());
        let rest = [self.speed(), self.failures(), self.given_up(), self.flying(), self.time_left()];
        for part in rest.into_iter().flatten() {
            out.push_str(", ");
            out.push_str(&part);
        }
        out
    }

    /// For behind the bar: as much of it as fits into `width`, the least needed left out first.
    pub(super) fn figures(&self, width: usize, style: Style) -> String {
        // In the order shown, each with its worth.
        let mut parts: Vec<(u8, String)> = vec![
            (9, format!("{}/{}", count(self.done), count(self.total))),
            (4, format!("{}%", self.percent())),
        ];
        parts.extend(self.speed().map(|text| (5, text)));
        parts.extend(self.failures().map(|text| (8, text)));
        parts.extend(self.given_up().map(|text| (6, text)));
        parts.extend(self.flying().map(|text| (3, text)));
        parts.extend(self.time_left().map(|text| (7, text)));
        let length = |parts: &[(u8, String)]| {
            parts.iter().map(|(_, text)| text.chars().count() + 2).sum::<usize>().saturating_sub(2)
        };
        while length(&parts) > width && parts.len() > 1 {
            let least = parts.iter().enumerate().min_by_key(|(_, (worth, _))| *worth).map_or(0, |(i, _)| i);
            parts.remove(least);
        }
        if length(&parts) > width {
            return String::new();
        }
        let painted = parts.iter().map(|(worth, text)| match worth {
            8 => style.red(text),
            6 => style.yellow(text),
            _ => text.clone(),
        });
        painted.collect::<Vec<_>>().join("  ")
    }

    /// A rate of nothing says that a run stands still, but not of one that is over.
    fn speed(&self) -> Option<String> {
        (!self.over || self.rate > 0.0).then(|| rate(self.rate))
    }

    fn failures(&self) -> Option<String> {
        (self.failed > 0).then(|| format!("{} failed", count(self.failed)))
    }

    fn given_up(&self) -> Option<String> {
        (self.not_attempted > 0).then(|| format!("{} not attempted", count(self.not_attempted)))
    }

    fn flying(&self) -> Option<String> {
        (self.in_flight > 0).then(|| format!("{} in flight", self.in_flight))
    }

    fn time_left(&self) -> Option<String> {
        self.left().map(|left| format!("{} left", span(left)))
    }
}

/// Turns counts at moments into a rate. Fed with time, so that it can be tested without waiting.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    last: Option<(Duration, u64)>,
    mean: f64,
    weight: f64,
}

/// How far back the mean reaches, as the time constant of its weights.
const MEMORY_SECONDS: f64 = 10.0;

/// Two looks that are closer together than this say nothing about a rate.
const SHORTEST_STEP: Duration = Duration::from_millis(50);

impl Pace {
    /// `done` operations have been done at the moment `now`. Gives the rate.
    pub(super) fn at(&mut self, now: Duration, done: u64) -> f64 {
        let Some((then, before)) = self.last else {
            self.last = Some((now, done));
            return 0.0;
        };
        let step = now.saturating_sub(then);
        if step >= SHORTEST_STEP {
            let seconds = step.as_secs_f64();
            let keep = (-seconds / MEMORY_SECONDS).exp();
            self.mean = keep * self.mean + (1.0 - keep) * done.saturating_sub(before) as f64 / seconds;
            self.weight = keep * self.weight + (1.0 - keep);
            self.last = Some((now, done));
        }
        // Divided by the weight, so that the first seconds are not drawn towards a rate of nothing.
        if self.weight > 0.0 { self.mean / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDWAY: Progress = Progress {
        total: 25_000,
        done: 1_234,
        failed: 3,
        not_attempted: 0,
        in_flight: 4,
        rate: 9.84,
        over: false,
    };

    #[test]
    fn the_sentence_says_everything() {
        let text = "1,234 of 25,000 done, 4%, 9.8/s, 3 failed, 4 in flight, 40m 15s left";
        assert_eq!(MIDWAY.sentence(), text);
        let end = Progress { total: 10, done: 10, rate: 5.0, ..Progress::default() };
        assert_eq!(end.sentence(), "10 of 10 done, 100%, 5.0/s");
        assert_eq!(Progress::default().sentence(), "0 of 0 done, 0%, 0.0/s");
    }

    #[test]
    fn what_is_over_has_no_time_left_and_the_rate_of_the_whole() {
        let end = MIDWAY.at_the_end(1_000, Duration::from_secs(200));
        assert_eq!(end.sentence(), "1,234 of 25,000 done, 4%, 5.0/s, 3 failed");
        assert_eq!(end.figures(80, Style::PLAIN), "1,234/25,000  4%  5.0/s  3 failed");
        let short = MIDWAY.at_the_end(1_000, Duration::from_millis(3));
        assert_eq!(short.sentence(), "1,234 of 25,000 done, 4%, 3 failed");
    }

    #[test]
    fn a_narrow_place_gets_what_matters_most() {
        let at = |width| MIDWAY.figures(width, Style::PLAIN);
        assert_eq!(at(80), "1,234/25,000  4%  9.8/s  3 failed  4 in flight  40m 15s left");
        assert_eq!(at(50), "1,234/25,000  4%  9.8/s  3 failed  40m 15s left");
        assert_eq!(at(40), "1,234/25,000  3 failed  40m 15s left");
        assert_eq!(at(25), "1,234/25,000  3 failed");
        assert_eq!(at(12), "1,234/25,000");
        assert_eq!(at(11), "", "a number cut short would be a wrong number");
        for width in 0..100 {
            assert!(at(width).chars().count() <= width);
        }
    }

    #[test]
    fn what_was_given_up_is_neither_done_nor_left_to_do() {
        let mut progress = Progress { total: 100, done: 40, rate: 1.0, ..Progress::default() };
        for _ in 0..50 {
            progress.ended(Status::NotAttempted);
        }
        progress.ended(Status::Failed);
        progress.ended(Status::Unknown);
        progress.ended(Status::Ok);
        assert_eq!((progress.done, progress.failed, progress.not_attempted), (43, 2, 50));
        assert_eq!(progress.left(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn hundred_percent_means_all() {
        let percent = |done, total| Progress { total, done, ..Progress::default() }.percent();
        assert_eq!(percent(999, 1000), 99);
        assert_eq!(percent(1000, 1000), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn the_rate_is_right_from_the_start_and_follows_a_change() {
        let mut pace = Pace::default();
        let mut rate = 0.0;
        for tick in 0..=10u32 {
            rate = pace.at(Duration::from_millis(100) * tick, u64::from(tick) * 2);
        }
        assert!((19.0..21.0).contains(&rate), "{rate}");
        for tick in 11..=600u32 {
            rate = pace.at(Duration::from_millis(100) * tick, 20 + u64::from(tick - 10) / 5);
        }
        assert!((1.8..2.5).contains(&rate), "{rate}");
        assert_eq!(Progress { total: 10, rate: 0.0, ..Progress::default() }.left(), None);
    }
}
