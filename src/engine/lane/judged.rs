//! What answers say of their server: whether it goes on, rests or is halted.

use std::time::Duration;

use tokio::time::Instant;

use super::super::limits::MaxErrors;
use super::Lane;
use crate::domain::{Classes, ErrorClass, Status};
use crate::uapi::Verdict;

/// A server may pause us for so long, however much longer it asks for.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Answers that are not the API's, in a row, that halt a server.
const FOREIGN_HALTS_AFTER: u32 = 3;

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

impl Lane<'_> {
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
}
