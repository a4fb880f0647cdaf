//! `mailsweep undo`: a run that puts back what another one changed, and only that.
//!
//! What there is to put back is read off that run's journal: per flag of a mailbox the value that was
//! read before the first call on it. It becomes a job of its own, which goes the way of any other;
//! that run's journal is told what is taken back, before anything is sent.

mod undoing;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use self::undoing::{Part, Undoing, changes_were};
use super::afterwards::Afterwards;
use super::args::UndoArgs;
use super::recorded::{Recorded, ServerChoice};
use super::run::{check_output, runs_dir};
use super::select::Lists;
use super::settings::Settings;
use super::show::{Live, Previewed};
use super::start::Start;
use super::survey::Survey;
use super::taken_back::TakenBack;
use super::{Failure, person, session};
use crate::domain::{Classes, ErrorClass, Exit};
use crate::job::{self, InputOptions, Job, Source};
use crate::record::{Disk, FORMAT, InputFacts, Material, Outcomes, Places, RunDir, RunFacts, Stamp, Tally};

/// Carries out the command.
pub fn undo(args: &UndoArgs, disk: &Disk) -> Result<Exit, Failure> {
    check_output(&args.output)?;
    let lists = args.select.lists()?;
    let choice = ServerChoice {
        config: args.config.as_deref(),
        credential: &args.credential,
        limits: args.limits.some(),
    };
    let run = Recorded::open(disk, &args.run_dir, &choice, "undo")?;
    let afterwards = Afterwards::new(&args.afterwards, &run.config)?;
    let who = args.who.who_and_why(&run.config)?;
    let left_out = args.select.which.left_out(&run.fleet)?;
    if args.dry_run {
        return rehearse(args, &run, &lists, &left_out);
    }
    let mut opened = run.dir.open_journal(&run.facts, &run.job)?;
    let taken_back = TakenBack::find(&run, &opened.ledger);
    let part =
        Part { run: &run, ledger: &opened.ledger, lists: &lists, left_out: &left_out, before: taken_back };
    let undoing = part.undoing(args.release_held);
    let shown = run.dir.path().display().to_string();
    let live = Live::start(&args.output);
    session::note_torn(&opened, &live);
    lists.unknown(&run.job).iter().for_each(|warning| live.note(warning));
    let (input, options, job) = as_job(&undoing, &run)?;
    let places = undoing.places(&job, opened.ledger.places());
    if undoing.rows.is_empty() && undoing.left.is_empty() {
        return nothing_to_undo(args, live, &run, &undoing, (&job, &input, &options));
    }

    let settings = settings(args, &run)?;
    let facts = RunFacts {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: String::new(),
        started_at: Stamp::now(),
        operator: who.operator.clone(),
        unix_user: who.unix_user.clone(),
        host: person::host(),
        ticket: who.ticket.clone(),
        dry_run: false,
        input: InputFacts { name: input.name().to_owned(), sha256: job.sha256.clone(), options },
        settings: serde_json::Value::Null,
        servers: serde_json::to_value(&run.fleet.servers).context("the servers cannot be written down")?,
        undo_of: Some(run.dir.run_id()),
    };
    let needed = undoing.needed(&run, opened.ledger.places());
    let start = Start {
        facts,
        who,
        disk: &run.disk,
        settings: &settings,
        input: &input,
        job: &job,
        fleet: &run.fleet,
        left_out: &left_out,
        needed,
        other_shards: Vec::new(),
        runs_dir: &runs_dir(&run.config),
        run_dir: args.into.as_deref(),
        others: &args.state,
        output: &args.output,
        afterwards: &afterwards,
        yes: args.yes,
        named: Path::new(""),
        title: format!("About to undo {shown}:"),
    };
    let route = |survey: &Survey| undoing.route(&run, &job, survey, &places);
    let note = |dir: &RunDir| undoing.note(&run.dir, &mut opened, dir);
    start.carry_out(live, route, note)
}

fn settings(args: &UndoArgs, run: &Recorded) -> Result<Settings, Failure> {
    let mut reading = super::reading::ReadingSettings::default();
    args.guards.put_into(&mut reading);
    Ok(Settings {
        sandbox: run.settings.sandbox,
        sandbox_in: run
            .settings
            .sandbox
            .then(|| std::path::absolute(run.sandbox_store()))
            .transpose()
            .context("the sandbox's state")?,
        channel_order: Default::default(),
        protect: run.settings.protect.clone(),
        tolerate: args.limits.tolerate.unwrap_or(run.settings.tolerate),
        shard: None,
        reading,
        plan: None,
        aside: Vec::new(),
    })
}

/// Shows what would be taken back. It opens no connection, and makes and changes no run.
fn rehearse(args: &UndoArgs, run: &Recorded, lists: &Lists, left_out: &[bool]) -> Result<Exit, Failure> {
    let seen = run.dir.look(&run.facts, &run.job)?;
    let ledger = &seen.record.ledger;
    let part = Part { run, ledger, lists, left_out, before: TakenBack::find(run, ledger) };
    let undoing = part.undoing(args.release_held);
    let live = Live::start(&args.output);
    lists.unknown(&run.job).iter().for_each(|warning| live.note(warning));
    let (input, options, job) = as_job(&undoing, run)?;
    if undoing.rows.is_empty() && undoing.left.is_empty() {
        return nothing_to_undo(args, live, run, &undoing, (&job, &input, &options));
    }
    let places = undoing.places(&job, ledger.places());
    let routed = undoing.route(run, &job, &Survey::silent(&run.fleet, left_out), &places);
    let outcomes = Outcomes::Rehearsed { places: &routed.places, settled: &routed.settled };
    let material =
        Material { job: &job, input: &input, options: &options, tolerated: Classes::NONE, outcomes };
    let tally = write_asked_for(args, run, &material)?;
    let settings = settings(args, run)?;
    let title = format!("Dry run of undoing {}: nothing is sent", run.dir.path().display());
    let previewed =
        Previewed { title: &title, job: &job, fleet: &run.fleet, routed: &routed, settings: &settings };
    live.preview(previewed, Vec::new(), None);
    if routed.settled.values().any(|settled| settled.class == Some(ErrorClass::NeedsRelease)) {
        live.note("what is held is left: to undo a hold sends the queued mail, which --release-held does");
    }
    let exit = session::of_results(&tally);
    live.end_with("", &tally, exit);
    Ok(exit)
}

/// Writes the results of what was not sent where they were asked for.
fn write_asked_for(args: &UndoArgs, run: &Recorded, material: &Material<'_>) -> Result<Tally, Failure> {
    if let Some(to) = &args.output.output {
        super::run::write_output(&run.disk, to, |out| material.write_results(out).map(drop))
            .with_context(|| format!("the results could not be written to {}", to.display()))?;
    }
    let tally = material.tell(|_| Ok(())).context("the results cannot be read")?;
    if args.output.json {
        let at = Stamp::now().to_string();
        let summary = serde_json::json!({
            "run_id": null, "undo_of": run.dir.run_id(), "exit_code": session::of_results(&tally).code(),
            "started_at": at, "ended_at": at, "operations": tally.operations(), "counts": tally.counts,
            "servers": [], "sessions": [],
        });
        use std::io::Write;
        let _ = writeln!(std::io::stdout().lock(), "{summary:#}");
    }
    Ok(tally)
}

/// What is to be put back, as a job that can be read by itself.
fn as_job(undoing: &Undoing, run: &Recorded) -> Result<(Source, InputOptions, Arc<Job>), Failure> {
    let input = undoing.source(run)?;
    let options = InputOptions {
        servers: run.facts.input.options.servers.clone(),
        allow_empty: true,
        ..InputOptions::default()
    };
    let job = Arc::new(job::read(&input, &options)?);
    Ok((input, options, job))
}

/// Says that there is nothing to undo: no run is made, and where results or a summary were asked for,
/// they are empty.
fn nothing_to_undo(
    args: &UndoArgs,
    live: Live,
    run: &Recorded,
    undoing: &Undoing,
    (job, input, options): (&Job, &Source, &InputOptions),
) -> Result<Exit, Failure> {
    let (places, settled) = (Places::new(0), HashMap::new());
    let outcomes = Outcomes::Rehearsed { places: &places, settled: &settled };
    let material = Material { job, input, options, tolerated: Classes::NONE, outcomes };
    write_asked_for(args, run, &material)?;
    undoing.warnings.iter().for_each(|warning| live.note(warning));
    let why = match undoing.before {
        0 => "that run, or the part of it that was named, changed nothing".to_owned(),
        n => format!("{} put back by an earlier undo already", changes_were(n)),
    };
    let text = format!("{}: there is nothing to undo: {why}\n", run.dir.path().display());
    live.end_in_a_line(&text, &text, Exit::Ok);
    Ok(Exit::Ok)
}
