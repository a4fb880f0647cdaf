//! `mailsweep run`: check everything, say what is about to happen, ask, do it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

use super::args::RunArgs;
use super::session::{self, Closed, Work};
use super::settings::Settings;
use super::show::{self, Live};
use super::target::{self, SANDBOX};
use super::{Failure, person};
use crate::domain::Exit;
use crate::engine::Limits;
use crate::fleet::ServerSpec;
use crate::job::{self, Job, Source};
use crate::record::{FORMAT, InputFacts, Ledger, Material, RunDir, RunFacts, SessionFigures, Stamp};

/// Where runs are kept unless something else is said.
pub const RUNS_DIR: &str = "mailsweep-runs";

/// Carries out the command.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let settings = Settings {
        limits: args.limits.over(Limits::default()),
        sandbox: args.server.sandbox,
        method: args.server.method(),
    };
    let server = args.server.spec(args.dry_run)?;
    check_output(&args.output)?;
    let input = if args.job == Path::new("-") { Source::stdin()? } else { Source::file(&args.job)? };
    let options = args.input.options();
    let job = Arc::new(job::read(&input, &options)?);
    let at = Stamp::now();
    let mut live = Live::start(&args.output);
    if args.dry_run {
        let facts = facts(at, true, &input, &job, options, &settings, server.as_ref())?;
        return rehearse(args, facts, &input, &job, server.as_ref(), live);
    }

    // What could still go wrong before the first call goes wrong before the question.
    let credential = target::credential(server.as_ref())?;
    RunDir::check(args.run_dir.as_deref())?;
    let home = home(server.as_ref(), settings.sandbox);
    let title = format!("About to carry out {}:", input.name());
    live.preview(&title, &job, home, &settings.limits, args.run_dir.as_deref());
    if !args.yes && !job.operations.is_empty() {
        show::may_go_on(&args.job)?;
    }

    let dir = RunDir::create(args.run_dir.as_deref(), Path::new(RUNS_DIR), input.name(), at)?;
    let mut facts = facts(at, false, &input, &job, options, &settings, server.as_ref())?;
    facts.run_id = dir.run_id();
    dir.write_facts(&facts, &input)?;
    let journal = dir.start_journal(&facts)?;
    let target = target::prepare(server.as_ref().zip(credential), &settings, &settings.limits, &dir, &job)?;
    let to_do = callable(&job);
    live.note(&format!("run {}", dir.path().display()));
    let closed = session::carry_out(
        Work {
            dir: &dir,
            facts: &facts,
            job: &job,
            input: &dir.input()?,
            limits: &settings.limits,
            target: &target,
            home,
            journal,
            ledger: Ledger::new(job.operations.len()),
            sessions: Vec::new(),
            settled: Vec::new(),
            to_do,
            last: 0,
            again: Vec::new(),
        },
        &mut live,
    )?;
    finish(live, &dir, &args.output, closed)
}

/// The last things that `run` and `resume` do alike: results elsewhere, summary, exit code.
pub fn finish(
    live: Live,
    dir: &RunDir,
    output: &super::args::OutputArgs,
    mut closed: Closed,
) -> Result<Exit, Failure> {
    let mut exit = closed.exit;
    if let Some(to) = &output.output
        && let Err(fault) = copy_results(dir, to)
    {
        live.say(&format!("the results could not be written to {}: {fault}", to.display()));
        // With -q this line has taken the place of some.
        closed.tally.first_failures.truncate(5);
        exit = exit.worse(Exit::Incomplete);
        closed.summary.exit_code = exit.code();
    }
    live.close(dir, output, &closed, exit);
    Ok(exit)
}

/// Whether `-o` names a place that a file can be put in: that it does not is better known before
/// the first call than after the last.
pub fn check_output(output: &super::args::OutputArgs) -> anyhow::Result<()> {
    let both = output.json && output.output.as_deref() == Some(Path::new("-"));
    anyhow::ensure!(!both, "--output - and --json would both write to standard output: give --output a file");
    let Some(to) = output.output.as_deref().filter(|to| *to != Path::new("-")) else { return Ok(()) };
    let shown = to.display();
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow::ensure!(parent.is_dir(), "--output {shown}: there is no directory {}", parent.display());
    anyhow::ensure!(!to.is_dir(), "--output {shown} is a directory: name a file in it");
    Ok(())
}

fn copy_results(dir: &RunDir, to: &Path) -> std::io::Result<()> {
    let mut from = std::fs::File::open(dir.results())?;
    if to == Path::new("-") {
        let copied = std::io::copy(&mut from, &mut std::io::stdout().lock());
        return match copied {
            // Whoever read has read enough.
            Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map(|_| ()),
        };
    }
    if to.canonicalize().is_ok_and(|to| dir.results().canonicalize().is_ok_and(|results| results == to)) {
        return Ok(());
    }
    std::io::copy(&mut from, &mut std::fs::File::create(to)?).map(|_| ())
}

/// Server and account of every operation, as far as they are known without asking.
pub fn home(server: Option<&ServerSpec>, sandbox: bool) -> (&str, &str) {
    match server {
        Some(server) => (&server.name, &server.user),
        None if sandbox => (SANDBOX, SANDBOX),
        None => ("", ""),
    }
}

/// The operations that have a call.
fn callable(job: &Job) -> Vec<u32> {
    let calls = job.operations.iter().enumerate().filter(|(_, o)| matches!(o.what, job::What::Call(_)));
    calls.filter_map(|(op, _)| u32::try_from(op).ok()).collect()
}

fn facts(
    at: Stamp,
    dry_run: bool,
    input: &Source,
    job: &Job,
    options: job::InputOptions,
    settings: &Settings,
    server: Option<&ServerSpec>,
) -> Result<RunFacts, Failure> {
    let json =
        |value: serde_json::Result<serde_json::Value>| value.context("the settings cannot be written down");
    Ok(RunFacts {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: String::new(),
        started_at: at,
        operator: person::operator(),
        host: person::host(),
        dry_run,
        input: InputFacts { name: input.name().to_owned(), sha256: job.sha256.clone(), options },
        settings: json(serde_json::to_value(settings))?,
        servers: json(serde_json::to_value(server.into_iter().collect::<Vec<_>>()))?,
        undo_of: None,
    })
}

/// A dry run: the same files but for the journal, and not one connection.
fn rehearse(
    args: &RunArgs,
    mut facts: RunFacts,
    input: &Source,
    job: &Arc<Job>,
    server: Option<&ServerSpec>,
    live: Live,
) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let home = home(server, args.server.sandbox);
    let title = format!("Dry run of {}: nothing is sent", input.name());
    live.preview(&title, job, home, &args.limits.over(Limits::default()), args.run_dir.as_deref());
    let dir = RunDir::create(args.run_dir.as_deref(), Path::new(RUNS_DIR), input.name(), facts.started_at)?;
    facts.run_id = dir.run_id();
    dir.write_facts(&facts, input)?;
    let place = |_: u32| home;
    let kept = dir.input()?;
    let material = Material {
        job,
        input: &kept,
        options: &facts.input.options,
        ledger: None,
        journal: None,
        home: &place,
    };
    let tally = dir.write_rehearsal(&material)?;
    let exit = if tally.operations() == job.operations.len() as u64 {
        session::of_results(&tally)
    } else {
        Exit::Internal
    };
    let ended = Stamp::now();
    let session = SessionFigures {
        operator: facts.operator.clone(),
        host: facts.host.clone(),
        started_at: facts.started_at.to_string(),
        ended_at: Some(ended.to_string()),
        exit_code: Some(exit.code()),
        chain: None,
    };
    let summary = dir.summarise(&material, &tally, vec![session], exit, ended);
    dir.write_summary(&summary)?;
    let closed =
        Closed { exit, summary, tally, left: 0, stopped: None, elapsed: begun.elapsed(), again: Vec::new() };
    finish(live, &dir, &args.output, closed)
}
