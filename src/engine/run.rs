//! The loop that owns a run.
//!
//! One task selects over finished calls, written records, timers and signals; each becomes one
//! message, one place changes state and says what follows, and nothing else is awaited. So counts
//! cannot disagree, and there is one order of events, the same in the journal, in the results and on
//! the screen. A call is sent once the record that says so is written, and an outcome counts once
//! its own record is.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::event::{Event, Finished, LaneFigures, Observer, Subject, Tried};
use super::lane::{Active, Bad, Lane, LaneSpec, Turn, counts_as_error, left_aside};
use super::limits::MaxErrors;
use super::order::Chains;
use super::retry::Step;
use super::session::{ServerEnd, Session, SessionEnd, Signal, Stop};
use crate::domain::{Classes, ErrorClass, Function, Status};
use crate::job::Job;
use crate::record::{Attempt, Ended, Entry, Recorder, Stamp, WriteFault};
use crate::uapi::{Answer, Verdict};

/// Carries out a session and returns when nothing is left to do, or nothing more may be done.
pub async fn run<R: Recorder>(
    session: Session<'_>,
    recorder: &mut R,
    observer: &mut dyn Observer,
    mut signals: UnboundedReceiver<Signal>,
) -> SessionEnd {
    const TICK: Duration = Duration::from_millis(100);
    let mut run = Run::new(session, observer);
    let mut in_flight = FuturesUnordered::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut can_be_signalled = true;
    loop {
        let wake = run.send_what_may_be_sent(&mut in_flight);
        if !run.batch.is_empty() {
            // What cannot be taken back must not be forgotten even if the power fails.
            let to_disk = std::mem::take(&mut run.begins_unrepeatable);
            run.submitted = recorder.submit(std::mem::take(&mut run.batch), to_disk);
        }
        if run.is_through(in_flight.is_empty()) {
            break;
        }
        let waits_for_records = run.written < run.submitted && run.fault.is_none();
        tokio::select! {
            // What is rare comes first, or a busy server would keep it waiting.
            biased;
            signal = signals.recv(), if can_be_signalled => match signal {
                Some(signal) if run.is_signalled => {
                    run.abandon(in_flight.len(), signal);
                    in_flight.clear();
                }
                Some(signal) => run.signalled(signal),
                None => can_be_signalled = false,
            },
            written = recorder.written(run.written), if waits_for_records => run.records_written(written),
            _ = ticks.tick() => run.tick(in_flight.len()),
            () = sleep_until(wake), if wake.is_some() => {}
            Some(landed) = in_flight.next(), if !in_flight.is_empty() => {
                run.landed(landed);
                // What else is there already is handled in the same turn, and journalled with it.
                while let Some(Some(landed)) = in_flight.next().now_or_never() {
                    run.landed(landed);
                }
            }
        }
    }
    run.end()
}

async fn sleep_until(wake: Option<Instant>) {
    if let Some(wake) = wake {
        tokio::time::sleep_until(wake).await;
    }
}

/// A call that is on its way.
struct Flight<'a> {
    lane: usize,
    active: Active,
    sent: Instant,
    sent_at: Stamp,
    call: LocalBoxFuture<'a, Answer>,
}

/// A call that has come back.
struct Landed {
    lane: usize,
    active: Active,
    sent: Instant,
    sent_at: Stamp,
    answer: Answer,
}

impl Future for Flight<'_> {
    type Output = Landed;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Landed> {
        self.call.as_mut().poll(context).map(|answer| {
            let Flight { lane, active, sent, sent_at, .. } = *self;
            Landed { lane, active, sent, sent_at, answer }
        })
    }
}

struct Run<'a, 'o> {
    job: &'a Job,
    clock: &'a dyn Fn() -> Stamp,
    observer: &'o mut dyn Observer,
    random: fastrand::Rng,
    lanes: Vec<Lane<'a>>,
    chains: Chains,
    /// Entries of this turn.
    batch: Vec<Entry>,
    /// Whether one of them begins an operation that is never sent twice.
    begins_unrepeatable: bool,
    submitted: u64,
    written: u64,
    /// Outcomes whose record is not written yet, in order.
    unwritten: VecDeque<(u64, Outcome)>,
    /// What is in flight, in case it has to be abandoned.
    under_way: Vec<(usize, u32, Stamp)>,
    errors: u64,
    /// Classes that do not count among them.
    left_aside: Classes,
    stop: Option<Stop>,
    /// Whether the first signal has come; the second one waits for nothing.
    is_signalled: bool,
    fault: Option<WriteFault>,
}

/// What is told of an operation once its record is written.
struct Outcome {
    lane: usize,
    op: u32,
    status: Status,
    class: Option<ErrorClass>,
    http_status: Option<u16>,
    error: String,
    attempts: u32,
}

impl<'a, 'o> Run<'a, 'o> {
    fn new(session: Session<'a>, observer: &'o mut dyn Observer) -> Run<'a, 'o> {
        let Session { job, lanes, order, tolerated, done_before, seed, clock } = session;
        let ops = |lane: &LaneSpec<'_>| lane.accounts.iter().map(|account| account.ops.len() as u64).sum();
        let servers: Vec<(&str, u64)> = lanes.iter().map(|lane| (lane.name.as_str(), ops(lane))).collect();
        let to_do = servers.iter().map(|(_, ops)| ops).sum();
        observer.on(&Event::Started { to_do, done_before, servers: &servers });
        let stages = move |op: u32| order.stage(function(job, op).channel());
        let halts: Vec<_> = lanes.iter().map(|lane| lane.known.halted.clone()).collect();
        let lanes: Vec<Lane<'a>> = lanes.into_iter().map(|lane| Lane::new(lane, stages)).collect();
        let mut run = Run {
            job,
            clock,
            observer,
            random: fastrand::Rng::with_seed(seed),
            chains: Chains::new(job, lanes.iter().flat_map(Lane::ops), &stages),
            lanes,
            batch: Vec::new(),
            begins_unrepeatable: false,
            submitted: 0,
            written: 0,
            unwritten: VecDeque::new(),
            under_way: Vec::new(),
            errors: 0,
            left_aside: left_aside(tolerated),
            stop: None,
            is_signalled: false,
            fault: None,
        };
        run.lanes.iter_mut().for_each(|lane| lane.start(&mut run.chains));
        for (index, halt) in halts.into_iter().enumerate() {
            if let Some((class, reason)) = halt {
                run.halt(index, class, reason);
            }
        }
        run
    }

    fn tick(&mut self, in_flight: usize) {
        let lanes: Vec<_> = self
            .lanes
            .iter()
            .map(|lane| {
                let limit = u32::try_from(lane.limit()).ok();
                LaneFigures { server: &lane.name, in_flight: lane.in_flight, limit }
            })
            .collect();
        self.observer.on(&Event::Tick { in_flight, lanes: &lanes });
    }

    /// Sends all that the lanes may send now; returns when to look again, if time alone can change
    /// something.
    fn send_what_may_be_sent(&mut self, in_flight: &mut FuturesUnordered<Flight<'a>>) -> Option<Instant> {
        if self.stop.is_some() {
            return None;
        }
        let now = Instant::now();
        let mut wake: Option<Instant> = None;
        for index in 0..self.lanes.len() {
            loop {
                let lane = &mut self.lanes[index];
                match lane.turn(now, self.written) {
                    Turn::Send(active) => in_flight.push(self.send(index, active, now)),
                    Turn::Wait(until) => {
                        wake = Some(wake.map_or(until, |wake| wake.min(until)));
                        break;
                    }
                    Turn::Rest => break,
                }
            }
            let job = self.job;
            let record = self.submitted + self.batch.len() as u64 + 1;
            let ops = self.lanes[index].begin(&mut self.chains, |op| function(job, op), record, now);
            if !ops.is_empty() {
                self.begins_unrepeatable |= ops.iter().any(|op| !function(job, *op).is_repeatable());
                self.batch.push(Entry::Begin { at: (self.clock)(), ops });
            }
        }
        wake
    }

    fn send(&mut self, index: usize, active: Active, now: Instant) -> Flight<'a> {
        let lane = &mut self.lanes[index];
        lane.in_flight += 1;
        let sent_at = (self.clock)();
        self.under_way.push((index, active.op, sent_at));
        let operation = &self.job.operations[active.op as usize];
        let mailbox = self.job.mailboxes.get(operation.mailbox);
        let account = &lane.accounts[active.account as usize];
        let door = &lane.doors[account.door];
        let call = door.transport.call(account.name, function(self.job, active.op), mailbox);
        Flight { lane: index, active, sent: now, sent_at, call }
    }

    /// A call has come back: what it means for its operation and for its server.
    fn landed(&mut self, landed: Landed) {
        let Landed { lane: index, mut active, sent, sent_at, answer } = landed;
        let Answer { http_status, verdict } = answer;
        let now = Instant::now();
        let ms = u32::try_from((now - sent).as_millis()).unwrap_or(u32::MAX);
        self.under_way.retain(|(_, op, _)| *op != active.op);
        let function = function(self.job, active.op);
        let lane = &mut self.lanes[index];
        let busy = lane.landed();
        let took = now - sent;
        let proven = lane.is_proven();
        let step = active.tries.step(
            &verdict,
            function.is_repeatable(),
            lane.limits.retries,
            proven,
            &mut self.random,
        );
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
        let (open, class) = (verdict.is_open(), verdict.class());
        let error = verdict.into_error();

        let used_up_unproven = matches!(step, Step::UsedUp(..)) && !proven;
        let outcome = match step {
            Step::End(status, class) => Some((status, class)),
            Step::UsedUp(status, class) if proven => Some((status, Some(class))),
            _ => None,
        };
        match outcome {
            Some((status, class)) => {
                self.batch.push(Entry::End(Ended {
                    at: sent_at,
                    op: active.op,
                    server: u16::try_from(index).ok(),
                    ms: Some(ms),
                    status,
                    class,
                    http: http_status,
                    error: error.as_str().into(),
                }));
                self.ended(index, &active, status, class, http_status, error.clone());
            }
            None => {
                let class = class.unwrap_or(ErrorClass::Api);
                self.batch.push(Entry::Try(Attempt {
                    at: sent_at,
                    op: active.op,
                    server: u16::try_from(index).unwrap_or(u16::MAX),
                    ms,
                    class,
                    http: http_status,
                    open,
                    error: error.as_str().into(),
                }));
                let is_over = self.stop.is_some() || self.lanes[index].halted.is_some();
                let goes_on = matches!(bad, Bad::GoOn { .. }) && !used_up_unproven && !is_over;
                self.observer.on(&Event::Tried(Tried {
                    subject: subject(self.job, &self.lanes[index].name, active.op),
                    attempt: active.tries.made,
                    class,
                    http_status,
                    error: &error,
                    wait: goes_on.then_some(match &bad {
                        Bad::GoOn { rest: Some(rest) } => wait.max(*rest),
                        _ => wait,
                    }),
                }));
                if goes_on {
                    self.lanes[index].try_again(now + wait, active);
                }
            }
        }
        let class = class.unwrap_or(ErrorClass::Api);
        match bad {
            Bad::Halt(class, reason) if error.is_empty() => self.halt(index, class, reason),
            Bad::Halt(class, reason) => self.halt(index, class, format!("{reason}: {error}")),
            Bad::Outage => {
                let limit = humantime::format_duration(self.lanes[index].limits.max_outage);
                self.halt(index, class, format!("no good answer for {limit}: {error}"));
            }
            Bad::GoOn { .. } if used_up_unproven => {
                let tries = active.tries.made;
                self.halt(
                    index,
                    class,
                    format!("the first call got no good answer in {tries} tries: {error}"),
                );
            }
            Bad::GoOn { rest: Some(pause) } if !pause.is_zero() => {
                let server = &self.lanes[index].name;
                let reason = if class == ErrorClass::Throttled {
                    error
                } else {
                    format!("failures in a row: {error}")
                };
                self.observer.on(&Event::Paused { server, pause, reason: &reason });
            }
            Bad::GoOn { .. } => {}
        }
    }

    /// An operation has ended; whoever waits for it may go on, and the limits on errors are looked at.
    fn ended(
        &mut self,
        index: usize,
        active: &Active,
        status: Status,
        class: Option<ErrorClass>,
        http_status: Option<u16>,
        error: String,
    ) {
        let record = self.submitted + self.batch.len() as u64;
        let attempts = active.tries.made;
        self.unwritten.push_back((
            record,
            Outcome { lane: index, op: active.op, status, class, http_status, error, attempts },
        ));
        let lane = &mut self.lanes[index];
        lane.unrecorded += 1;
        let too_many = lane.ended(active, status, class, self.left_aside, &mut self.chains);
        let max_errors = lane.limits.max_errors;
        if too_many {
            let reason = format!("more than {max_errors} of the operations called there failed");
            self.halt(index, ErrorClass::ErrorBudget, reason);
        }
        self.errors += u64::from(counts_as_error(status, class, self.left_aside));
        if let MaxErrors::Count(most) = max_errors
            && self.errors > most
        {
            let reason = format!("more than {most} operations failed (--max-errors)");
            self.take_no_more(Stop::ErrorBudget, ErrorClass::ErrorBudget, reason);
        }
    }

    fn halt(&mut self, index: usize, class: ErrorClass, reason: String) {
        let lane = &mut self.lanes[index];
        if lane.halted.is_some() {
            return;
        }
        self.batch.push(Entry::Halt {
            at: (self.clock)(),
            server: u16::try_from(index).unwrap_or(u16::MAX),
            class,
            reason: reason.clone(),
        });
        self.observer.on(&Event::Halted { server: &lane.name, class, reason: &reason });
        lane.halt(class, reason);
    }

    fn take_no_more(&mut self, stop: Stop, class: ErrorClass, reason: String) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(stop);
        let in_flight = self.under_way.len();
        self.observer.on(&Event::Stopping { reason: &reason, in_flight });
        self.batch.push(Entry::Stop { at: (self.clock)(), class, reason });
    }

    fn signalled(&mut self, signal: Signal) {
        self.is_signalled = true;
        let reason = match signal {
            Signal::Interrupt => "interrupted by SIGINT",
            Signal::Terminate => "stopped by SIGTERM",
        };
        if self.stop == Some(Stop::ErrorBudget) {
            // It takes nothing new already, and what is in flight is waited for as after any first
            // signal.
            self.stop = Some(Stop::Signal(signal));
            self.observer.on(&Event::Stopping { reason, in_flight: self.under_way.len() });
        }
        self.take_no_more(Stop::Signal(signal), ErrorClass::Interrupted, reason.to_owned());
    }

    /// A second signal: what is in flight is not waited for. It may have had effect.
    fn abandon(&mut self, in_flight: usize, signal: Signal) {
        self.stop = Some(Stop::Signal(signal));
        self.observer.on(&Event::Stopping { reason: "stopped at once by a second signal", in_flight });
        let now = (self.clock)();
        for (index, op, sent_at) in std::mem::take(&mut self.under_way) {
            self.lanes[index].landed();
            self.batch.push(Entry::Try(Attempt {
                at: sent_at,
                op,
                server: u16::try_from(index).unwrap_or(u16::MAX),
                ms: now.since(sent_at),
                class: ErrorClass::Interrupted,
                http: None,
                open: true,
                error: "the run was stopped while this call was on its way".into(),
            }));
        }
    }

    fn records_written(&mut self, written: Result<u64, WriteFault>) {
        match written {
            Ok(written) => {
                self.written = written;
                while let Some((record, _)) = self.unwritten.front()
                    && *record <= written
                    && let Some((_, outcome)) = self.unwritten.pop_front()
                {
                    self.lanes[outcome.lane].unrecorded -= 1;
                    self.observer.on(&Event::Finished(Finished {
                        subject: subject(self.job, &self.lanes[outcome.lane].name, outcome.op),
                        status: outcome.status,
                        class: outcome.class,
                        http_status: outcome.http_status,
                        error: &outcome.error,
                        attempts: outcome.attempts,
                    }));
                }
            }
            Err(fault) => {
                let reason = fault.to_string();
                self.fault = Some(fault);
                self.stop = Some(Stop::Unwritable);
                self.observer.on(&Event::Stopping { reason: &reason, in_flight: self.under_way.len() });
            }
        }
    }

    fn is_through(&mut self, nothing_in_flight: bool) -> bool {
        let all_written = self.written == self.submitted || self.fault.is_some();
        let stopped = self.stop.is_some();
        nothing_in_flight
            && all_written
            && self.lanes.iter().all(|lane| stopped || lane.halted.is_some() || lane.is_through())
    }

    fn end(self) -> SessionEnd {
        // A halt that left nothing undone has cost nothing.
        let halt = |lane: &Lane<'_>| lane.halted.clone().filter(|_| !lane.is_done() || lane.may_have_work);
        let end = |lane: &Lane<'_>| ServerEnd {
            name: lane.name.clone(),
            had_work: lane.had_work,
            halted: halt(lane),
            refused: lane.refused,
        };
        let servers = self.lanes.iter().map(end).collect();
        SessionEnd { stop: self.stop, fault: self.fault, servers }
    }
}

fn function(job: &Job, op: u32) -> Function {
    // Lanes are given operations that can be called; see `LaneSpec::ops`.
    job.operations[op as usize].function().expect("an invalid row has no call")
}

fn subject<'s>(job: &'s Job, server: &'s str, op: u32) -> Subject<'s> {
    let operation = &job.operations[op as usize];
    Subject {
        row: operation.row,
        mailbox: job.mailboxes.get(operation.mailbox),
        function: function(job, op),
        server,
    }
}

fn halt_reason(verdict: &Verdict, good_answers: u64) -> String {
    match (verdict, good_answers) {
        (Verdict::Refused { .. }, 0) => "the server refused the credential".to_owned(),
        (Verdict::Refused { .. }, n) => format!(
            "the server refused the credential after {n} good answers, \
             so it is likely one account or a firewall, not the token"
        ),
        _ => "TLS".to_owned(),
    }
}
