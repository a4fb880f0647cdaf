//! The loop that owns a run.
//!
//! One task selects over finished calls, written records, timers and signals; each becomes one
//! message, one place changes state and says what follows, and nothing else is awaited. So counts
//! cannot disagree, and there is one order of events, the same in the journal, in the results and on
//! the screen. A call is sent once the record that says so is written, and an outcome counts once
//! its own record is.

mod begin;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::event::{Event, Finished, LaneFigures, Observer, Subject};
use super::lane::{Active, Errand, Lane, Turn, left_aside};
use super::order::Chains;
use super::session::{ServerEnd, Session, SessionEnd, Signal, Stop};
use super::spec::{Checks, Way};
use super::states::States;
use crate::domain::{Classes, ErrorClass, Function, Status};
use crate::job::Job;
use crate::record::{Attempt, Entry, Recorder, Safe, Stamp, WriteFault};
use crate::uapi::{Answer, Found, Item, Question, Reading, Together, Verdict};

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
            let soon = run.needed_on_disk > run.submitted;
            run.submitted = recorder.submit(std::mem::take(&mut run.batch), soon);
        }
        if run.is_through(in_flight.is_empty()) {
            break;
        }
        let waits_for_records = run.waits_for_records();
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
            safe = recorder.progress(run.safe), if waits_for_records => run.records_are_safe(safe),
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

/// What came back: of a reading with what was found.
pub(super) struct Reply {
    pub http_status: Option<u16>,
    pub verdict: Verdict,
    pub found: Found,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        let Answer { http_status, verdict } = answer;
        Reply { http_status, verdict, found: Found::Nothing }
    }
}

impl From<Reading> for Reply {
    fn from(reading: Reading) -> Reply {
        let Reading { http_status, verdict, found, .. } = reading;
        Reply { http_status, verdict, found }
    }
}

/// What a request carries.
pub(super) enum Load {
    One(Active),
    Many(Vec<Active>),
}

/// What came back for it.
pub(super) enum Back {
    One(Reply),
    Many(Together),
}

/// A request that is on its way.
struct Flight<'a> {
    lane: usize,
    load: Load,
    sent: Instant,
    sent_at: Stamp,
    call: LocalBoxFuture<'a, Back>,
}

/// A request that has come back.
pub(super) struct Landed {
    pub lane: usize,
    pub load: Load,
    pub sent: Instant,
    pub sent_at: Stamp,
    pub back: Back,
}

impl Future for Flight<'_> {
    type Output = Landed;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Landed> {
        self.call.as_mut().poll(context).map(|back| {
            let Flight { lane, sent, sent_at, .. } = *self;
            let load = std::mem::replace(&mut self.load, Load::Many(Vec::new()));
            Landed { lane, load, sent, sent_at, back }
        })
    }
}

pub(super) struct Run<'a, 'o> {
    pub job: &'a Job,
    pub clock: &'a dyn Fn() -> Stamp,
    pub observer: &'o mut dyn Observer,
    pub random: fastrand::Rng,
    pub lanes: Vec<Lane<'a>>,
    pub chains: Chains,
    pub states: States<'a>,
    pub checks: Checks,
    /// Entries of this turn.
    pub batch: Vec<Entry>,
    /// Operations of this turn that a reading has settled: one record is for all of them.
    settled: Vec<begin::Settled>,
    submitted: u64,
    safe: Safe,
    /// The last record that something waits for until it is on the disk.
    needed_on_disk: u64,
    /// Whether calls may be made: not before the guard has seen all state.
    is_guard_passed: bool,
    /// Outcomes whose record is not written yet, in order.
    unwritten: VecDeque<(u64, Outcome)>,
    /// Calls of operations in flight, in case they have to be abandoned.
    pub under_way: Vec<(usize, u32, Stamp)>,
    pub errors: u64,
    /// Classes that do not count among them.
    pub left_aside: Classes,
    pub stop: Option<Stop>,
    /// Whether the first signal has come; the second one waits for nothing.
    is_signalled: bool,
    fault: Option<WriteFault>,
}

/// What is told of an operation once its record is written.
pub(super) struct Outcome {
    pub lane: usize,
    pub op: u32,
    pub status: Status,
    pub class: Option<ErrorClass>,
    pub http_status: Option<u16>,
    pub error: String,
    pub attempts: u32,
    /// How it had ended before a reading said otherwise.
    pub instead_of: Option<Status>,
}

impl<'a, 'o> Run<'a, 'o> {
    fn new(session: Session<'a>, observer: &'o mut dyn Observer) -> Run<'a, 'o> {
        let Session { job, lanes, order, checks, foreseen, tolerated, done_before, seed, clock } = session;
        let ops = |lane: &super::spec::LaneSpec<'_>| {
            lane.accounts.iter().map(|account| account.ops.len() as u64).sum()
        };
        let servers: Vec<(&str, u64)> = lanes.iter().map(|lane| (lane.name.as_str(), ops(lane))).collect();
        let to_do = servers.iter().map(|(_, ops)| ops).sum();
        observer.on(&Event::Started { to_do, done_before, servers: &servers });
        let stages = move |op: u32| order.stage(function(job, op).channel());
        let halts: Vec<_> = lanes.iter().map(|lane| lane.known.halted.clone()).collect();
        let lanes: Vec<Lane<'a>> = lanes.into_iter().map(|lane| Lane::new(lane, &checks, stages)).collect();
        let mut run = Run {
            job,
            clock,
            observer,
            random: fastrand::Rng::with_seed(seed),
            chains: Chains::new(job, lanes.iter().flat_map(Lane::ops), &stages),
            lanes,
            states: States::new(job, foreseen),
            is_guard_passed: checks.max_changes.is_none(),
            checks,
            batch: Vec::new(),
            settled: Vec::new(),
            submitted: 0,
            safe: Safe::default(),
            needed_on_disk: 0,
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
        self.pass_guard();
        if self.stop.is_some() {
            return None;
        }
        let now = Instant::now();
        let mut wake: Option<Instant> = None;
        for index in 0..self.lanes.len() {
            loop {
                let lane = &mut self.lanes[index];
                match lane.turn(now, self.safe) {
                    Turn::Send(active) => in_flight.push(self.send(index, active, now)),
                    Turn::Together(many) => in_flight.push(self.send_together(index, many, now)),
                    Turn::Wait(until) => {
                        wake = Some(wake.map_or(until, |wake| wake.min(until)));
                        break;
                    }
                    Turn::Rest => break,
                }
            }
            if self.begin(index, now) {
                // What was settled made way for more, which is looked at when signals were.
                wake = Some(now);
            }
        }
        self.note_settled();
        wake
    }

    fn send(&mut self, index: usize, active: Active, now: Instant) -> Flight<'a> {
        let lane = &mut self.lanes[index];
        lane.in_flight += 1;
        let sent_at = (self.clock)();
        let account = &lane.accounts[active.account as usize];
        let (name, way) = (account.name, lane.doors[account.door].way);
        let call = match (active.errand, way) {
            (Errand::Call(op), Way::Act(transport)) => {
                self.under_way.push((index, op, sent_at));
                let operation = &self.job.operations[op as usize];
                let mailbox = self.job.mailboxes.get(operation.mailbox);
                let answer = transport.call(name, self.states.function(op), mailbox);
                answer.map(|answer| Back::One(answer.into())).boxed_local()
            }
            (Errand::EndSessions, Way::Act(transport)) => {
                transport.end_sessions(name).map(|answer| Back::One(answer.into())).boxed_local()
            }
            // Through a door that can only look at most this is begun.
            (_, way) => {
                let reading = way.reader().read(Question::States { account: name });
                reading.map(|reading| Back::One(reading.into())).boxed_local()
            }
        };
        Flight { lane: index, load: Load::One(active), sent: now, sent_at, call }
    }

    fn send_together(&mut self, index: usize, many: Vec<Active>, now: Instant) -> Flight<'a> {
        let sent_at = (self.clock)();
        let lane = &mut self.lanes[index];
        lane.in_flight += 1;
        let mut items: Vec<Item<'a>> = Vec::with_capacity(many.len());
        let mut through = None;
        for active in &many {
            let Errand::Call(op) = active.errand else { continue };
            let account = &lane.accounts[active.account as usize];
            through = Some(lane.doors[account.door].way);
            let mailbox = self.job.mailboxes.get(self.job.operations[op as usize].mailbox);
            items.push(Item { account: account.name, function: self.states.function(op), mailbox });
            self.under_way.push((index, op, sent_at));
        }
        let call = async move {
            match through {
                Some(Way::Act(transport)) => transport.call_together(&items).await,
                // Nothing is begun through a door that can only look.
                _ => Together::unanswered(items.len()),
            }
        };
        let call = call.map(Back::Many).boxed_local();
        Flight { lane: index, load: Load::Many(many), sent: now, sent_at, call }
    }

    /// The number that the next record will have.
    pub(super) fn next_record(&self) -> u64 {
        self.submitted + self.batch.len() as u64 + 1
    }

    /// Something waits until all that was recorded so far is on the disk.
    pub(super) fn needs_on_disk(&mut self) {
        self.needed_on_disk = self.submitted + self.batch.len() as u64;
    }

    /// Tells of an outcome once the last record so far is written. Until then it holds a slot.
    pub(super) fn tell_when_written(&mut self, outcome: Outcome) {
        self.lanes[outcome.lane].unrecorded += 1;
        self.unwritten.push_back((self.submitted + self.batch.len() as u64, outcome));
    }

    fn waits_for_records(&self) -> bool {
        let is_behind = self.safe.written < self.submitted || self.safe.on_disk < self.needed_on_disk;
        is_behind && self.fault.is_none()
    }

    pub(super) fn halt(&mut self, index: usize, class: ErrorClass, reason: String) {
        let lane = &mut self.lanes[index];
        if lane.halted.is_some() {
            return;
        }
        self.batch.push(Entry::Halt {
            at: (self.clock)(),
            server: number(index),
            class,
            reason: reason.clone(),
        });
        self.observer.on(&Event::Halted { server: &lane.name, class, reason: &reason });
        lane.halt(class, reason);
    }

    pub(super) fn take_no_more(&mut self, stop: Stop, class: ErrorClass, reason: String) {
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
        self.lanes.iter_mut().for_each(|lane| lane.in_flight = 0);
        for (index, op, sent_at) in std::mem::take(&mut self.under_way) {
            self.batch.push(Entry::Try(Attempt {
                at: sent_at,
                op,
                server: number(index),
                ms: now.since(sent_at),
                class: ErrorClass::Interrupted,
                http: None,
                open: true,
                error: "the run was stopped while this call was on its way".into(),
            }));
        }
    }

    fn records_are_safe(&mut self, safe: Result<Safe, WriteFault>) {
        match safe {
            Ok(safe) => {
                self.safe = safe;
                while let Some((record, _)) = self.unwritten.front()
                    && *record <= safe.written
                    && let Some((_, outcome)) = self.unwritten.pop_front()
                {
                    self.lanes[outcome.lane].unrecorded -= 1;
                    self.tell(&outcome);
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

    fn tell(&mut self, outcome: &Outcome) {
        let finished = Finished {
            subject: subject(self.job, &self.lanes[outcome.lane].name, outcome.op),
            status: outcome.status,
            class: outcome.class,
            http_status: outcome.http_status,
            error: &outcome.error,
            attempts: outcome.attempts,
        };
        self.observer.on(&match outcome.instead_of {
            None => Event::Finished(finished),
            Some(before) => Event::Corrected { before, now: finished },
        });
    }

    fn is_through(&mut self, nothing_in_flight: bool) -> bool {
        let all_written = self.safe.written == self.submitted || self.fault.is_some();
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

/// A server's number in records.
pub(super) fn number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

fn function(job: &Job, op: u32) -> Function {
    // Lanes are given operations that can be called; see `AccountSpec::ops`.
    job.operations[op as usize].function().expect("an invalid row has no call")
}

pub(super) fn subject<'s>(job: &'s Job, server: &'s str, op: u32) -> Subject<'s> {
    let operation = &job.operations[op as usize];
    Subject {
        row: operation.row,
        mailbox: job.mailboxes.get(operation.mailbox),
        function: function(job, op),
        server,
    }
}
