//! `mailsweep resume`: read what was done, and do the rest.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::Failure;
use super::afterwards::Afterwards;
use super::args::ResumeArgs;
use super::ground;
use super::reach::{self, Kept, Reach};
use super::reading::ReadingSettings;
use super::recorded::{Recorded, ServerChoice};
use super::route::Routing;
use super::run::{self, runs_dir, state_failure};
use super::session::{self, Closed, Work};
use super::settings::Settings;
use super::show::{self, Live};
use super::survey::{self, Survey, Surveyor};
use crate::domain::{Classes, ErrorClass, Exit, Function, Status};
use crate::fleet::{Fleet, Server};
use crate::job::{Job, Operation, What};
use crate::record::{
    Disk, Ended, Estimate, Ledger, Material, Opened, Outcomes, RunDir, RunFacts, Stamp, StateDir, Summary,
    is_waiting,
};

/// Carries out the command.
pub fn resume(args: &ResumeArgs, disk: &Disk) -> Result<Exit, Failure> {
    run::check_output(&args.output)?;
    let lists = args.select.lists()?;
    let mut live = Live::start(&args.output);
    let (config, _) = ground::config(args.config.as_deref(), false)?;
    let afterwards = Afterwards::new(&args.afterwards, &config)?;
    let disk = &ground::disk(disk, &config)?;
    let runs_dir = runs_dir(&config);
    let found = match &args.run_dir {
        Some(named) => RunDir::open(disk, named, &runs_dir)?,
        None => newest(disk, &runs_dir, &live)?,
    };
    let choice = ServerChoice {
        config: args.config.as_deref(),
        credential: &args.credential,
        limits: args.limits.some(),
    };
    let recorded = Recorded::from(found, disk.clone(), config, &choice, "resume")?;
    let store = recorded.sandbox_store();
    let Recorded { dir, facts, settings, fleet, input, job, config, .. } = recorded;
    let shown = dir.path().display();
    let left_out = args.select.which.left_out(&fleet)?;
    let tolerated = args.limits.tolerate.unwrap_or(settings.tolerate);
    let opened = dir.open_journal(&facts, &job)?;
    session::note_torn(&opened, &live);
    let mut reading = settings.reading.clone();
    args.guards.put_into(&mut reading);
    reading.check()?;
    let plan = Plan::new(&job, &opened.ledger, args, &settings, &reading);
    if plan.is_empty() && opened.closed {
        return nothing_to_do(&dir, &facts, &job, &opened, tolerated, live, args);
    }

    RunDir::check_room(disk, dir.path(), Estimate::new(&job, &input, plan.to_do.len()))?;

    let who = args.who.who(config.operator.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let mut state = None;
    let (survey, reach, credentials) = if settings.sandbox {
        let reach = Reach::sandbox(&fleet.servers[0], disk, Kept::In(store), &dir.run_id(), &job)?;
        (Survey::silent(&fleet, &left_out), reach, Vec::new())
    } else {
        let needed = plan.needed(&job, &opened.ledger, &fleet);
        let is_out = |server: &Server| {
            fleet
                .servers
                .iter()
                .enumerate()
                .any(|(number, known)| known.name == server.name && (left_out[number] || !needed[number]))
        };
        let credentials = reach::credentials(&fleet, disk, is_out)?;
        let reach = Reach::servers(&fleet, &credentials, &dir.run_id())?;
        let state = state.insert(StateDir::from_environment(disk).map_err(state_failure)?);
        let surveyor = Surveyor {
            fleet: &fleet,
            credentials: &credentials,
            reach: &reach,
            job: &job,
            args: &args.state,
            only_looks: false,
            run_id: &dir.run_id(),
            operator: &who.to_string(),
            others: Vec::new(),
            live: &live,
        };
        let survey = surveyor.survey(state, &left_out, |number| needed[number], &runtime)?;
        (survey, reach, credentials)
    };
    let routing = Routing {
        job: &job,
        fleet: &fleet,
        heard: &survey.heard,
        lists: &lists,
        names: facts.input.options.servers.as_deref().unwrap_or_default(),
        recorded: Some(opened.ledger.places()),
        is_rehearsal: false,
    };
    let is_blocked = |op: &&u32| matches!(opened.ledger.ended(**op), Some((Status::Blocked, _)));
    let mailbox = |op: &u32| job.operations[*op as usize].mailbox;
    let anew = plan.to_do.iter().filter(is_blocked).map(mailbox).collect();
    let ended = || plan.unverified.iter().chain(&plan.shut);
    let mut routed = routing.route(plan.to_do.iter().chain(ended()).copied(), &anew);
    // What only waits for something of its account has ended, wherever its mailbox may be now.
    ended().for_each(|op| drop(routed.settled.remove(op)));
    routed.warnings.iter().for_each(|warning| live.note(warning));
    let left_alone: HashSet<u32> = routed.left_alone.iter().copied().collect();
    let mut to_do = plan.to_do;
    to_do.retain(|op| !routed.settled.contains_key(op) && !left_alone.contains(op));
    let all = job.operations.len();
    let count = to_do.len();
    let mut unverified = plan.unverified;
    unverified.retain(|op| !left_alone.contains(op));
    let whither = match fleet.servers.as_slice() {
        [server] => format!("{} as {}", server.name, server.logins[0].user),
        servers => format!("{} servers", servers.len()),
    };
    let to_verify = match unverified.len() {
        0 => String::new(),
        n => format!(", {n} to be looked at again"),
    };
    let to_end = match plan.shut.len() {
        0 => String::new(),
        n => format!(", sessions of {n} accounts to be ended"),
    };
    live.note(&format!(
        "resuming {shown}: {count} of {all} operations to do{to_verify}{to_end} at {whither}"
    ));
    let closed = session::carry_out(
        Work {
            dir: &dir,
            facts: &facts,
            job: &job,
            input: &input,
            fleet: &fleet,
            reach: &reach,
            runtime: &runtime,
            survey,
            routed,
            order: settings.channel_order,
            who,
            reading: &reading,
            foreseen: Some(&|op| settings.foreseen(op)),
            journal: opened.journal,
            ledger: opened.ledger,
            sessions: opened.sessions,
            settled: plan.settled,
            to_do,
            last: plan.last,
            unverified,
            tolerated,
            again: again(args),
            given: given(args),
        },
        &mut live,
    )?;
    if let Some(state) = &state {
        survey::note_refusals(state, &fleet, &credentials, &dir.run_id(), &closed.refused, &live);
    }
    // Idle connections are not waited for.
    runtime.shutdown_background();
    run::finish(live, disk, &dir, &facts, &args.output, &afterwards, closed)
}

/// The flags that say where servers and credentials are, which later commands need as well.
fn given(args: &ResumeArgs) -> Vec<String> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let flags = [
        ("--config", path(&args.config)),
        ("--token-file", path(&args.credential.token_file)),
        ("--token-command", args.credential.token_command.clone()),
        ("--password-file", path(&args.credential.password_file)),
    ];
    flags.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten().collect()
}

/// The flags that say what is taken up.
fn again(args: &ResumeArgs) -> Vec<String> {
    let classes: Vec<&str> = args.retry.iter().map(|class| class.word()).collect();
    let mut flags = Vec::new();
    if args.retry_failed {
        flags.push("--retry-failed".to_owned());
    }
    if !classes.is_empty() {
        flags.push(format!("--retry={}", classes.join(",")));
    }
    flags
}

/// What this session takes up.
struct Plan {
    to_do: Vec<u32>,
    /// Those of them that wait until all others have ended.
    last: HashSet<u32>,
    settled: Vec<Ended>,
    /// What was called before and whose mailboxes were not read since.
    unverified: Vec<u32>,
    /// One operation for each account the sessions of whose mailboxes are still to be ended.
    shut: Vec<u32>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.to_do.is_empty() && self.settled.is_empty() && self.unverified.is_empty() && self.shut.is_empty()
    }

    fn new(
        job: &Job,
        ledger: &Ledger,
        args: &ResumeArgs,
        settings: &Settings,
        reading: &ReadingSettings,
    ) -> Plan {
        let reads_after = !reading.blind && !reading.no_verify;
        let mut unverified = Vec::new();
        let mut to_do = Vec::new();
        let mut settled = Vec::new();
        let overtaken = ledger.overtaken(job);
        for op in 0..u32::try_from(job.operations.len()).unwrap_or(u32::MAX) {
            let What::Call(function) = job.operations[op as usize].what else { continue };
            let ended = ledger.ended(op);
            if let Some(aside) = settings.aside(op) {
                if ended.is_none() {
                    settled.push(without_call(op, aside.status, Some(aside.class), &aside.error));
                }
                continue;
            }
            if let Some(undo) = ledger.undone_by(op) {
                let is_left = matches!(ended, Some((Status::Blocked, Some(ErrorClass::Undone))));
                let waits = is_waiting(ended);
                let is_asked_for = args.retry.contains(&ErrorClass::Undone) && (is_left || waits);
                // What had ended stays as it was.
                if !is_asked_for {
                    if waits {
                        let why = format!("taken back by the undo {}", undo.by);
                        settled.push(without_call(op, Status::Blocked, Some(ErrorClass::Undone), &why));
                    }
                    continue;
                }
            }
            if !is_taken_up(ended, args) {
                if reads_after && ledger.is_unverified(op) {
                    unverified.push(op);
                }
                continue;
            }
            if overtaken.contains(&op) {
                settled.push(without_call(op, Status::Superseded, None, ""));
            } else if reading.blind && !function.is_repeatable() && ledger.may_have_had_effect(op) {
                // Else it is settled by what is held.
                if ended.is_none() {
                    let why = "this release may have been sent in an earlier session; it is not sent again";
                    settled.push(without_call(op, Status::Unknown, Some(ErrorClass::Interrupted), why));
                }
            } else {
                to_do.push(op);
            }
        }
        // A refusal may be this operation's own: what else there is goes before it, but for what
        // comes behind it in its mailbox.
        let mut refused_mailboxes = HashSet::new();
        let is_last = |op: &u32| {
            let mailbox = job.operations[*op as usize].mailbox;
            if ledger.met_refusal(*op) {
                refused_mailboxes.insert(mailbox);
            }
            refused_mailboxes.contains(&mailbox)
        };
        let last = to_do.iter().copied().filter({
            let mut is_last = is_last;
            move |op| is_last(op)
        });
        let last = last.collect();
        let shut = if reading.end_sessions { shut(job, ledger) } else { Vec::new() };
        let unverified = ledger.provable(job, unverified);
        Plan { to_do, last, settled, unverified, shut }
    }

    /// For each server whether it is to be spoken to: it has something to do, or may know where
    /// something belongs.
    fn needed(&self, job: &Job, ledger: &Ledger, fleet: &Fleet) -> Vec<bool> {
        let mut needed = vec![false; fleet.servers.len()];
        for op in self.to_do.iter().chain(&self.unverified).chain(&self.shut) {
            let place = ledger.places().of(job.operations[*op as usize].mailbox);
            let known = place.filter(|place| !place.account.is_empty());
            let known = known.filter(|_| !matches!(ledger.ended(*op), Some((Status::Blocked, _))));
            match known.and_then(|place| fleet.servers.iter().position(|server| server.name == place.server))
            {
                Some(number) => needed[number] = true,
                None => needed.fill(true),
            }
        }
        needed
    }
}

/// For each account the sessions of whose mailboxes are owed, an operation that suspended a login there.
fn shut(job: &Job, ledger: &Ledger) -> Vec<u32> {
    let mut owed: HashSet<_> = ledger.sessions_owed().collect();
    let is_shut = |(op, operation): &(u32, &Operation)| {
        let is_call = operation.what == What::Call(Function::SuspendLogin);
        is_call && ledger.was_begun(*op) && !ledger.is_undone(*op)
    };
    let shut = (0u32..).zip(&job.operations).filter(is_shut);
    let place = |operation: &Operation| ledger.places().of(operation.mailbox);
    shut.filter(|(_, operation)| place(operation).is_some_and(|place| owed.remove(place)))
        .map(|(op, _)| op)
        .collect()
}

fn is_taken_up(ended: Option<(Status, Option<ErrorClass>)>, args: &ResumeArgs) -> bool {
    match ended {
        ended if is_waiting(ended) => true,
        // A resume cannot widen what the run left out.
        None | Some((Status::NotAttempted, _)) => false,
        Some((status, class)) => {
            let asked_for = class.is_some_and(|class| args.retry.contains(&class)) && !status.is_good();
            asked_for || (args.retry_failed && matches!(status, Status::Failed | Status::Unknown))
        }
    }
}

fn without_call(op: u32, status: Status, class: Option<ErrorClass>, error: &str) -> Ended {
    Ended { at: Stamp::now(), op, server: None, ms: None, status, class, http: None, error: error.into() }
}

/// A run that is through: nothing is sent, nothing is written, and its own exit code is given.
fn nothing_to_do(
    dir: &RunDir,
    facts: &RunFacts,
    job: &Job,
    opened: &Opened,
    tolerated: Classes,
    live: Live,
    args: &ResumeArgs,
) -> Result<Exit, Failure> {
    let handle = opened.journal.handle().context("the journal cannot be read")?;
    let input = dir.input()?;
    let material = Material {
        job,
        input: &input,
        options: &facts.input.options,
        tolerated,
        outcomes: Outcomes::Done { ledger: &opened.ledger, journal: &handle },
    };
    let tally = material.write_results(std::io::sink()).context("the results cannot be read")?;
    let exit = session::of_results(&tally);
    let ended =
        opened.sessions.last().and_then(|s| Stamp::try_from(s.ended_at.clone()?).ok()).unwrap_or_default();
    let summary = dir.summarise(&material, &tally, opened.sessions.clone(), exit, ended);
    // It may have been killed between its last record and its summary.
    let chain = |summary: Summary| summary.sessions.last().and_then(|session| session.chain.clone());
    if dir.last_summary().and_then(chain) != summary.sessions.last().and_then(|session| session.chain.clone())
    {
        let exit_code = opened.sessions.last().and_then(|session| session.exit_code);
        let exit_code = exit_code.unwrap_or(summary.exit_code);
        let chain = Some(opened.journal.chain().to_string());
        dir.write_summary(&Summary { exit_code, chain, ..summary.clone() })?;
    }
    live.note(&format!("{} is through: there is nothing to resume", dir.path().display()));
    let (elapsed, stopped, again, refused) = (Duration::ZERO, None, Vec::new(), Vec::new());
    let (later, given) = (&[][..], given(args));
    let closed =
        Closed { exit, summary, tally, left: 0, tolerated, stopped, elapsed, again, given, refused, later };
    // Nothing has happened that anybody else would have to know.
    run::finish(live, dir.disk(), dir, facts, &args.output, &Afterwards::default(), closed)
}

/// The newest run that can be resumed, if it is not older than a day.
fn newest(disk: &Disk, runs_dir: &Path, live: &Live) -> Result<(RunDir, RunFacts), Failure> {
    const DAY_MS: u32 = 24 * 60 * 60 * 1000;
    let runs = RunDir::list(runs_dir);
    for path in &runs {
        let Ok((dir, facts)) = RunDir::open(disk, path, runs_dir) else { continue };
        if facts.dry_run || !waits_for_resume(&dir) {
            continue;
        }
        let shown = dir.path().display();
        if Stamp::now().since(facts.started_at) > DAY_MS {
            return Err(anyhow!(
                "the newest run that can be resumed, {shown}, is more than a day old: \
                 name it if you mean it: mailsweep resume {shown}"
            )
            .into());
        }
        if let Some(run) = facts.undo_of.as_ref().filter(|_| *path != runs[0]) {
            // What was done since may be what it would take back.
            return Err(anyhow!(
                "the newest run that can be resumed, {shown}, is an undo of {run}, \
                 and there are runs since: name it if that is still to be taken back: {}",
                show::resume_command(&dir, &[])
            )
            .into());
        }
        live.note(&format!("the newest run that can be resumed is {shown}"));
        return Ok((dir, facts));
    }
    let why = anyhow!("no run in {} waits to be resumed; name one if it is elsewhere", runs_dir.display());
    Err(Failure::new(Exit::NotARun, why))
}

/// Whether the last session was killed, or says itself that it left something.
fn waits_for_resume(dir: &RunDir) -> bool {
    let Some(summary) = dir.last_summary().filter(|_| dir.looks_closed()) else { return true };
    let interrupted = [Exit::Interrupted, Exit::Terminated, Exit::Unwritable].map(Exit::code);
    // A halt or a stop may have left nothing but readings, or operations with an open outcome.
    let cut_short = [Exit::Halted, Exit::Stopped].map(Exit::code).contains(&summary.exit_code);
    let left = summary.counts.get(&Status::NotAttempted).copied().unwrap_or(0);
    let excluded = summary.error_classes.get(&ErrorClass::Excluded).copied().unwrap_or(0);
    interrupted.contains(&summary.exit_code) || left > excluded || cut_short
}
