//! `mailsweep resume`: read what was done, and do the rest.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::Failure;
use super::args::ResumeArgs;
use super::run::{self, RUNS_DIR};
use super::session::{self, Closed, Work};
use super::settings::Settings;
use super::show::Live;
use super::target;
use crate::domain::{ErrorClass, Exit, Status};
use crate::fleet::ServerSpec;
use crate::job::{self, Job, What};
use crate::record::{Ended, Ledger, Material, Opened, RunDir, RunFacts, Stamp, Summary};

/// Carries out the command.
pub fn resume(args: &ResumeArgs) -> Result<Exit, Failure> {
    let runs_dir = Path::new(RUNS_DIR);
    run::check_output(&args.output)?;
    let mut live = Live::start(&args.output);
    let (dir, facts) = match &args.run_dir {
        Some(named) => RunDir::open(named, runs_dir)?,
        None => newest(runs_dir, &live)?,
    };
    let shown = dir.path().display();
    if facts.dry_run {
        let why = anyhow!("{shown} is a dry run: there is nothing to resume; run the job itself");
        return Err(Failure::new(Exit::NotARun, why));
    }
    let unreadable = |fault: serde_json::Error| {
        Failure::new(Exit::NotARun, anyhow!("{shown}: run.json is not sound: {fault}"))
    };
    let settings: Settings = serde_json::from_value(facts.settings.clone()).map_err(unreadable)?;
    let servers: Vec<ServerSpec> = serde_json::from_value(facts.servers.clone()).map_err(unreadable)?;
    let mut server = servers.into_iter().next();
    if let (Some(server), Some(source)) = (&mut server, args.credential.flag()?) {
        server.credential = source;
    }

    let input = dir.input()?;
    let altered =
        |fault| Failure::new(Exit::NotARun, anyhow!("{shown}: input.csv cannot be read again: {fault}"));
    let job = Arc::new(job::read(&input, &facts.input.options).map_err(altered)?);
    let opened = dir.open_journal(&facts, &job)?;
    if let Some(torn) = opened.torn {
        live.note(&format!(
            "the journal's end was torn when the run was killed: {} bytes cut, nothing that had counted",
            torn.bytes
        ));
    }
    let home = run::home(server.as_ref(), settings.sandbox);
    let plan = Plan::new(&job, &opened.ledger, args);
    if plan.to_do.is_empty() && plan.settled.is_empty() && opened.closed {
        return nothing_to_do(&dir, &facts, &job, &opened, home, live, args);
    }
    let limits = args.limits.over(settings.limits.clone());
    let credential = target::credential(server.as_ref())?;
    let target = target::prepare(server.as_ref().zip(credential), &settings, &limits, &dir, &job)?;
    let (to_do, all) = (plan.to_do.len(), job.operations.len());
    live.note(&format!("resuming {shown}: {to_do} of {all} operations to do at {} as {}", home.0, home.1));
    let closed = session::carry_out(
        Work {
            dir: &dir,
            facts: &facts,
            job: &job,
            input: &input,
            limits: &limits,
            target: &target,
            home,
            journal: opened.journal,
            ledger: opened.ledger,
            sessions: opened.sessions,
            settled: plan.settled,
            to_do: plan.to_do,
            last: plan.last,
            again: again(args),
        },
        &mut live,
    )?;
    run::finish(live, &dir, &args.output, closed)
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
    /// How many of them, at the end, wait until all others have ended.
    last: usize,
    settled: Vec<Ended>,
}

impl Plan {
    fn new(job: &Job, ledger: &Ledger, args: &ResumeArgs) -> Plan {
        let mut to_do = Vec::new();
        let mut settled = Vec::new();
        let overtaken = ledger.overtaken(job);
        for op in 0..u32::try_from(job.operations.len()).unwrap_or(u32::MAX) {
            let What::Call(function) = job.operations[op as usize].what else { continue };
            let ended = ledger.ended(op);
            if !is_taken_up(ended, args) {
                continue;
            }
            if overtaken.contains(&op) {
                settled.push(without_call(op, Status::Superseded, None, ""));
            } else if !function.is_repeatable() && ledger.may_have_had_effect(op) {
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
        let mut refused_mailboxes = std::collections::HashSet::new();
        let (refused, mut first): (Vec<u32>, Vec<u32>) = to_do.into_iter().partition(|op| {
            let mailbox = job.operations[*op as usize].mailbox.index();
            if ledger.met_refusal(*op) {
                refused_mailboxes.insert(mailbox);
            }
            refused_mailboxes.contains(&mailbox)
        });
        let last = refused.len();
        first.extend(refused);
        Plan { to_do: first, last, settled }
    }
}

fn is_taken_up(ended: Option<(Status, Option<ErrorClass>)>, args: &ResumeArgs) -> bool {
    match ended {
        None | Some((Status::NotAttempted, _)) => true,
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
    home: (&str, &str),
    live: Live,
    args: &ResumeArgs,
) -> Result<Exit, Failure> {
    let handle = opened.journal.handle().context("the journal cannot be read")?;
    let place = |_: u32| home;
    let input = dir.input()?;
    let material = Material {
        job,
        input: &input,
        options: &facts.input.options,
        ledger: Some(&opened.ledger),
        journal: Some(&handle),
        home: &place,
    };
    let tally = material.write_results(std::io::sink()).context("the results cannot be read")?;
    let exit = session::of_results(&tally);
    let ended =
        opened.sessions.last().and_then(|s| Stamp::try_from(s.ended_at.clone()?).ok()).unwrap_or_default();
    let summary = dir.summarise(&material, &tally, opened.sessions.clone(), exit, ended);
    // It may have been killed between its last record and its summary.
    let chain = |summary: Summary| summary.sessions.last().and_then(|session| session.chain.clone());
    let written = std::fs::read(dir.summary()).ok().and_then(|text| serde_json::from_slice(&text).ok());
    if written.and_then(chain) != summary.sessions.last().and_then(|session| session.chain.clone()) {
        dir.write_summary(&summary)?;
    }
    live.note(&format!("{} is through: there is nothing to resume", dir.path().display()));
    let closed =
        Closed { exit, summary, tally, left: 0, stopped: None, elapsed: Duration::ZERO, again: Vec::new() };
    run::finish(live, dir, &args.output, closed)
}

/// The newest run that can be resumed, if it is not older than a day.
fn newest(runs_dir: &Path, live: &Live) -> Result<(RunDir, RunFacts), Failure> {
    const DAY_MS: u32 = 24 * 60 * 60 * 1000;
    for path in RunDir::list(runs_dir) {
        let Ok((dir, facts)) = RunDir::open(&path, runs_dir) else { continue };
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
        live.note(&format!("the newest run that can be resumed is {shown}"));
        return Ok((dir, facts));
    }
    let why = anyhow!("no run in {} waits to be resumed; name one if it is elsewhere", runs_dir.display());
    Err(Failure::new(Exit::NotARun, why))
}

/// Whether the last session was killed, or says itself that it left something.
fn waits_for_resume(dir: &RunDir) -> bool {
    let summary = std::fs::read(dir.summary()).ok();
    let summary = summary.and_then(|text| serde_json::from_slice::<Summary>(&text).ok());
    let Some(summary) = summary.filter(|_| dir.looks_closed()) else { return true };
    let interrupted = [Exit::Interrupted, Exit::Terminated, Exit::Unwritable].map(Exit::code);
    // A halt or a stop may have left nothing but operations whose last try has an open outcome.
    let cut_short = [Exit::Halted, Exit::Stopped].map(Exit::code).contains(&summary.exit_code);
    interrupted.contains(&summary.exit_code)
        || summary.counts.contains_key(&Status::NotAttempted)
        || cut_short && summary.counts.contains_key(&Status::Unknown)
}
