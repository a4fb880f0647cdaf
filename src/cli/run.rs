//! `mailsweep run`: check everything, say what is about to happen, ask, do it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

use super::afterwards::Afterwards;
use super::args::RunArgs;
use super::ground::{self, Ground};
use super::prepare::{self, Prepared};
use super::report::check_place;
use super::route::{Routed, Routing};
use super::session::{self, Closed};
use super::settings::Settings;
use super::show::{Live, Previewed};
use super::start::Start;
use super::survey::Survey;
use super::{Failure, person};
use crate::domain::Exit;
use crate::engine::ChannelOrder;
use crate::fleet::Server;
use crate::job::{Job, Source};
use crate::record::{
    Disk, FORMAT, InputFacts, Material, Outcomes, Plan, RunDir, RunFacts, SessionFigures, Stamp,
};

/// Where runs are kept unless something else is said.
const RUNS_DIR: &str = "mailsweep-runs";

/// Where runs are kept: what the configuration says, or a directory here.
pub fn runs_dir(config: &crate::fleet::Config) -> PathBuf {
    config.runs_dir.clone().unwrap_or_else(|| PathBuf::from(RUNS_DIR))
}

/// Carries out the command.
pub fn run(args: &RunArgs, disk: &Disk) -> Result<Exit, Failure> {
    check_output(&args.output)?;
    let Prepared { ground, left_out, lists, input, options, job } =
        Prepared::new(&args.job, &args.input, &args.server, &args.limits, &args.select, args.dry_run)?;
    let disk = &ground::disk(disk, &ground.config)?;
    let afterwards = Afterwards::new(&args.afterwards, &ground.config)?;
    let who = args.who.who_and_why(&ground.config)?;
    let plan = args.plan.as_ref().map(|path| Plan::read(path, &job, &options)).transpose();
    let plan = plan.map_err(|fault| Failure::new(Exit::Usage, fault))?;
    let at = Stamp::now();
    let first = args.channel_order.as_ref().map(|channels| channels.0.as_slice()).unwrap_or_default();
    let settings = Settings {
        sandbox: ground.is_sandbox,
        sandbox_in: None,
        channel_order: ChannelOrder::first(first),
        protect: ground.fleet.protect.clone(),
        reading: args.reading.settings(&ground.config)?,
        plan,
        tolerate: args.limits.tolerate.unwrap_or(ground.config.tolerate),
        shard: args.shard,
        aside: Vec::new(),
    };
    let fleet = &ground.fleet;
    let facts = RunFacts {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: String::new(),
        started_at: at,
        operator: who.operator.clone(),
        unix_user: who.unix_user.clone(),
        host: person::host(),
        ticket: who.ticket.clone(),
        dry_run: args.dry_run,
        input: InputFacts { name: input.name().to_owned(), sha256: job.sha256.clone(), options },
        settings: serde_json::to_value(&settings).context("the settings cannot be written down")?,
        servers: serde_json::to_value(&fleet.servers).context("the servers cannot be written down")?,
        undo_of: None,
    };
    let live = Live::start(&args.output);
    args.shard.iter().for_each(|shard| live.note(&shard.told(fleet)));
    fleet.servers.iter().flat_map(Server::slips).for_each(|slip| live.note(&slip));
    let route = |survey: &Survey| {
        let heard = &survey.heard;
        let names = facts.input.options.servers.as_deref().unwrap_or_default();
        let (job, lists, is_rehearsal) = (&job, &lists, args.dry_run);
        let routing = Routing { job, fleet, heard, lists, names, recorded: None, is_rehearsal };
        let mut routed = routing.route(prepare::callable(job), &HashSet::new());
        if let Some(shard) = args.shard {
            shard.narrow(&mut routed, job, fleet);
        }
        routed
    };
    let runs_dir = runs_dir(&ground.config);
    if args.dry_run {
        let routed = route(&Survey::silent(fleet, &left_out));
        return rehearse(args, disk, &runs_dir, facts, &settings, &input, &job, &ground, &routed, live);
    }

    let has_calls = prepare::callable(&job).next().is_some();
    let start = Start {
        facts: facts.clone(),
        who,
        disk,
        settings: &settings,
        input: &input,
        job: &job,
        fleet,
        left_out: &left_out,
        needed: vec![has_calls; fleet.servers.len()],
        other_shards: args.shard.map(|shard| shard.others(fleet)).unwrap_or_default(),
        runs_dir: &runs_dir,
        run_dir: args.run_dir.as_deref(),
        others: &args.state,
        output: &args.output,
        afterwards: &afterwards,
        yes: args.yes,
        named: &args.job,
        title: format!("About to carry out {}:", input.name()),
    };
    start.carry_out(live, route, |_| Ok(()))
}

/// Why the state directory cannot be used, before anything was sent.
pub fn state_failure(fault: crate::record::StateError) -> Failure {
    Failure::new(fault.exit(), fault)
}

/// The last things that `run`, `resume` and `undo` do alike: results elsewhere, others told, summary, exit code.
pub fn finish(
    live: Live,
    disk: &Disk,
    dir: &RunDir,
    facts: &RunFacts,
    output: &super::args::OutputArgs,
    afterwards: &Afterwards,
    mut closed: Closed,
) -> Result<Exit, Failure> {
    let mut exit = closed.exit;
    if let Some(to) = &output.output
        && let Err(fault) = copy_results(disk, dir, to)
    {
        live.say(&format!("the results could not be written to {}: {fault}", to.display()));
        // With -q this line has taken the place of some.
        closed.tally.first_failures.truncate(5);
        exit = exit.worse(Exit::Incomplete);
        closed.summary.exit_code = exit.code();
    }
    afterwards.tell(disk, dir, &facts.input.name, &closed.summary, &closed.tally, &live);
    live.close(dir, output, &closed, exit);
    Ok(exit)
}

/// Whether `-o` names a place that a file can be put in: that it does not is better known before
/// the first call than after the last.
pub fn check_output(output: &super::args::OutputArgs) -> anyhow::Result<()> {
    let both = output.json && output.output.as_deref() == Some(Path::new("-"));
    anyhow::ensure!(!both, "--output - and --json would both write to standard output: give --output a file");
    let Some(to) = output.output.as_deref().filter(|to| *to != Path::new("-")) else { return Ok(()) };
    check_place("--output", to)
}

fn copy_results(disk: &Disk, dir: &RunDir, to: &Path) -> std::io::Result<()> {
    if to.canonicalize().is_ok_and(|to| dir.results().canonicalize().is_ok_and(|results| results == to)) {
        return Ok(());
    }
    let mut from = std::fs::File::open(dir.results())?;
    write_output(disk, to, |mut out| std::io::copy(&mut from, &mut out).map(|_| ()))
}

/// Writes what `-o` asks for: a file, or standard output.
pub fn write_output(
    disk: &Disk,
    to: &Path,
    fill: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    if to == Path::new("-") {
        let written = fill(&mut std::io::stdout().lock());
        return match written {
            // Whoever read has read enough.
            Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        };
    }
    disk.write_out(to, fill)
}

/// A dry run: the same files but for the journal, and not one connection.
#[expect(clippy::too_many_arguments, reason = "all that a run has settled by then")]
fn rehearse(
    args: &RunArgs,
    disk: &Disk,
    runs_dir: &Path,
    facts: RunFacts,
    settings: &Settings,
    input: &Source,
    job: &Arc<Job>,
    ground: &Ground,
    routed: &Routed,
    live: Live,
) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let title = format!("Dry run of {}: nothing is sent", input.name());
    live.preview(
        Previewed { title: &title, job, fleet: &ground.fleet, routed, settings },
        Vec::new(),
        args.run_dir.as_deref(),
    );
    let dir = RunDir::create(disk, args.run_dir.as_deref(), runs_dir, input.name(), facts.started_at)?;
    let facts = RunFacts { run_id: dir.run_id(), ..facts };
    dir.write_facts(&facts, input)?;
    let kept = dir.input()?;
    let material = Material {
        job,
        input: &kept,
        options: &facts.input.options,
        tolerated: settings.tolerate,
        outcomes: Outcomes::Rehearsed { places: &routed.places, settled: &routed.settled },
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
        unix_user: facts.unix_user.clone(),
        ticket: facts.ticket.clone(),
        host: facts.host.clone(),
        started_at: facts.started_at.to_string(),
        ended_at: Some(ended.to_string()),
        exit_code: Some(exit.code()),
        chain: None,
    };
    let summary = dir.summarise(&material, &tally, vec![session], exit, ended);
    dir.write_report(&material.report(&facts, &summary, &tally, None), &crate::view::report)?;
    dir.write_summary(&summary)?;
    let (elapsed, stopped, again, refused) = (begun.elapsed(), None, Vec::new(), Vec::new());
    let tolerated = settings.tolerate;
    let (later, given) = (&[][..], Vec::new());
    let closed =
        Closed { exit, summary, tally, left: 0, tolerated, stopped, elapsed, again, given, refused, later };
    // A rehearsal is nobody else's business.
    finish(live, disk, &dir, &facts, &args.output, &Afterwards::default(), closed)
}
