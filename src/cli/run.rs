//! `mailsweep run`: check everything, say what is about to happen, ask, do it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

use super::args::RunArgs;
use super::ground::Ground;
use super::reach::{self, Reach};
use super::route::{Routed, Routing};
use super::session::{self, Closed, Work};
use super::settings::Settings;
use super::show::{self, Live};
use super::survey::{Survey, Surveyor};
use super::{Failure, person};
use crate::domain::Exit;
use crate::engine::ChannelOrder;
use crate::fleet::Server;
use crate::job::{self, Job, Source};
use crate::record::{
    FORMAT, InputFacts, Ledger, Material, Outcomes, RunDir, RunFacts, SessionFigures, Stamp, StateDir,
};

/// Where runs are kept unless something else is said.
const RUNS_DIR: &str = "mailsweep-runs";

/// Where runs are kept: what the configuration says, or a directory here.
pub fn runs_dir(config: &crate::fleet::Config) -> PathBuf {
    config.runs_dir.clone().unwrap_or_else(|| PathBuf::from(RUNS_DIR))
}

/// Carries out the command.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let ground = Ground::new(&args.server, &args.limits, args.dry_run)?;
    let left_out = args.select.which.left_out(&ground.fleet)?;
    let lists = args.select.lists()?;
    check_output(&args.output)?;
    let ticket = args.ticket.clone().or_else(|| ground.config.ticket.clone());
    if ground.config.require_ticket && ticket.as_ref().is_none_or(|ticket| ticket.trim().is_empty()) {
        let path = ground.path.as_deref().unwrap_or(Path::new("the configuration"));
        return Err(
            anyhow::anyhow!("{} requires a ticket: say why with --ticket TEXT", path.display()).into()
        );
    }
    let input = if args.job == Path::new("-") { Source::stdin()? } else { Source::file(&args.job)? };
    let options = job::InputOptions { servers: ground.names(), ..args.input.options() };
    let job = Arc::new(job::read(&input, &options)?);
    let at = Stamp::now();
    let first = args.channel_order.as_ref().map(|channels| channels.0.as_slice()).unwrap_or_default();
    let settings = Settings {
        sandbox: ground.is_sandbox,
        channel_order: ChannelOrder::first(first),
        protect: ground.fleet.protect.clone(),
        tolerate: args.limits.tolerate.unwrap_or(ground.config.tolerate),
        shard: args.shard,
    };
    let fleet = &ground.fleet;
    let facts = RunFacts {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: String::new(),
        started_at: at,
        operator: person::operator(ground.config.operator.as_deref()),
        host: person::host(),
        ticket,
        dry_run: args.dry_run,
        input: InputFacts { name: input.name().to_owned(), sha256: job.sha256.clone(), options },
        settings: serde_json::to_value(&settings).context("the settings cannot be written down")?,
        servers: serde_json::to_value(&fleet.servers).context("the servers cannot be written down")?,
        undo_of: None,
    };
    let mut live = Live::start(&args.output);
    args.shard.iter().for_each(|shard| live.note(&shard.told(fleet)));
    fleet.servers.iter().flat_map(Server::slips).for_each(|slip| live.note(&slip));
    let route = |survey: &Survey| {
        let heard = &survey.heard;
        let names = facts.input.options.servers.as_deref().unwrap_or_default();
        let (job, lists, is_rehearsal) = (&job, &lists, args.dry_run);
        let routing = Routing { job, fleet, heard, lists, names, recorded: None, is_rehearsal };
        let mut routed = routing.route(callable(job).into_iter(), &HashSet::new());
        if let Some(shard) = args.shard {
            shard.narrow(&mut routed, job, fleet);
        }
        routed
    };
    let runs_dir = runs_dir(&ground.config);
    if args.dry_run {
        let routed = route(&Survey::silent(fleet, &left_out));
        return rehearse(args, &runs_dir, facts, &settings, &input, &job, &ground, &routed, live);
    }

    // What could still go wrong before the first call goes wrong before the question.
    let credentials = match ground.is_sandbox {
        true => Vec::new(),
        false => reach::credentials(fleet, |server| {
            fleet.servers.iter().zip(&left_out).any(|(known, out)| *out && known.name == server.name)
        })?,
    };
    RunDir::check(args.run_dir.as_deref())?;
    let run_id = RunDir::name(args.run_dir.as_deref(), input.name(), at);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let mut reach = None;
    let mut state = None;
    let survey = if ground.is_sandbox {
        Survey::silent(fleet, &left_out)
    } else {
        if !args.yes && !job.operations.is_empty() {
            show::can_ask(&args.job)?;
        }
        let reach = reach.insert(Reach::servers(fleet, &credentials, &run_id)?);
        let state = state.insert(StateDir::from_environment().map_err(state_failure)?);
        let surveyor = Surveyor {
            fleet,
            credentials: &credentials,
            reach,
            job: &job,
            args: &args.state,
            run_id: &run_id,
            operator: &facts.operator,
            others: args.shard.map(|shard| shard.others(fleet)).unwrap_or_default(),
            live: &live,
        };
        let has_calls = !callable(&job).is_empty();
        surveyor.survey(state, &left_out, |_| has_calls, &runtime)?
    };
    let routed = route(&survey);
    let title = format!("About to carry out {}:", input.name());
    live.preview(&title, &job, fleet, &routed, args.run_dir.as_deref());
    if !args.yes && !job.operations.is_empty() {
        show::may_go_on(&args.job)?;
    }

    let dir = RunDir::create(args.run_dir.as_deref(), &runs_dir, input.name(), at)?;
    let facts = RunFacts { run_id: dir.run_id(), ..facts };
    dir.write_facts(&facts, &input)?;
    let journal = dir.start_journal(&facts)?;
    let reach = match reach {
        None => Reach::sandbox(&fleet.servers[0], &dir, &job)?,
        Some(reach) if dir.run_id() == run_id => reach,
        // The name was taken; what reaches the servers' logs must be the run's own.
        Some(_) => Reach::servers(fleet, &credentials, &dir.run_id())?,
    };
    live.note(&format!("run {}", dir.path().display()));
    let to_do: Vec<u32> = callable(&job).into_iter().filter(|op| !routed.settled.contains_key(op)).collect();
    let closed = session::carry_out(
        Work {
            dir: &dir,
            facts: &facts,
            job: &job,
            input: &dir.input()?,
            fleet,
            reach: &reach,
            runtime: &runtime,
            survey,
            routed: &routed,
            order: settings.channel_order,
            operator: facts.operator.clone(),
            journal,
            ledger: Ledger::new(&job),
            sessions: Vec::new(),
            settled: Vec::new(),
            to_do,
            last: Default::default(),
            tolerated: settings.tolerate,
            again: Vec::new(),
        },
        &mut live,
    )?;
    if let Some(state) = &state {
        super::survey::note_refusals(state, fleet, &credentials, &dir.run_id(), &closed.refused, &live);
    }
    // Idle connections are not waited for.
    runtime.shutdown_background();
    finish(live, &dir, &args.output, closed)
}

/// Why the state directory cannot be used, before anything was sent.
pub fn state_failure(fault: crate::record::StateError) -> Failure {
    Failure::new(fault.exit(), fault)
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

/// The operations that have a call.
fn callable(job: &Job) -> Vec<u32> {
    let calls = job.operations.iter().enumerate().filter(|(_, o)| matches!(o.what, job::What::Call(_)));
    calls.filter_map(|(op, _)| u32::try_from(op).ok()).collect()
}

/// A dry run: the same files but for the journal, and not one connection.
#[expect(clippy::too_many_arguments, reason = "all that a run has settled by then")]
fn rehearse(
    args: &RunArgs,
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
    live.preview(&title, job, &ground.fleet, routed, args.run_dir.as_deref());
    let dir = RunDir::create(args.run_dir.as_deref(), runs_dir, input.name(), facts.started_at)?;
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
        host: facts.host.clone(),
        started_at: facts.started_at.to_string(),
        ended_at: Some(ended.to_string()),
        exit_code: Some(exit.code()),
        chain: None,
    };
    let summary = dir.summarise(&material, &tally, vec![session], exit, ended);
    dir.write_summary(&summary)?;
    let (elapsed, stopped, again, refused) = (begun.elapsed(), None, Vec::new(), Vec::new());
    let tolerated = settings.tolerate;
    let closed = Closed { exit, summary, tally, left: 0, tolerated, stopped, elapsed, again, refused };
    finish(live, &dir, &args.output, closed)
}
