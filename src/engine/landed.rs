//! What follows from an answer: for its operation or its account, and for its server.

mod accounts;

use std::time::Duration;

use tokio::time::Instant;

use super::event::{Event, Tried};
use super::lane::{Active, Bad, Errand, counts_as_error};
use super::limits::MaxErrors;
use super::retry::Step;
use super::run::{Back, Landed, Load, Outcome, Reply, Run, number, subject};
use super::session::Stop;
use super::spec::{Fault, Unverified};
use crate::domain::{ErrorClass, Function, Status};
use crate::record::{Attempt, Ended, Entry, Phase, Stamp};
use crate::uapi::{Found, Together, Verdict};

/// An answer, once it is known what follows from it.
struct Landing {
    index: usize,
    active: Active,
    sent: Instant,
    sent_at: Stamp,
    ms: u32,
    http: Option<u16>,
    found: Found,
    /// How it ends, if it does.
    outcome: Option<(Status, Option<ErrorClass>)>,
    /// The class of what went wrong.
    class: Option<ErrorClass>,
    error: String,
    /// Whether the call may have had effect without an answer that says so.
    open: bool,
    /// When it is tried again, if it is.
    again: Option<Instant>,
    /// How long until then, rests included.
    wait: Option<Duration>,
}

/// A request's way: to which server, when it was sent, and when it was back.
#[derive(Clone, Copy)]
struct Trip {
    index: usize,
    sent: Instant,
    sent_at: Stamp,
    now: Instant,
}

impl Trip {
    fn ms(self) -> u32 {
        u32::try_from((self.now - self.sent).as_millis()).unwrap_or(u32::MAX)
    }
}

impl Run<'_, '_> {
    /// A request has come back.
    pub(super) fn landed(&mut self, landed: Landed) {
        let Landed { lane, load, sent, sent_at, back } = landed;
        let now = Instant::now();
        let trip = Trip { index: lane, sent, sent_at, now };
        match (load, back) {
            (Load::One(active), Back::One(reply)) => self.one_landed(trip, active, reply),
            (Load::Many(many), Back::Many(together)) => self.many_landed(trip, many, together),
            // What was sent as one comes back as one.
            _ => {}
        }
    }

    fn one_landed(&mut self, trip: Trip, mut active: Active, reply: Reply) {
        let Reply { http_status: http, verdict, found } = reply;
        if let Errand::Call(op) = active.errand {
            self.under_way.retain(|(_, known, _)| *known != op);
        }
        let busy = self.lanes[trip.index].landed();
        if verdict.is_called_back() {
            // The server is halted, or the refusal that halts it comes next: this is left with all
            // the rest.
            return;
        }
        let proven = self.lanes[trip.index].is_proven();
        let step = self.step(trip.index, &mut active, &verdict);
        let bad = self.judge_server(trip, active.account, &step, &verdict, busy);
        let used_up_unproven = matches!(step, Step::UsedUp(..)) && !proven;
        let tries = active.tries.made;
        let (class, error) = (verdict.class().unwrap_or(ErrorClass::Api), verdict.clone().into_error());
        let landing = self.landing(trip, active, http, verdict, found, step, &bad);
        self.conclude(landing);
        let unproven = used_up_unproven.then_some(tries);
        self.act_on_server(trip.index, bad, class, error, unproven);
    }

    /// A batch has come back: each of its calls goes on as if it had been by itself, and the server
    /// is judged once.
    fn many_landed(&mut self, trip: Trip, many: Vec<Active>, together: Together) {
        let Together { http_status: http, verdict, verdicts, reached, refusal } = together;
        let ops: Vec<u32> = many.iter().filter_map(|active| active.errand.op()).collect();
        self.under_way.retain(|(_, known, _)| !ops.contains(known));
        let index = trip.index;
        let busy = self.lanes[index].landed();
        let Some(first) = many.first().copied() else { return };
        if verdict.is_called_back() {
            return;
        }
        self.size_batches(index, &verdict, &verdicts, refusal.as_deref());
        if verdict == Verdict::Done {
            self.lanes[index].good(first.account, trip.now, trip.now - trip.sent, busy);
            let is_over = self.stop.is_some() || self.lanes[index].halted.is_some();
            let calls = many.into_iter().zip(verdicts).enumerate();
            // From the last to the first, so that what is put back keeps its order.
            for (place, (mut active, answer)) in calls.rev() {
                match answer {
                    Some(answer) => {
                        let step = self.step(index, &mut active, &answer);
                        let bad = Bad::GoOn { rest: None };
                        let landing = self.landing(trip, active, http, answer, Found::Nothing, step, &bad);
                        self.conclude(landing);
                    }
                    None => self.unanswered(trip, active, http, reached, place, is_over),
                }
            }
            return;
        }
        let (class, error) = (verdict.class().unwrap_or(ErrorClass::Api), verdict.clone().into_error());
        let mut bad = None;
        for mut active in many {
            let step = self.step(index, &mut active, &verdict);
            let bad =
                bad.get_or_insert_with(|| self.judge_server(trip, active.account, &step, &verdict, busy));
            // It is shared, and each goes on by itself.
            active.alone = true;
            let landing = self.landing(trip, active, http, verdict.clone(), Found::Nothing, step, bad);
            self.conclude(landing);
        }
        if let Some(bad) = bad {
            self.act_on_server(index, bad, class, error, None);
        }
    }

    /// A call of a batch whose answer says nothing of it: it was not run, or perhaps it was.
    fn unanswered(
        &mut self,
        trip: Trip,
        mut active: Active,
        http: Option<u16>,
        reached: Option<usize>,
        place: usize,
        is_over: bool,
    ) {
        let was_not_run = reached.is_some_and(|reached| place >= reached);
        if !was_not_run {
            active.alone = true;
            active.tries.left_open();
            if let Errand::Call(op) = active.errand {
                self.batch.push(Entry::Try(Attempt {
                    at: trip.sent_at,
                    op,
                    server: number(trip.index),
                    ms: trip.ms(),
                    class: ErrorClass::BadAnswer,
                    http,
                    open: true,
                    error: "the answer to a batch does not say what became of this call".into(),
                }));
            }
        }
        if !is_over {
            self.lanes[trip.index].put_back(active);
        }
    }

    /// What a batch says of how many calls may go together.
    fn size_batches(
        &mut self,
        index: usize,
        verdict: &Verdict,
        verdicts: &[Option<Verdict>],
        refusal: Option<&str>,
    ) {
        let lane = &mut self.lanes[index];
        let is_answered = verdicts.iter().any(Option::is_some);
        let ends = match verdict {
            Verdict::Done if is_answered => {
                lane.sizer.answered();
                false
            }
            Verdict::Done => lane.sizer.silent(),
            // Too long, too slow, or something that knows no batches.
            Verdict::Open { class: ErrorClass::Timeout, .. } | Verdict::Foreign { .. } => lane.sizer.end(),
            _ => false,
        };
        if ends {
            let said = verdict.clone().into_error();
            let why = refusal.unwrap_or(&said);
            let why = if why.is_empty() { "its answers name no single call" } else { why };
            self.observer.on(&Event::Singly { server: &self.lanes[index].name, reason: why });
        }
    }

    /// What an answer means for its operation or errand.
    fn step(&mut self, index: usize, active: &mut Active, verdict: &Verdict) -> Step {
        let is_repeatable = active.errand.is_repeatable(&self.states);
        let lane = &self.lanes[index];
        let (retries, proven) = (lane.limits.retries, lane.is_proven());
        active.tries.step(verdict, is_repeatable, retries, proven, &mut self.random)
    }

    /// What it means for its server.
    fn judge_server(&mut self, trip: Trip, account: u32, step: &Step, verdict: &Verdict, busy: usize) -> Bad {
        let took = trip.now - trip.sent;
        let lane = &mut self.lanes[trip.index];
        match step {
            Step::End(..) => {
                lane.good(account, trip.now, took, busy);
                Bad::GoOn { rest: None }
            }
            Step::Halt(class) => {
                if *class == ErrorClass::Auth {
                    lane.refused = Some(lane.accounts[account as usize].door);
                }
                Bad::Halt(*class, halt_reason(verdict, lane.good_answers))
            }
            Step::UsedUp(..) => lane.bad(verdict, Duration::ZERO, trip.now, took, &mut self.random),
            Step::Again(wait) => lane.bad(verdict, *wait, trip.now, took, &mut self.random),
        }
    }

    /// Puts together what follows.
    #[expect(clippy::too_many_arguments, reason = "all that is known of an answer")]
    fn landing(
        &self,
        trip: Trip,
        active: Active,
        http: Option<u16>,
        verdict: Verdict,
        found: Found,
        step: Step,
        bad: &Bad,
    ) -> Landing {
        let lane = &self.lanes[trip.index];
        let proven = lane.is_proven();
        let wait = if let Step::Again(wait) = step { wait } else { Duration::ZERO };
        let is_over = self.stop.is_some() || lane.halted.is_some();
        let used_up_unproven = matches!(step, Step::UsedUp(..)) && !proven;
        let goes_on = matches!(bad, Bad::GoOn { .. }) && !used_up_unproven && !is_over;
        let outcome = match step {
            Step::End(status, class) => Some((status, class)),
            Step::UsedUp(status, class) if proven => Some((status, Some(class))),
            _ => None,
        };
        Landing {
            index: trip.index,
            active,
            sent: trip.sent,
            sent_at: trip.sent_at,
            ms: trip.ms(),
            http,
            found,
            outcome,
            class: verdict.class(),
            open: verdict.is_open(),
            error: verdict.into_error(),
            again: (goes_on && outcome.is_none()).then(|| trip.now + wait),
            wait: goes_on.then_some(match bad {
                Bad::GoOn { rest: Some(rest) } => wait.max(*rest),
                _ => wait,
            }),
        }
    }

    /// What follows for its operation or account.
    fn conclude(&mut self, landing: Landing) {
        if landing.outcome.is_some() {
            self.lanes[landing.index].leave_door(landing.active.account);
        }
        match landing.active.errand {
            Errand::Call(op) => self.call_landed(op, landing),
            Errand::ReadBefore => self.reading_landed(Phase::Before, landing),
            Errand::ReadAfter => self.reading_landed(Phase::After, landing),
            Errand::EndSessions => self.sessions_landed(landing),
        }
    }

    /// What follows for its server. `unproven` is how many tries its first call has used up in vain.
    fn act_on_server(
        &mut self,
        index: usize,
        bad: Bad,
        class: ErrorClass,
        error: String,
        unproven: Option<u32>,
    ) {
        match bad {
            Bad::Halt(class, reason) if error.is_empty() => self.halt(index, class, reason),
            Bad::Halt(class, reason) if reason.is_empty() => self.halt(index, class, error),
            Bad::Halt(class, reason) => self.halt(index, class, format!("{reason}: {error}")),
            Bad::Outage => {
                let limit = humantime::format_duration(self.lanes[index].limits.max_outage);
                self.halt(index, class, format!("no good answer for {limit}: {error}"));
            }
            Bad::GoOn { .. } if unproven.is_some() => {
                let tries = unproven.unwrap_or_default();
                let reason = format!("the first call got no good answer in {tries} tries: {error}");
                self.halt(index, class, reason);
            }
            Bad::GoOn { rest: Some(pause) } if !pause.is_zero() => {
                let server = &self.lanes[index].name;
                let is_asked = class == ErrorClass::Throttled;
                let reason = if is_asked { error } else { format!("failures in a row: {error}") };
                self.observer.on(&Event::Paused { server, pause, reason: &reason });
            }
            Bad::GoOn { .. } => {}
        }
    }

    /// An operation's call has come back.
    fn call_landed(&mut self, op: u32, landing: Landing) {
        let Landing { index, active, sent_at, ms, http, class, open, ref error, .. } = landing;
        let Some((status, class)) = landing.outcome else {
            let class = class.unwrap_or(ErrorClass::Api);
            self.batch.push(Entry::Try(Attempt {
                at: sent_at,
                op,
                server: number(index),
                ms,
                class,
                http,
                open,
                error: error.as_str().into(),
            }));
            self.observer.on(&Event::Tried(Tried {
                subject: subject(self.job, &self.lanes[index].name, op),
                attempt: active.tries.made,
                class,
                http_status: http,
                error,
                wait: landing.wait,
            }));
            if let Some(due) = landing.again {
                self.lanes[index].try_again(due, active);
            }
            return;
        };
        self.batch.push(Entry::End(Ended {
            at: sent_at,
            op,
            server: Some(number(index)),
            ms: Some(ms),
            status,
            class,
            http,
            error: error.as_str().into(),
        }));
        self.states.ended(op, status, active.tries.open);
        self.note_call(&landing, op, status, class);
        self.lanes[index].ended(op, active.account, &mut self.chains);
        self.tell_when_written(Outcome {
            lane: index,
            op,
            status,
            class,
            http_status: http,
            error: landing.error,
            attempts: active.tries.made,
            instead_of: None,
        });
        let too_many = self.lanes[index].count(status, class, self.left_aside);
        self.errors += u64::from(counts_as_error(status, class, self.left_aside));
        self.judge_errors(index, too_many);
    }

    /// Notes what its account needs after its last operation because of this one.
    fn note_call(&mut self, landing: &Landing, op: u32, status: Status, class: Option<ErrorClass>) {
        if matches!(status, Status::Ok | Status::Unknown) {
            self.note_shut(landing.index, landing.active.account, op);
        }
        if !self.checks.after {
            return;
        }
        let fault = match status {
            Status::Ok => None,
            // Whatever the last answer was, an earlier try may have had effect.
            Status::Unknown | Status::Failed if landing.active.tries.open => Some(Fault {
                class: class.unwrap_or(ErrorClass::Api),
                http: landing.http,
                error: landing.error.clone(),
            }),
            _ => return,
        };
        let account = &mut self.lanes[landing.index].accounts[landing.active.account as usize];
        account.note_call(Unverified { op, ended: status, fault });
    }

    /// Notes that this operation has suspended a login, or may have, if it is such a one: sessions that
    /// are open live on.
    pub(super) fn note_shut(&mut self, index: usize, account: u32, op: u32) {
        if self.checks.end_sessions && self.states.function(op) == Function::SuspendLogin {
            self.lanes[index].accounts[account as usize].owes_sessions();
        }
    }

    /// Halts a server, or stops the run, if too many operations have failed.
    fn judge_errors(&mut self, index: usize, too_many: bool) {
        let max_errors = self.lanes[index].limits.max_errors;
        if too_many {
            let reason = format!("more than {max_errors} of the operations called there failed");
            self.halt(index, ErrorClass::ErrorBudget, reason);
        }
        if let MaxErrors::Count(most) = max_errors
            && self.errors > most
        {
            let reason = format!("more than {most} operations failed (--max-errors)");
            self.take_no_more(Stop::ErrorBudget, ErrorClass::ErrorBudget, reason);
        }
    }
}

fn halt_reason(verdict: &Verdict, good_answers: u64) -> String {
    match (verdict, good_answers) {
        (Verdict::Refused { .. }, 0) => "the server refused the credential".to_owned(),
        (Verdict::Refused { .. }, n) => format!(
            "the server refused the credential after {n} good answers, \
             so it is likely one account or a firewall, not the token"
        ),
        // The words of TLS say enough.
        _ => String::new(),
    }
}
