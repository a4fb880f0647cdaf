//! One session on a run, be it the first or a later one: engine, recorder, signals, the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::target::Target;
use super::{Failure, person, show};
use crate::domain::{ErrorClass, Exit, Status};
use crate::engine::{self, LaneSpec, Limits, SessionEnd, Signal, Stop};
use crate::job::{Job, Source};
use crate::record::{
    Ended, Entry, Journal, JournalRecorder, Ledger, Material, RunDir, RunFacts, SessionEntry, SessionFigures,
    Stamp, Summary, Tally,
};

/// What a session works on.
pub struct Work<'a> {
    pub dir: &'a RunDir,
    pub facts: &'a RunFacts,
    pub job: &'a Arc<Job>,
    pub input: &'a Source,
    pub limits: &'a Limits,
    pub target: &'a Target,
    /// Server and account of every operation.
    pub home: (&'a str, &'a str),
    pub journal: Journal,
    pub ledger: Ledger,
    pub sessions: Vec<SessionFigures>,
    /// Operations that end without a call.
    pub settled: Vec<Ended>,
    /// Operations to carry out, in the order of the calls.
    pub to_do: Vec<u32>,
    /// How many of them, at the end, wait until all others have ended.
    pub last: usize,
    /// Flags that a later session needs to take up the same.
    pub again: Vec<String>,
}

/// What came of it.
pub struct Closed {
    pub exit: Exit,
    pub summary: Summary,
    pub tally: Tally,
    /// Operations that a `resume` would take up.
    pub left: usize,
    /// Why it took no new work before it was through, if so.
    pub stopped: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
    /// Flags of this session that the next one needs too, to take up the same.
    pub again: Vec<String>,
}

/// Carries out a session and writes everything down.
pub fn carry_out(mut work: Work<'_>, shown: &mut show::Live) -> Result<Closed, Failure> {
    let begun = Instant::now();
    open(&mut work)?;
    let Work { dir, job, limits, home, sessions, to_do, last, again, .. } = work;
    let mut done_before =
        (0..job.operations.len() as u32).filter(|op| work.ledger.ended(*op).is_some()).count();
    // What is taken up again is still to be done.
    done_before -= to_do.iter().filter(|op| work.ledger.ended(**op).is_some()).count();
    let open = to_do.iter().copied().filter(|op| work.ledger.may_have_had_effect(*op)).collect();
    let lane = LaneSpec::new(home.0, &work.target.transport, to_do, limits.clone());
    let lanes = vec![LaneSpec { open, last, ..lane }];
    let clock = Stamp::now;
    let session = engine::Session {
        job,
        lanes,
        done_before: done_before as u64,
        seed: fastrand::u64(..),
        clock: &clock,
    };

    let unwritable = |fault: std::io::Error| Failure::new(Exit::Unwritable, fault);
    let mut recorder = JournalRecorder::start(work.journal, work.ledger).map_err(unwritable)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let end = runtime.block_on(async {
        let signals = listen()?;
        anyhow::Ok(engine::run(session, &mut recorder, shown.observer(), signals).await)
    });
    // Idle connections are not waited for.
    runtime.shutdown_background();
    let (mut journal, ledger, written) = recorder.finish();
    let end = end?;
    let fault = end.fault.as_ref().map(ToString::to_string).or(written.err().map(|e| e.to_string()));

    let handle = journal.handle().map_err(unwritable)?;
    let place = |_: u32| home;
    let material = Material {
        job,
        input: work.input,
        options: &work.facts.input.options,
        ledger: Some(&ledger),
        journal: Some(&handle),
        home: &place,
    };
    let left = (0..ledger.len() as u32).filter(|op| is_left(&ledger, job, *op)).count();
    let mut exit = Exit::Internal;
    let closed = match fault {
        Some(fault) => Err(fault),
        None => dir
            .close(&material, &mut journal, sessions.clone(), |tally| {
                exit = decide(&end, tally);
                exit
            })
            .map_err(|fault| fault.to_string()),
    };
    let stopped = end.stop.map(reason);
    let elapsed = begun.elapsed();
    match closed {
        Ok((summary, tally)) => {
            // The accounting has the last word.
            let exit = if summary.exit_code == exit.code() { exit } else { Exit::Internal };
            Ok(Closed { exit, summary, tally, left, stopped, elapsed, again })
        }
        Err(fault) => {
            // What is known is shown all the same; the journal has it, and a resume goes on from it.
            let tally = material.write_results(std::io::sink()).unwrap_or_default();
            let summary = dir.summarise(&material, &tally, sessions, Exit::Unwritable, Stamp::now());
            Ok(Closed { exit: Exit::Unwritable, summary, tally, left, stopped: Some(fault), elapsed, again })
        }
    }
}

fn reason(stop: Stop) -> String {
    match stop {
        Stop::Signal(Signal::Interrupt) => "interrupted by SIGINT",
        Stop::Signal(Signal::Terminate) => "stopped by SIGTERM",
        Stop::ErrorBudget => "more operations failed than --max-errors allows",
        Stop::Unwritable => "the journal cannot be written",
    }
    .to_owned()
}

/// Whether a plain `resume` would take this operation up.
pub fn is_left(ledger: &Ledger, job: &Job, op: u32) -> bool {
    use crate::job::What;
    let is_call = matches!(job.operations[op as usize].what, What::Call(_));
    is_call && matches!(ledger.ended(op), None | Some((Status::NotAttempted, _)))
}

/// Writes the session's first record, and what is settled without a call.
fn open(work: &mut Work<'_>) -> Result<(), Failure> {
    let session = SessionEntry {
        at: Stamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operator: person::operator(),
        host: person::host(),
        pid: std::process::id(),
        servers: vec![work.home.0.to_owned()],
        limits: serde_json::to_value(work.limits).context("the limits cannot be written down")?,
    };
    work.sessions.push(SessionFigures::begun(&session));
    let settled = std::mem::take(&mut work.settled).into_iter().map(Entry::End);
    for entry in std::iter::once(Entry::Session(session)).chain(settled) {
        let synced = work.journal.synced();
        let at = work.journal.append(&entry, synced);
        work.ledger.apply(&entry, at);
    }
    work.journal.flush_to_disk().map_err(|fault| Failure::new(Exit::Unwritable, fault))
}

/// What the session's end and its results come to.
fn decide(end: &SessionEnd, tally: &Tally) -> Exit {
    let mut exit = of_results(tally);
    let halts: Vec<_> = end.servers.iter().map(|(_, halt)| halt.as_ref().map(|(class, _)| *class)).collect();
    if !halts.is_empty() && halts.iter().all(Option::is_some) {
        let by_errors = halts.contains(&Some(ErrorClass::ErrorBudget));
        exit = exit.worse(if by_errors { Exit::Stopped } else { Exit::Halted });
    }
    match end.stop {
        None => exit,
        Some(Stop::Signal(Signal::Interrupt)) => exit.worse(Exit::Interrupted),
        Some(Stop::Signal(Signal::Terminate)) => exit.worse(Exit::Terminated),
        Some(Stop::ErrorBudget) => exit.worse(Exit::Stopped),
        Some(Stop::Unwritable) => exit.worse(Exit::Unwritable),
    }
}

/// What the results alone come to.
pub fn of_results(tally: &Tally) -> Exit {
    if tally.counts.keys().all(|status| status.is_good()) { Exit::Ok } else { Exit::Incomplete }
}

/// The signals that end a run in good order. SIGHUP ends nothing: a run goes on when its terminal is
/// gone.
fn listen() -> Result<UnboundedReceiver<Signal>> {
    let (tell, signals) = unbounded_channel();
    for (kind, means) in [
        (SignalKind::interrupt(), Some(Signal::Interrupt)),
        (SignalKind::terminate(), Some(Signal::Terminate)),
        (SignalKind::hangup(), None),
    ] {
        let mut stream = signal(kind).context("signals cannot be listened for")?;
        let tell = tell.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if let Some(signal) = means {
                    let _ = tell.send(signal);
                }
            }
        });
    }
    Ok(signals)
}
