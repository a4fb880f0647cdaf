//! What follows from an answer: for its operation or its account, and for its server.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{Event, Tried};
use super::lane::{Active, Bad, Errand, counts_as_error};
use super::limits::MaxErrors;
use super::retry::Step;
use super::run::{Landed, Outcome, Run, number, subject};
use super::session::Stop;
use super::spec::{Fault, Unverified};
use crate::domain::{ErrorClass, Function, State, Status};
use crate::job::MailboxId;
use crate::record::{Attempt, Ended, Entry, Phase, SessionsEnded, Stamp, StateRead, in_rows};
use crate::uapi::{Found, Verdict};

/// Mailboxes and operations that one record names: its line is bounded.
const MOST_IN_RECORD: usize = 20_000;

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

impl Run<'_, '_> {
    /// A request has come back.
    pub(super) fn landed(&mut self, landed: Landed) {
        let Landed { lane: index, mut active, sent, sent_at, reply } = landed;
        let (http, verdict, found) = (reply.http_status, reply.verdict, reply.found);
        let now = Instant::now();
        let took = now - sent;
        if let Errand::Call(op) = active.errand {
            self.under_way.retain(|(_, known, _)| *known != op);
        }
        let is_repeatable = active.errand.is_repeatable(&self.states);
        let lane = &mut self.lanes[index];
        let busy = lane.landed();
        if verdict.is_called_back() {
            // The server is halted, or the refusal that halts it comes next: this is left with all
            // the rest.
            return;
        }
        let proven = lane.is_proven();
        let step = active.tries.step(&verdict, is_repeatable, lane.limits.retries, proven, &mut self.random);
        let wait = if let Step::Again(wait) = step { wait } else { Duration::ZERO };
        let bad = match (&step, &verdict) {
            (Step::End(..), _) => {
                lane.good(active.account, now, took, busy);
                Bad::GoOn { rest: None }
            }
            (Step::Halt(class), _) => {
                if *class == ErrorClass::Auth {
                    lane.refused = Some(lane.accounts[active.account as usize].door);
                }
                Bad::Halt(*class, halt_reason(&verdict, lane.good_answers))
            }
            (Step::UsedUp(..) | Step::Again(_), verdict) => {
                lane.bad(verdict, wait, now, took, &mut self.random)
            }
        };
        let used_up_unproven = matches!(step, Step::UsedUp(..)) && !proven;
        let is_over = self.stop.is_some() || lane.halted.is_some();
        let goes_on = matches!(bad, Bad::GoOn { .. }) && !used_up_unproven && !is_over;
        let outcome = match step {
            Step::End(status, class) => Some((status, class)),
            Step::UsedUp(status, class) if proven => Some((status, Some(class))),
            _ => None,
        };
        let landing = Landing {
            index,
            active,
            sent,
            sent_at,
            ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
            http,
            found,
            outcome,
            class: verdict.class(),
            open: verdict.is_open(),
            error: verdict.into_error(),
            again: (goes_on && outcome.is_none()).then(|| now + wait),
            wait: goes_on.then_some(match &bad {
                Bad::GoOn { rest: Some(rest) } => wait.max(*rest),
                _ => wait,
            }),
        };
        let (class, error) = (landing.class.unwrap_or(ErrorClass::Api), landing.error.clone());
        if outcome.is_some() {
            self.lanes[index].leave_door(active.account);
        }
        match active.errand {
            Errand::Call(op) => self.call_landed(op, landing),
            Errand::ReadBefore => self.reading_landed(Phase::Before, landing),
            Errand::ReadAfter => self.reading_landed(Phase::After, landing),
            Errand::EndSessions => self.sessions_landed(landing),
        }
        match bad {
            Bad::Halt(class, reason) if error.is_empty() => self.halt(index, class, reason),
            Bad::Halt(class, reason) if reason.is_empty() => self.halt(index, class, error),
            Bad::Halt(class, reason) => self.halt(index, class, format!("{reason}: {error}")),
            Bad::Outage => {
                let limit = humantime::format_duration(self.lanes[index].limits.max_outage);
                self.halt(index, class, format!("no good answer for {limit}: {error}"));
            }
            Bad::GoOn { .. } if used_up_unproven => {
                let tries = active.tries.made;
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
        let too_many = self.lanes[index].count(status, class);
        self.errors += u64::from(counts_as_error(status, class));
        self.judge_errors(index, too_many);
    }

    /// Notes what its account needs after its last operation because of this one.
    fn note_call(&mut self, landing: &Landing, op: u32, status: Status, class: Option<ErrorClass>) {
        let account = &mut self.lanes[landing.index].accounts[landing.active.account as usize];
        let is_login_shut = status == Status::Ok && self.states.function(op) == Function::SuspendLogin;
        if is_login_shut && self.checks.end_sessions {
            account.owes_sessions();
        }
        if !self.checks.after {
            return;
        }
        let fault = match status {
            Status::Ok => None,
            Status::Unknown => Some(Fault {
                class: class.unwrap_or(ErrorClass::Api),
                http: landing.http,
                error: landing.error.clone(),
            }),
            _ => return,
        };
        account.note_call(Unverified { op, fault });
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

    /// The state of an account's mailboxes has come, or has not.
    fn reading_landed(&mut self, phase: Phase, mut landing: Landing) {
        let (index, account) = (landing.index, landing.active.account);
        if let Some(due) = landing.again {
            self.lanes[index].try_again(due, landing.active);
            return;
        }
        let list = match std::mem::take(&mut landing.found) {
            Found::States(list) if landing.class.is_none() => Some(list),
            _ => None,
        };
        let mailboxes = self.lanes[index].mailboxes(account, phase, &self.states);
        let until = landing.sent + self.checks.max_age;
        let found: Vec<(MailboxId, State)> = match list {
            Some(list) => self.states.find(&mailboxes, list.into_iter()),
            // The server or the run takes nothing more: nothing follows for the mailboxes.
            None if landing.outcome.is_none() => Vec::new(),
            None => mailboxes.into_iter().map(|mailbox| (mailbox, State::UNKNOWN)).collect(),
        };
        if landing.class.is_some() && landing.outcome.is_some() {
            let what = match phase {
                Phase::Before => "the state of its mailboxes before cannot be read",
                Phase::After => "what the calls came to cannot be read",
            };
            self.notice(&landing, what);
        }
        self.states.note_reading(&found);
        match phase {
            Phase::Before => {
                self.record_reading(&landing, phase, &found, Vec::new(), Vec::new());
                let record = self.next_record() - 1;
                self.needs_on_disk();
                let required = self.checks.required;
                let account = &mut self.lanes[index].accounts[account as usize];
                match (landing.class, landing.outcome) {
                    (None, _) => account.was_read(record, until),
                    (Some(class), Some(_)) => {
                        account.could_not_be_read(class, landing.error, until, required);
                    }
                    (Some(_), None) => {}
                }
            }
            Phase::After if landing.outcome.is_some() => self.prove(&landing, &found),
            Phase::After => self.record_reading(&landing, phase, &found, Vec::new(), Vec::new()),
        }
    }

    /// What the reading after the calls says of them.
    fn prove(&mut self, landing: &Landing, found: &[(MailboxId, State)]) {
        let index = landing.index;
        let called = self.lanes[index].accounts[landing.active.account as usize].take_called();
        let doubtful: Vec<u32> =
            called.iter().filter(|called| called.fault.is_some()).map(|called| called.op).collect();
        let proof = self.states.prove(called, found);
        for (op, status, fault) in proof.ends {
            let was = if doubtful.contains(&op) { Status::Unknown } else { Status::Ok };
            let (class, http, error) =
                fault.map_or((None, None, String::new()), |f| (Some(f.class), f.http, f.error));
            self.batch.push(Entry::End(Ended {
                at: landing.sent_at,
                op,
                server: Some(number(index)),
                ms: None,
                status,
                class,
                http,
                error: error.as_str().into(),
            }));
            self.tell_when_written(Outcome {
                lane: index,
                op,
                status,
                class,
                http_status: http,
                error,
                attempts: 0,
                instead_of: Some(was),
            });
            self.errors = self.errors.saturating_sub(u64::from(was == Status::Unknown));
            self.errors += u64::from(counts_as_error(status, class));
            let too_many = self.lanes[index].recount(was, status, class);
            self.judge_errors(index, too_many);
        }
        // Behind the ends: it says of them that they are proved.
        self.record_reading(landing, Phase::After, found, proof.holds, proof.lacks);
    }

    /// Records a reading, in as many lines as it takes.
    fn record_reading(
        &mut self,
        landing: &Landing,
        phase: Phase,
        found: &[(MailboxId, State)],
        holds: Vec<u32>,
        lacks: Vec<u32>,
    ) {
        let account = self.lanes[landing.index].accounts[landing.active.account as usize].name.to_owned();
        let lines = found.len().max(holds.len()).max(lacks.len()).div_ceil(MOST_IN_RECORD).max(1);
        let part = |line: usize, length: usize| {
            (line * MOST_IN_RECORD).min(length)..((line + 1) * MOST_IN_RECORD).min(length)
        };
        for line in 0..lines {
            let mut states: BTreeMap<State, Vec<u32>> = BTreeMap::new();
            for (mailbox, state) in &found[part(line, found.len())] {
                states.entry(*state).or_default().push(mailbox.0);
            }
            self.batch.push(Entry::State(StateRead {
                at: landing.sent_at,
                server: number(landing.index),
                account: account.clone(),
                phase,
                requests: if line == 0 { landing.active.tries.made } else { 0 },
                ms: landing.ms,
                states: states.into_iter().map(|(state, ids)| (state, in_rows(ids))).collect(),
                holds: in_rows(holds[part(line, holds.len())].iter().copied()),
                lacks: in_rows(lacks[part(line, lacks.len())].iter().copied()),
                class: landing.class,
                error: landing.error.as_str().into(),
            }));
        }
    }

    /// The sessions of an account's mailboxes have been ended, or have not.
    fn sessions_landed(&mut self, landing: Landing) {
        let (index, account) = (landing.index, landing.active.account);
        if let Some(due) = landing.again {
            self.lanes[index].try_again(due, landing.active);
            return;
        }
        self.batch.push(Entry::SessionsEnded(SessionsEnded {
            at: landing.sent_at,
            server: number(index),
            account: self.lanes[index].accounts[account as usize].name.to_owned(),
            requests: landing.active.tries.made,
            ms: landing.ms,
            class: landing.class,
            error: landing.error.as_str().into(),
        }));
        if landing.outcome.is_none() {
            return;
        }
        if landing.class.is_some() {
            self.notice(&landing, "the open sessions of its mailboxes could not be ended");
        }
        self.lanes[index].look_after(account);
    }

    fn notice(&mut self, landing: &Landing, what: &str) {
        let lane = &self.lanes[landing.index];
        self.observer.on(&Event::Unread {
            server: &lane.name,
            account: lane.accounts[landing.active.account as usize].name,
            what,
            class: landing.class.unwrap_or(ErrorClass::Api),
            error: &landing.error,
        });
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
