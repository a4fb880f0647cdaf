//! `mailsweep verify`: whether what a run did still holds. It reads, and writes down what it found;
//! the run's own record it leaves alone.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::args::{StateArgs, VerifyArgs};
use super::look::{self, Look, Looked};
use super::person::Who;
use super::reach::{self, Reach};
use super::recorded::{Recorded, ServerChoice};
use super::route::Routing;
use super::run::state_failure;
use super::show::Live;
use super::survey::{Survey, Surveyor};
use super::{Failure, session};
use crate::domain::{Exit, Status};
use crate::engine::{Signal, Stop};
use crate::job::Job;
use crate::record::{Ledger, Recheck, Rechecks, Stamp, StateDir};
use crate::view::{self, Terminal, VerifyView};

/// Carries out the command.
pub fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    super::run::check_output(&args.output)?;
    let lists = args.select.lists()?;
    let choice = ServerChoice {
        config: args.config.as_deref(),
        credential: &args.credential,
        limits: args.limits.some(),
    };
    let run = Recorded::open(&args.run_dir, &choice, "verify")?;
    let Recorded { dir, facts, fleet, job, .. } = &run;
    let left_out = args.select.which.left_out(fleet)?;
    let seen = dir.look(facts, job)?;
    let ledger = &seen.record.ledger;
    let mut live = Live::start(&args.output);
    let to_do = to_verify(job, ledger);
    let who = Who::found(run.config.operator.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let (mut survey, reach) = if run.settings.sandbox {
        let reach = Reach::sandbox(&fleet.servers[0], Some(run.sandbox_store()), &dir.run_id(), job)?;
        (Survey::silent(fleet, &left_out), reach)
    } else {
        let needed = needed(&run, ledger, &to_do);
        let is_out = |name: &str| {
            (0..left_out.len()).any(|n| fleet.servers[n].name == name && (left_out[n] || !needed[n]))
        };
        let credentials = reach::credentials(fleet, |server| is_out(&server.name))?;
        let reach = Reach::servers(fleet, &credentials, &dir.run_id())?;
        let state = StateDir::from_environment().map_err(state_failure)?;
        let alone = StateArgs { try_again: args.try_again, ..StateArgs::default() };
        let surveyor = Surveyor {
            fleet,
            credentials: &credentials,
            reach: &reach,
            job,
            args: &alone,
            only_looks: true,
            others: Vec::new(),
            run_id: &dir.run_id(),
            operator: &who.to_string(),
            live: &live,
        };
        let survey = surveyor.survey(&state, &left_out, |number| needed[number], &runtime)?;
        (survey, reach)
    };
    let routing = Routing {
        job,
        fleet,
        heard: &survey.heard,
        lists: &lists,
        names: facts.input.options.servers.as_deref().unwrap_or_default(),
        recorded: Some(ledger.places()),
        is_rehearsal: false,
    };
    let routed = routing.route(to_do.iter().copied(), &HashSet::new());
    let left_alone: HashSet<u32> = routed.left_alone.iter().copied().collect();
    let wanted: Vec<u32> = to_do.into_iter().filter(|op| !left_alone.contains(op)).collect();
    let sendable: Vec<u32> = wanted.iter().copied().filter(|op| !routed.settled.contains_key(op)).collect();
    routed.warnings.iter().for_each(|warning| live.note(warning));
    loop {
        let again = survey.again(fleet, &left_out);
        let looked = look::look(
            Look {
                job,
                fleet,
                reach: &reach,
                runtime: &runtime,
                survey: std::mem::replace(&mut survey, again),
                routed: &routed,
                order: Default::default(),
                who: &who,
                to_do: &sendable,
            },
            &mut live,
        )?;
        let findings = findings(job, ledger, &looked, &wanted);
        let (path, exit) = tell(args, &run, &live, &looked, &findings)?;
        let is_over = looked.end.stop.is_some();
        let pause = args.watch.filter(|_| !is_over);
        match pause {
            Some(pause) if !signal_within(&runtime, pause)? => {}
            _ => {
                runtime.shutdown_background();
                end(args, live, &run, &findings, path.as_deref(), exit);
                return Ok(exit);
            }
        }
    }
}

/// The operations whose flags are to be as they set them: of several on one flag of a mailbox the last
/// one alone shows.
fn to_verify(job: &Job, ledger: &Ledger) -> Vec<u32> {
    let mut last: HashMap<(u32, u8), u32> = HashMap::new();
    for (op, operation) in (0u32..).zip(&job.operations) {
        let is_well = matches!(ledger.ended(op), Some((Status::Ok | Status::Unchanged, _)));
        if let Some(function) = operation.function()
            && is_well
            && !ledger.is_undone(op)
        {
            last.insert((operation.mailbox.0, function.target().flag as u8), op);
        }
    }
    let mut ops: Vec<u32> = last.into_values().collect();
    ops.sort_unstable();
    ops
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
fn findings(job: &Job, ledger: &Ledger, looked: &Looked, ops: &[u32]) -> Vec<Recheck> {
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

/// Writes down what was found and says so; returns where, and the code.
fn tell(
    args: &VerifyArgs,
    run: &Recorded,
    live: &Live,
    looked: &Looked,
    list: &[Recheck],
) -> Result<(Option<PathBuf>, Exit), Failure> {
    let handle = looked.journal.handle().context("what was seen cannot be read")?;
    let findings =
        Rechecks { job: &run.job, places: looked.ledger.places(), reasons: &handle, list, at: Stamp::now() };
    let path = run.dir.write_rechecks(&findings)?;
    if let Some(to) = &args.output.output {
        super::run::write_output(to, |out| findings.write(out))
            .with_context(|| format!("what was found could not be written to {}", to.display()))?;
    }
    let mut exit =
        if list.iter().all(|finding| finding.holds == Some(true)) { Exit::Ok } else { Exit::Incomplete };
    let with_work: Vec<_> = looked.end.servers.iter().filter(|server| server.had_work).collect();
    if !with_work.is_empty() && with_work.iter().all(|server| server.halted.is_some()) {
        exit = exit.worse(Exit::Halted);
    }
    // Whoever watches ends it so, and nothing is cut short by that but a reading on its way.
    match looked.end.stop {
        Some(Stop::Signal(Signal::Interrupt)) => exit = exit.worse(Exit::Interrupted),
        Some(Stop::Signal(Signal::Terminate)) => exit = exit.worse(Exit::Terminated),
        _ => {}
    }
    if args.watch.is_some() {
        let view = view_of(run, list, Some(&path));
        live.note(&view::verified_in_a_line(&view));
    }
    Ok((Some(path), exit))
}

fn end(args: &VerifyArgs, live: Live, run: &Recorded, list: &[Recheck], path: Option<&Path>, exit: Exit) {
    let view = view_of(run, list, path);
    if args.output.json
        && let Ok(text) = serde_json::to_string_pretty(&view.json(exit.code()))
    {
        use std::io::Write;
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
    let terminal = Terminal::stderr();
    let text = view::verified(&view, terminal.style(), terminal.width());
    live.end_in_a_line(&text, &view::verified_in_a_line(&view), exit);
}

fn view_of(run: &Recorded, list: &[Recheck], path: Option<&Path>) -> VerifyView {
    const NAMED: usize = 10;
    let count = |wanted| list.iter().filter(|finding| finding.holds == wanted).count() as u64;
    let odd = list.iter().filter(|finding| finding.holds != Some(true));
    let lines = odd.take(NAMED).filter_map(|finding| {
        let operation = &run.job.operations[finding.op as usize];
        let function = operation.function()?;
        let now = match finding.now.of(function.channel()) {
            "" => "cannot be read",
            word => word,
        };
        let mailbox = run.job.mailboxes.get(operation.mailbox);
        let (action, channel) = (function.action(), function.channel());
        let ended = finding.ended.map(|at| format!(", done {at}")).unwrap_or_default();
        Some(format!("row {} {mailbox} {action} {channel}: now {now}{ended}", operation.row))
    });
    VerifyView {
        run: run.dir.path().display().to_string(),
        holds: count(Some(true)),
        lacks: count(Some(false)),
        unread: count(None),
        lines: lines.collect(),
        path: path.map(Path::to_owned),
    }
}

/// Waits so long, or until a signal comes; says whether one did.
fn signal_within(runtime: &tokio::runtime::Runtime, pause: Duration) -> Result<bool, Failure> {
    Ok(runtime.block_on(async {
        let mut signals = session::listen()?;
        anyhow::Ok(tokio::time::timeout(pause, signals.recv()).await.is_ok())
    })?)
}
