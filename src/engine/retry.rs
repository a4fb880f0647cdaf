//! The one place that decides whether an operation is tried again.
//!
//! Only passing faults are. What had no effect for sure may always be repeated; what may have had
//! effect only where doing it twice does no harm, which is so for every flag that is set, and not
//! for `release`, which sends queued mail. Waits grow exponentially with full jitter: that spreads
//! what failed together better than any fixed share of jitter does.

use std::time::Duration;

use crate::domain::{ErrorClass, Status};
use crate::uapi::Verdict;

/// What has been tried of one operation in this session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Tries so far.
    pub made: u32,
    /// How many of `--retries` they used up.
    used: u32,
    /// Answers that were not the API's.
    foreign: u32,
    /// One of them may have had effect without an answer that says so.
    pub open: bool,
    /// One of them got a request out.
    reached: bool,
}

/// What follows from a verdict for its operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It has ended.
    End(Status, Option<ErrorClass>),
    /// It is tried again, not before this wait is over.
    Again(Duration),
    /// Its tries are used up; this is what it ends as, unless the server is halted over it.
    UsedUp(Status, ErrorClass),
    /// The server is halted, and the operation stays as it was.
    Halt(ErrorClass),
}

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// An answer that is not the API's is tried once more, and no further: it is seldom a passing fault.
const FOREIGN_TRIES: u32 = 2;

impl Tries {
    /// Those of an operation that is begun in this session; `open` if a try in an earlier one may
    /// have had effect.
    pub fn begun(open: bool) -> Tries {
        Tries { open, ..Tries::default() }
    }

    /// Notes a try that may have had effect, and that nothing was said of: it uses up nothing.
    pub fn left_open(&mut self) {
        self.made += 1;
        self.open = true;
        self.reached = true;
    }

    /// Notes a verdict and decides what follows. `repeatable` says whether doing it twice does no
    /// harm. `proven` says whether the server has given a good
    /// answer in this session: then a try that got no request out uses up nothing.
    pub fn step(
        &mut self,
        verdict: &Verdict,
        repeatable: bool,
        retries: u32,
        proven: bool,
        random: &mut fastrand::Rng,
    ) -> Step {
        self.made += 1;
        let (class, may_repeat) = match verdict {
            Verdict::Done => return Step::End(Status::Ok, None),
            Verdict::Rejected { class, .. } => return Step::End(Status::Failed, Some(*class)),
            Verdict::Refused { .. } => return Step::Halt(ErrorClass::Auth),
            Verdict::NotSent { class, lasting: true, .. } => return Step::Halt(*class),
            Verdict::NotSent { .. } if proven => return self.again(random),
            Verdict::NotSent { class, .. } => (*class, true),
            Verdict::Throttled { .. } => {
                self.reached = true;
                (ErrorClass::Throttled, true)
            }
            Verdict::Open { class, .. } => {
                self.reached = true;
                self.open = true;
                (*class, repeatable)
            }
            Verdict::Foreign { class, open, .. } => {
                self.reached = true;
                self.open |= *open;
                self.foreign += 1;
                (*class, repeatable && self.foreign < FOREIGN_TRIES)
            }
        };
        if may_repeat && self.used < retries {
            self.used += 1;
            return self.again(random);
        }
        let status = match (self.open, self.reached) {
            (true, _) => Status::Unknown,
            (false, true) => Status::Failed,
            (false, false) => Status::NotAttempted,
        };
        Step::UsedUp(status, class)
    }

    fn again(&self, random: &mut fastrand::Rng) -> Step {
        Step::Again(longest_wait(self.made).mul_f64(random.f64()))
    }
}

/// The wait before the next try after `made` of them is drawn from zero to this.
pub fn longest_wait(made: u32) -> Duration {
    let doublings = made.saturating_sub(1).min(16);
    FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Function;

    fn open(class: ErrorClass) -> Verdict {
        Verdict::Open { class, error: String::new() }
    }

    fn not_sent() -> Verdict {
        Verdict::NotSent { class: ErrorClass::Connect, error: String::new(), lasting: false }
    }

    fn throttled() -> Verdict {
        Verdict::Throttled { after: None, error: String::new() }
    }

    fn foreign(open: bool) -> Verdict {
        Verdict::Foreign { class: ErrorClass::BadAnswer, error: String::new(), open }
    }

    /// The steps that a row of verdicts leads to, with 4 retries.
    fn steps(repeatable: bool, proven: bool, verdicts: &[Verdict]) -> Vec<Step> {
        let mut tries = Tries::default();
        let mut random = fastrand::Rng::with_seed(1);
        verdicts
            .iter()
            .map(|verdict| match tries.step(verdict, repeatable, 4, proven, &mut random) {
                Step::Again(_) => Step::Again(Duration::ZERO),
                other => other,
            })
            .collect()
    }

    const AGAIN: Step = Step::Again(Duration::ZERO);
    const SUSPEND: bool = Function::SuspendLogin.is_repeatable();

    #[test]
    fn passing_faults_are_tried_four_times_more_and_then_the_outcome_is_unknown() {
        let timeouts = vec![open(ErrorClass::Timeout); 5];
        let mut expected = vec![AGAIN; 4];
        expected.push(Step::UsedUp(Status::Unknown, ErrorClass::Timeout));
        assert_eq!(steps(SUSPEND, true, &timeouts), expected);
    }

    #[test]
    fn what_surely_had_no_effect_ends_failed_or_not_attempted() {
        let last = |verdicts: &[Verdict]| steps(SUSPEND, false, verdicts).pop();
        assert_eq!(last(&vec![throttled(); 5]), Some(Step::UsedUp(Status::Failed, ErrorClass::Throttled)));
        assert_eq!(last(&vec![not_sent(); 5]), Some(Step::UsedUp(Status::NotAttempted, ErrorClass::Connect)));
        let mut mixed = vec![not_sent(); 4];
        mixed.push(open(ErrorClass::Connect));
        assert_eq!(last(&mixed), Some(Step::UsedUp(Status::Unknown, ErrorClass::Connect)));
    }

    #[test]
    fn what_an_earlier_session_left_open_stays_open_until_the_server_says() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut last = |verdict: &Verdict| Tries::begun(true).step(verdict, SUSPEND, 0, true, &mut random);
        assert_eq!(last(&throttled()), Step::UsedUp(Status::Unknown, ErrorClass::Throttled));
        assert_eq!(last(&Verdict::Done), Step::End(Status::Ok, None));
    }

    #[test]
    fn once_a_server_has_answered_a_try_that_got_nothing_out_is_free() {
        assert!(steps(SUSPEND, true, &vec![not_sent(); 50]).iter().all(|step| *step == AGAIN));
    }

    #[test]
    fn a_page_is_tried_once_more_only() {
        let failed = Step::UsedUp(Status::Failed, ErrorClass::BadAnswer);
        assert_eq!(steps(SUSPEND, true, &[foreign(false), foreign(false)]), [AGAIN, failed]);
        let unknown = Step::UsedUp(Status::Unknown, ErrorClass::BadAnswer);
        assert_eq!(steps(SUSPEND, true, &[foreign(true), foreign(false)]), [AGAIN, unknown]);
    }

    #[test]
    fn a_release_is_repeated_only_where_it_cannot_have_had_effect() {
        let release = Function::ReleaseOutgoing.is_repeatable();
        assert_eq!(
            steps(release, true, &[not_sent(), throttled(), Verdict::Done]),
            [AGAIN, AGAIN, Step::End(Status::Ok, None)]
        );
        for (verdict, status) in [
            (open(ErrorClass::Timeout), Status::Unknown),
            (foreign(true), Status::Unknown),
            (foreign(false), Status::Failed),
        ] {
            let step = steps(release, true, &[verdict]).remove(0);
            assert!(matches!(step, Step::UsedUp(s, _) if s == status), "{step:?}");
        }
    }

    #[test]
    fn refusals_and_certificates_halt_the_server() {
        let refused = Verdict::Refused { error: String::new() };
        assert_eq!(steps(SUSPEND, true, &[refused]), [Step::Halt(ErrorClass::Auth)]);
        let tls = Verdict::NotSent { class: ErrorClass::Tls, error: String::new(), lasting: true };
        assert_eq!(steps(SUSPEND, true, &[tls]), [Step::Halt(ErrorClass::Tls)]);
    }

    #[test]
    fn waits_grow_from_half_a_second_to_thirty() {
        let seconds: Vec<f64> = (1..=9).map(|made| longest_wait(made).as_secs_f64()).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        let mut random = fastrand::Rng::with_seed(7);
        let mut waits = (0..2000).map(|_| {
            let mut tries = Tries::default();
            match tries.step(&throttled(), SUSPEND, 4, true, &mut random) {
                Step::Again(wait) => wait.as_secs_f64(),
                step => panic!("{step:?}"),
            }
        });
        let (low, high) = (waits.by_ref().take(1000).fold(1.0, f64::min), waits.fold(0.0, f64::max));
        assert!(low < 0.05 && (0.45..=0.5).contains(&high), "full jitter: {low} to {high}");
    }
}
