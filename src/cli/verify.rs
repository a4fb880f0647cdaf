//! `mailsweep verify`: whether what a run did still holds. It reads, and writes down what it found;
//! the run's own record it leaves alone.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

use super::args::{StateArgs, VerifyArgs};
use super::look::{self, Look, Looked};
use super::person::Who;
use super::reach::{self, Kept, Reach};
use super::recorded::{Recorded, ServerChoice};
use super::route::Routing;
use super::run::{runs_dir, state_failure};
use super::select::Lists;
use super::show::{self, Live};
use super::survey::{self, Survey, Surveyor};
use super::taken_back::TakenBack;
use super::{Failure, session};
use crate::domain::{Exit, Flag, Status};
use crate::engine::{Signal, Stop};
use crate::job::Job;
use crate::record::{Disk, Ledger, Recheck, Rechecks, Stamp, StateDir, Undo};
use crate::view::{self, Terminal, VerifyView};

/// Carries out the command.
pub fn verify(args: &VerifyArgs, disk: &Disk) -> Result<Exit, Failure> {
    super::run::check_output(&args.output)?;
    let lists = args.select.lists()?;
    let choice = ServerChoice {
        config: args.config.as_deref(),
        credential: &args.credential,
        limits: args.limits.some(),
    };
    let run = Recorded::open(disk, &args.run_dir, &choice, "verify")?;
    let left_out = args.select.which.left_out(&run.fleet)?;
    let who = Who::found(run.config.operator.as_deref());
    let mut seen = run.dir.look(&run.facts, &run.job)?;
    let mut live = Live::start(&args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let mut signals = runtime.block_on(async { session::listen() })?;
    let verifier = Verifier { args, run: &run, lists: &lists, left_out: &left_out, who: &who };
    let mut last: Option<Verified> = None;
    for number in 1u64.. {
        let mut round =
            Round { number, ledger: &seen.record.ledger, runtime: &runtime, signals: &mut signals };
        let verified = verifier.look(&mut round, &mut live)?;
        let is_cut_short = verified.stop.is_some();
        // A signal is how it ends: what it cut short says less than the look before.
        if last.is_none() || !is_cut_short {
            let written = verifier.tell(&verified, &live)?;
            last = Some(Verified { path: Some(written), ..verified });
        }
        let pause = args.watch.filter(|_| !is_cut_short);
        if pause.is_none_or(|pause| signal_within(&runtime, pause, &mut signals)) {
            break;
        }
        // It may have gone on, or part of it may have been taken back.
        seen.catch_up(&run.facts, &run.job, |_| {})?;
    }
    runtime.shutdown_background();
    Ok(last.map_or(Exit::Ok, |last| verifier.end(&last, live)))
}

/// What there is to verify.
struct Verifier<'a> {
    args: &'a VerifyArgs,
    run: &'a Recorded,
    lists: &'a Lists,
    /// For each server whether it is left out.
    left_out: &'a [bool],
    who: &'a Who,
}

/// One look of perhaps many.
struct Round<'a> {
    number: u64,
    /// What the run had done by then.
    ledger: &'a Ledger,
    runtime: &'a Runtime,
    signals: &'a mut UnboundedReceiver<Signal>,
}

/// What a look has found.
struct Verified {
    list: Vec<Recheck>,
    /// Operations that were taken back, and are passed over.
    undone: u64,
    /// The runs that did that.
    undone_by: Vec<String>,
    /// Operations that the run has not done yet.
    not_done: u64,
    looked: Looked,
    at: Stamp,
    stop: Option<Stop>,
    exit: Exit,
    /// Where it stands.
    path: Option<PathBuf>,
}

impl Verifier<'_> {
    /// Reads the state of all that is to hold. Each look begins anew: servers come back, credentials
    /// are exchanged, domains move.
    fn look(&self, round: &mut Round<'_>, live: &mut Live) -> Result<Verified, Failure> {
        let Verifier { run, left_out, .. } = *self;
        let Recorded { dir, disk, facts, fleet, job, .. } = run;
        let Round { ledger, runtime, .. } = *round;
        let taken_back = TakenBack::find(run, ledger);
        taken_back.notes().iter().for_each(|note| live.note(&format!("! {note}")));
        let (to_do, undone) =
            to_verify(job, ledger, |op, flag| taken_back.is_passed_over(run, ledger, op, flag));
        let waits = |op: &u32| session::is_left(ledger, job, *op) && !ledger.is_undone(*op);
        let not_done = (0..ledger.len() as u32).filter(waits).count() as u64;
        // Each counts as a session of its own for what a server has refused.
        let run_id = format!("{} look {}", dir.run_id(), round.number);
        let mut state = None;
        let (survey, reach, credentials) = if run.settings.sandbox {
            let kept = Kept::AsIn(run.sandbox_store());
            let reach = Reach::sandbox(&fleet.servers[0], disk, kept, &dir.run_id(), job)?;
            (Survey::silent(fleet, left_out), reach, Vec::new())
        } else {
            let needed = needed(run, ledger, &to_do);
            let is_out = |name: &str| {
                (0..left_out.len()).any(|n| fleet.servers[n].name == name && (left_out[n] || !needed[n]))
            };
            let credentials = reach::credentials(fleet, disk, |server| is_out(&server.name))?;
            let reach = Reach::servers(fleet, &credentials, &dir.run_id())?;
            let state = state.insert(StateDir::from_environment(disk).map_err(state_failure)?);
            let alone = StateArgs { try_again: self.args.try_again, ..StateArgs::default() };
            let surveyor = Surveyor {
                fleet,
                credentials: &credentials,
                reach: &reach,
                job,
                args: &alone,
                only_looks: true,
                others: Vec::new(),
                run_id: &run_id,
                operator: &self.who.to_string(),
                live,
            };
            let survey = surveyor.survey(state, left_out, |number| needed[number], runtime)?;
            (survey, reach, credentials)
        };
        let routing = Routing {
            job,
            fleet,
            heard: &survey.heard,
            lists: self.lists,
            names: facts.input.options.servers.as_deref().unwrap_or_default(),
            recorded: Some(ledger.places()),
            is_rehearsal: false,
        };
        let routed = routing.route(to_do.iter().copied(), &HashSet::new());
        let left_alone: HashSet<u32> = routed.left_alone.iter().copied().collect();
        let wanted: Vec<u32> = to_do.into_iter().filter(|op| !left_alone.contains(op)).collect();
        let is_sendable = |op: &u32| !routed.settled.contains_key(op);
        let sendable: Vec<u32> = wanted.iter().copied().filter(is_sendable).collect();
        routed.warnings.iter().for_each(|warning| live.note(warning));
        let at = Stamp::now();
        let looked = look::look(
            Look {
                job,
                fleet,
                disk,
                reach: &reach,
                runtime,
                survey,
                routed: &routed,
                order: Default::default(),
                who: self.who,
                to_do: &sendable,
                signals: round.signals,
            },
            live,
        )?;
        if let Some(state) = &state {
            let refused = session::refused(&looked.end);
            survey::note_refusals(state, fleet, &credentials, &run_id, &refused, live);
        }
        let list = rechecks(job, ledger, &looked, &wanted);
        let (stop, exit) = (looked.end.stop, decide(&looked, &list));
        let runs_dir = runs_dir(&run.config);
        let named = |undo: &Undo| show::named(&undo.by, Path::new(&undo.dir), &runs_dir);
        let undone_by = ledger.undos().iter().filter(|_| undone > 0).map(named).collect();
        Ok(Verified { list, undone, undone_by, not_done, looked, at, stop, exit, path: None })
    }

    /// Writes down what was found and says so; returns where.
    fn tell(&self, verified: &Verified, live: &Live) -> Result<PathBuf, Failure> {
        let Verified { list, looked, at, exit, .. } = verified;
        let handle = looked.journal.handle().context("what was seen cannot be read")?;
        let (job, places) = (&self.run.job, looked.ledger.places());
        let rechecks = Rechecks { job, places, reasons: &handle, list, at: *at };
        let path = self.run.dir.write_rechecks(&rechecks)?;
        if let Some(to) = &self.args.output.output {
            super::run::write_output(&self.run.disk, to, |out| rechecks.write(out))
                .with_context(|| format!("what was found could not be written to {}", to.display()))?;
        }
        if self.args.watch.is_some() {
            let view = self.view_of(verified, Some(path.clone()));
            let line = format!("{at} {}", view::verified_in_a_line(&view));
            if *exit == Exit::Ok {
                live.note(&line)
            } else {
                live.say(&line)
            }
            if self.args.output.json {
                let _ = writeln!(std::io::stdout().lock(), "{}", view.json(exit.code()));
            }
        }
        Ok(path)
    }

    /// Shows what the last look has found.
    fn end(&self, verified: &Verified, live: Live) -> Exit {
        let view = self.view_of(verified, verified.path.clone());
        let exit = verified.exit;
        let is_watching = self.args.watch.is_some();
        if self.args.output.json && !is_watching {
            let _ = writeln!(std::io::stdout().lock(), "{:#}", view.json(exit.code()));
        }
        let terminal = Terminal::stderr();
        let text = view::verified(&view, terminal.style(), terminal.width());
        // Each look has had its line already.
        let shown = if is_watching { Exit::Ok } else { exit };
        live.end_in_a_line(&text, &view::verified_in_a_line(&view), shown);
        exit
    }

    fn view_of(&self, verified: &Verified, path: Option<PathBuf>) -> VerifyView {
        const NAMED: usize = 10;
        let Verified { list, undone, undone_by, not_done, .. } = verified;
        let Recorded { dir, job, .. } = self.run;
        let count = |wanted| list.iter().filter(|recheck| recheck.holds == wanted).count() as u64;
        let odd = list.iter().filter(|recheck| recheck.holds != Some(true));
        let lines = odd.take(NAMED).filter_map(|recheck| {
            let operation = &job.operations[recheck.op as usize];
            let function = operation.function()?;
            let now = match recheck.now.of(function.channel()) {
                "" => "cannot be read",
                word => word,
            };
            let mailbox = job.mailboxes.get(operation.mailbox);
            let (action, channel) = (function.action(), function.channel());
            let ended = recheck.ended.map(|at| format!(", done {at}")).unwrap_or_default();
            Some(format!("row {} {mailbox} {action} {channel}: now {now}{ended}", operation.row))
        });
        VerifyView {
            run: dir.path().display().to_string(),
            at: verified.at.to_string(),
            holds: count(Some(true)),
            lacks: count(Some(false)),
            unread: count(None),
            undone: *undone,
            undone_by: undone_by.clone(),
            not_done: *not_done,
            lines: lines.collect(),
            path,
        }
    }
}

/// The operations whose flags are to be as they set them: of several on one flag of a mailbox the last
/// one alone shows. Also how many there would be besides, had they not been taken back.
fn to_verify(job: &Job, ledger: &Ledger, is_undone: impl Fn(u32, Flag) -> bool) -> (Vec<u32>, u64) {
    let mut last: HashMap<(u32, u8), u32> = HashMap::new();
    for (op, operation) in (0u32..).zip(&job.operations) {
        let is_well = matches!(ledger.ended(op), Some((Status::Ok | Status::Unchanged, _)));
        if let Some(function) = operation.function()
            && is_well
        {
            last.insert((operation.mailbox.0, function.target().flag as u8), op);
        }
    }
    let is_undone = |op: &u32| {
        job.operations[*op as usize].function().is_some_and(|function| is_undone(*op, function.target().flag))
    };
    let (undone, mut ops): (Vec<u32>, Vec<u32>) = last.into_values().partition(is_undone);
    ops.sort_unstable();
    (ops, undone.len() as u64)
}

/// For each server whether something is to be read there.
fn needed(run: &Recorded, ledger: &Ledger, ops: &[u32]) -> Vec<bool> {
    let mut needed = vec![false; run.fleet.servers.len()];
    for op in ops {
        let place = ledger.places().of(run.job.operations[*op as usize].mailbox);
        let server = place.and_then(|place| run.fleet.servers.iter().position(|s| s.name == place.server));
        if let Some(number) = server {
            needed[number] = true;
        }
    }
    needed
}

/// What was found of each operation.
fn rechecks(job: &Job, ledger: &Ledger, looked: &Looked, ops: &[u32]) -> Vec<Recheck> {
    ops.iter()
        .map(|op| {
            let operation = &job.operations[*op as usize];
            let (then, now) = (ledger.standing(job, *op), looked.ledger.standing(job, *op));
            let flag = operation.function().map(|function| function.target().flag);
            let is_known = flag.is_some_and(|flag| now.before.get(flag).is_some());
            let holds = match now.status {
                Status::Unchanged => Some(true),
                Status::Planned if is_known => Some(false),
                _ => None,
            };
            Recheck {
                op: *op,
                holds,
                then: then.after,
                now: now.before,
                ended: then.started.map(|at| at.plus(then.duration_ms.unwrap_or(0))),
                reason: now.reason,
            }
        })
        .collect()
}

/// What a look comes to.
fn decide(looked: &Looked, list: &[Recheck]) -> Exit {
    let holds = list.iter().all(|recheck| recheck.holds == Some(true));
    let mut exit = if holds { Exit::Ok } else { Exit::Incomplete };
    let mut with_work = looked.end.servers.iter().filter(|server| server.had_work).peekable();
    if with_work.peek().is_some() && with_work.all(|server| server.halted.is_some()) {
        exit = exit.worse(Exit::Halted);
    }
    match looked.end.stop {
        Some(Stop::Signal(Signal::Interrupt)) => exit.worse(Exit::Interrupted),
        Some(Stop::Signal(Signal::Terminate)) => exit.worse(Exit::Terminated),
        _ => exit,
    }
}

/// Waits so long, or until a signal comes; says whether one did.
fn signal_within(runtime: &Runtime, pause: Duration, signals: &mut UnboundedReceiver<Signal>) -> bool {
    runtime.block_on(async { tokio::time::timeout(pause, signals.recv()).await.is_ok() })
}
