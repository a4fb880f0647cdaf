//! One session on a run, be it the first or a later one: engine, recorder, signals, the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::lanes::{self, Tasks};
use super::person::Who;
use super::reach::Reach;
use super::reading::ReadingSettings;
use super::route::Routed;
use super::survey::Survey;
use super::{Failure, person, show};
use crate::domain::{Classes, ErrorClass, Exit};
use crate::engine::{self, ChannelOrder, Foreseen, MaxChanges, SessionEnd, Signal, Stop};
use crate::fleet::Fleet;
use crate::job::{Job, Source};
use crate::record::{
    Asked, Ended, Entry, Journal, JournalRecorder, Ledger, Material, Opened, Outcomes, Places, RunDir,
    RunFacts, SessionEntry, SessionFigures, Stamp, Summary, Tally, is_waiting,
};
use crate::view;

/// What a session works on.
pub struct Work<'a> {
    pub dir: &'a RunDir,
    pub facts: &'a RunFacts,
    pub job: &'a Arc<Job>,
    pub input: &'a Source,
    pub fleet: &'a Fleet,
    pub reach: &'a Reach,
    pub runtime: &'a Runtime,
    pub survey: Survey,
    pub routed: Routed,
    pub order: ChannelOrder,
    pub who: Who,
    pub reading: &'a ReadingSettings,
    /// What a plan that the run is bound to has foreseen for each operation.
    pub foreseen: Option<&'a dyn Fn(u32) -> Foreseen>,
    pub journal: Journal,
    pub ledger: Ledger,
    pub sessions: Vec<SessionFigures>,
    /// Operations that end without a call, beside those that were not routed.
    pub settled: Vec<Ended>,
    /// Operations to carry out, in file order; those that go nowhere are left out here.
    pub to_do: Vec<u32>,
    /// Those of them that wait until all others have ended.
    pub last: HashSet<u32>,
    /// Operations that an earlier session called and whose mailboxes were not read since.
    pub unverified: Vec<u32>,
    /// Error classes that count for nothing.
    pub tolerated: Classes,
    /// Flags that a later session needs to take up the same.
    pub again: Vec<String>,
    /// Flags that every later command needs to find the servers and credentials of this session.
    pub given: Vec<String>,
}

/// What came of it.
pub struct Closed {
    pub exit: Exit,
    pub summary: Summary,
    pub tally: Tally,
    /// What a `resume` would take up, be it only to look what became of it.
    pub left: usize,
    /// Error classes that counted for nothing.
    pub tolerated: Classes,
    /// Why it took no new work before it was through, if so.
    pub stopped: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
    /// Flags of this session that the next one needs too, to take up the same.
    pub again: Vec<String>,
    /// And those that every later command needs, to find the same servers and credentials.
    pub given: Vec<String>,
    /// The servers that refused a credential: their place in the fleet, and the login's.
    pub refused: Vec<(usize, usize)>,
    /// Commands that are of use with the run from now on.
    pub later: &'static [&'static str],
}

/// Carries out a session and writes everything down.
pub fn carry_out(mut work: Work<'_>, shown: &mut show::Live) -> Result<Closed, Failure> {
    let begun = Instant::now();
    open(&mut work)?;
    let is_done = |op: &u32| !is_waiting(work.ledger.ended(*op));
    let mut done_before = (0..work.job.operations.len() as u32).filter(is_done).count();
    // What is taken up again is still to be done.
    done_before -= work.to_do.iter().filter(|op| is_done(op)).count();
    let places = work.routed.places.list().to_vec();
    let lanes = lanes::lanes(Tasks {
        job: work.job,
        fleet: work.fleet,
        places: &places,
        routed: &work.routed,
        ways: work.reach.ways(),
        heard: &work.survey.heard,
        known: std::mem::take(&mut work.survey.known),
        ledger: &work.ledger,
        to_do: &work.to_do,
        last: &work.last,
        unverified: &work.unverified,
        end_sessions: work.reading.end_sessions,
    });
    let checks = work.reading.checks(lanes::changed_before(&work.ledger, &work.to_do));
    // Some bytes for each mailbox and operation, which the lanes have now.
    drop((work.routed, work.to_do));
    let reads_after = checks.after;
    let foreseen = work.foreseen;
    let Work { dir, job, order, sessions, tolerated, mut again, given, runtime, .. } = work;
    let clock = Stamp::now;
    let session = engine::Session {
        job,
        lanes,
        order,
        checks,
        foreseen,
        tolerated,
        done_before: done_before as u64,
        seed: fastrand::u64(..),
        clock: &clock,
    };

    let unwritable = |fault: std::io::Error| Failure::new(Exit::Unwritable, fault);
    let mut recorder = JournalRecorder::start(work.journal, work.ledger).map_err(unwritable)?;
    let end = runtime.block_on(async {
        let signals = listen()?;
        anyhow::Ok(engine::run(session, &mut recorder, shown.observer(), signals).await)
    });
    let (mut journal, ledger, written) = recorder.finish();
    let end = end?;
    let fault = end.fault.as_ref().map(ToString::to_string).or(written.err().map(|e| e.to_string()));

    let handle = journal.handle().map_err(unwritable)?;
    let material = Material {
        job,
        input: work.input,
        options: &work.facts.input.options,
        tolerated,
        outcomes: Outcomes::Done { ledger: &ledger, journal: &handle },
    };
    let later = if work.reading.blind { &["verify"][..] } else { &["verify", "undo"] };
    let is_to_be_read = |op: u32| reads_after && ledger.is_unverified(op) && !ledger.is_undone(op);
    let is_taken_up = |op: &u32| is_left(&ledger, job, *op) || is_to_be_read(*op);
    let owes_sessions = work.reading.end_sessions && ledger.sessions_owed().next().is_some();
    let left = (0..ledger.len() as u32).filter(is_taken_up).count() + usize::from(owes_sessions);
    let mut exit = Exit::Internal;
    let closed = match fault {
        Some(fault) => Err(fault),
        None => dir
            .close(
                work.facts,
                &material,
                &mut journal,
                sessions.clone(),
                |tally| {
                    exit = decide(&end, tally, owes_sessions, tolerated);
                    exit
                },
                &view::report,
            )
            .map_err(|fault| fault.to_string()),
    };
    let lets_through = ledger.stopped_because().and_then(MaxChanges::named_in);
    if let Some(value) = lets_through.filter(|_| end.stop == Some(Stop::MaxChanges)) {
        again.extend(["--max-changes".to_owned(), value.to_owned()]);
    }
    let stopped = end.stop.map(reason);
    let elapsed = begun.elapsed();
    let refused = refused(&end);
    let (exit, summary, tally, stopped) = match closed {
        // The accounting has the last word.
        Ok((summary, tally)) if summary.exit_code == exit.code() => (exit, summary, tally, stopped),
        Ok((summary, tally)) => (Exit::Internal, summary, tally, stopped),
        Err(fault) => {
            // What is known is shown all the same; the journal has it, and a resume goes on from it.
            let tally = material.write_results(std::io::sink()).unwrap_or_default();
            let summary = dir.summarise(&material, &tally, sessions, Exit::Unwritable, Stamp::now());
            (Exit::Unwritable, summary, tally, Some(fault))
        }
    };
    Ok(Closed { exit, summary, tally, left, tolerated, stopped, elapsed, again, given, refused, later })
}

pub fn reason(stop: Stop) -> String {
    match stop {
        Stop::Signal(Signal::Interrupt) => "interrupted by SIGINT",
        Stop::Signal(Signal::Terminate) => "stopped by SIGTERM",
        Stop::ErrorBudget => "more operations failed than --max-errors allows",
        Stop::MaxChanges => "more would change than --max-changes allows",
        Stop::Unwritable => "the journal cannot be written",
    }
    .to_owned()
}

/// The servers that refused a credential: their place in the fleet, and the login's.
pub fn refused(end: &SessionEnd) -> Vec<(usize, usize)> {
    let servers = end.servers.iter().enumerate();
    servers.filter_map(|(server, end)| Some((server, end.refused?))).collect()
}

/// Tells that a kill had left a journal's end half written.
pub fn note_torn(opened: &Opened, live: &show::Live) {
    if let Some(torn) = opened.torn {
        live.note(&format!(
            "the journal's end was torn when the run was killed: {} bytes cut, nothing that had counted",
            torn.bytes
        ));
    }
}

/// Whether a plain `resume` would take this operation up.
pub fn is_left(ledger: &Ledger, job: &Job, op: u32) -> bool {
    use crate::job::What;
    let is_call = matches!(job.operations[op as usize].what, What::Call(_));
    is_call && is_waiting(ledger.ended(op))
}

/// Writes the session's first records, and syncs them.
fn open(work: &mut Work<'_>) -> Result<(), Failure> {
    let opening = Opening {
        fleet: work.fleet,
        routed: &work.routed,
        recorded: work.ledger.places(),
        who: &work.who,
        asked: std::mem::take(&mut work.survey.asked),
    };
    let mut entries = opening.entries()?;
    if let Some(Entry::Session(session)) = entries.first() {
        work.sessions.push(SessionFigures::begun(session));
    }
    entries.extend(std::mem::take(&mut work.settled).into_iter().map(Entry::End));
    for entry in entries {
        let synced = work.journal.synced();
        let at = work.journal.append(&entry, synced);
        work.ledger.apply(&entry, at);
    }
    work.journal.flush_to_disk().map_err(|fault| Failure::new(Exit::Unwritable, fault))
}

/// What a session begins with.
pub struct Opening<'a> {
    pub fleet: &'a Fleet,
    pub routed: &'a Routed,
    /// Where mailboxes were put in earlier sessions.
    pub recorded: &'a Places,
    pub who: &'a Who,
    pub asked: Vec<Asked>,
}

impl Opening<'_> {
    /// Who works on it, what the servers said, where the mailboxes are, and what is settled without a
    /// call.
    pub fn entries(self) -> Result<Vec<Entry>> {
        let Opening { fleet, routed, recorded, who, asked } = self;
        let at = Stamp::now();
        let limits: serde_json::Map<String, serde_json::Value> = fleet
            .servers
            .iter()
            .map(|server| Ok((server.name.clone(), serde_json::to_value(&server.limits)?)))
            .collect::<serde_json::Result<_>>()
            .context("the limits cannot be written down")?;
        let session = SessionEntry {
            at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            operator: who.operator.clone(),
            unix_user: who.unix_user.clone(),
            ticket: who.ticket.clone(),
            host: person::host(),
            pid: std::process::id(),
            servers: fleet.servers.iter().map(|server| server.name.clone()).collect(),
            limits: limits.into(),
        };
        let mut entries = vec![Entry::Session(session)];
        entries.extend(asked.into_iter().map(Entry::Asked));
        let places = &routed.places;
        for (place, mailboxes) in places.ranges(|mailbox| recorded.of(mailbox) != places.of(mailbox)) {
            let number = places.list().iter().position(|known| known == place).unwrap_or_default();
            let server = u16::try_from(routed.ways[number].0).unwrap_or(u16::MAX);
            entries.push(Entry::Route { at, server, account: place.account.clone(), mailboxes });
        }
        let mut nowhere: Vec<_> = routed.settled.iter().collect();
        nowhere.sort_unstable_by_key(|(op, _)| **op);
        entries.extend(nowhere.into_iter().map(|(op, settled)| {
            let (status, class) = (settled.status, settled.class);
            let (server, ms, http) = (None, None, None);
            Entry::End(Ended { at, op: *op, server, ms, status, class, http, error: (*settled.error).into() })
        }));
        Ok(entries)
    }
}

/// What the session's end and its results come to; `owes_sessions` says that those of an account's
/// mailboxes were to be ended and were not. A halt that is tolerated is none here.
pub fn decide(end: &SessionEnd, tally: &Tally, owes_sessions: bool, tolerated: Classes) -> Exit {
    let mut exit = of_results(tally);
    if owes_sessions {
        exit = exit.worse(Exit::Incomplete);
    }
    let with_work = end.servers.iter().filter(|server| server.had_work);
    let halts = with_work.map(|server| server.halted.as_ref().map(|(class, _)| *class));
    let halts: Vec<_> = halts.filter(|halt| !tolerated.has(*halt)).collect();
    if !halts.is_empty() && halts.iter().all(Option::is_some) {
        exit = exit.worse(if halts.contains(&Some(ErrorClass::ErrorBudget)) {
            Exit::Stopped
        } else if halts.iter().all(|halt| *halt == Some(ErrorClass::ServerInUse)) {
            Exit::InUse
        } else {
            Exit::Halted
        });
    }
    match end.stop {
        None => exit,
        Some(Stop::Signal(Signal::Interrupt)) => exit.worse(Exit::Interrupted),
        Some(Stop::Signal(Signal::Terminate)) => exit.worse(Exit::Terminated),
        Some(Stop::ErrorBudget | Stop::MaxChanges) => exit.worse(Exit::Stopped),
        Some(Stop::Unwritable) => exit.worse(Exit::Unwritable),
    }
}

/// What the results alone come to.
pub fn of_results(tally: &Tally) -> Exit {
    if tally.is_well() { Exit::Ok } else { Exit::Incomplete }
}

/// The signals that end a run in good order. SIGHUP ends nothing: a run goes on when its terminal is
/// gone.
pub fn listen() -> Result<UnboundedReceiver<Signal>> {
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
