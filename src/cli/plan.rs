//! `mailsweep plan`: what a run would change, found out by reading alone.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context;

use super::args::{PlanArgs, StateArgs};
use super::look::{self, Look, Looked};
use super::person::Who;
use super::prepare::{self, Prepared};
use super::reach::{self, Kept, Reach};
use super::report::check_place;
use super::route::{Routed, Routing};
use super::run::{check_output, state_failure, write_output};
use super::show::Live;
use super::survey::{self, Survey, Surveyor};
use super::{Failure, ground, session};
use crate::domain::{Classes, ErrorClass, Exit, State, Status};
use crate::engine::ChannelOrder;
use crate::job::{InputOptions, Job, What};
use crate::record::{
    Disk, Ended, Entry, InputFacts, Material, Outcomes, PLAN_FORMAT, Plan, Reason, RunDir, Stamp, StateDir,
    Tally, in_rows,
};
use crate::view::{self, PlanRow, PlanView, Terminal};

/// Carries out the command.
pub fn plan(args: &PlanArgs, disk: &Disk) -> Result<Exit, Failure> {
    check_output(&args.output)?;
    args.save.as_deref().map_or(Ok(()), |path| check_place("--save", path))?;
    let Prepared { ground, left_out, lists, input, options, job } =
        Prepared::new(&args.job, &args.input, &args.server, &args.limits, &args.select, false)?;
    let disk = &ground::disk(disk, &ground.config)?;
    let fleet = &ground.fleet;
    let who = Who::found(ground.config.operator.as_deref());
    let mut live = Live::start(&args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let run_id = format!("plan-{}", RunDir::name(None, input.name(), Stamp::now()));
    let has_calls = prepare::callable(&job).next().is_some();
    let mut state = None;
    let (survey, reach, credentials) = if ground.is_sandbox {
        let reach = Reach::sandbox(&fleet.servers[0], disk, Kept::Nowhere, &run_id, &job)?;
        (Survey::silent(fleet, &left_out), reach, Vec::new())
    } else {
        let is_out = |name: &str| fleet.servers.iter().zip(&left_out).any(|(s, out)| *out && s.name == name);
        let credentials = reach::credentials(fleet, disk, |server| is_out(&server.name))?;
        let reach = Reach::servers(fleet, &credentials, &run_id)?;
        let state = state.insert(StateDir::from_environment(disk).map_err(state_failure)?);
        let alone = StateArgs { try_again: args.try_again, ..StateArgs::default() };
        let surveyor = Surveyor {
            fleet,
            credentials: &credentials,
            reach: &reach,
            job: &job,
            args: &alone,
            only_looks: true,
            others: Vec::new(),
            run_id: &run_id,
            operator: &who.to_string(),
            live: &live,
        };
        let survey = surveyor.survey(state, &left_out, |_| has_calls, &runtime)?;
        (survey, reach, credentials)
    };
    let names = options.servers.as_deref().unwrap_or_default();
    let routing = Routing {
        job: &job,
        fleet,
        heard: &survey.heard,
        lists: &lists,
        names,
        recorded: None,
        is_rehearsal: false,
    };
    let routed = routing.route(prepare::callable(&job), &HashSet::new());
    let to_do = prepare::placed(&job, &routed);
    let order = args.channel_order.as_ref().map(|channels| channels.0.as_slice()).unwrap_or_default();
    let mut signals = runtime.block_on(async { session::listen() })?;
    let mut looked = look::look(
        Look {
            job: &job,
            fleet,
            disk,
            reach: &reach,
            runtime: &runtime,
            survey,
            routed: &routed,
            order: ChannelOrder::first(order),
            who: &who,
            to_do: &to_do,
            signals: &mut signals,
        },
        &mut live,
    )?;
    runtime.shutdown_background();
    if let Some(state) = &state {
        survey::note_refusals(state, fleet, &credentials, &run_id, &session::refused(&looked.end), &live);
    }
    fail_what_could_not_be_seen(&mut looked, &job)?;
    let handle = looked.journal.handle().context("what was seen cannot be read")?;
    let outcomes = Outcomes::Done { ledger: &looked.ledger, journal: &handle };
    let material =
        Material { job: &job, input: &input, options: &options, tolerated: Classes::NONE, outcomes };
    let tally = material.write_results(std::io::sink()).context("the input cannot be read again")?;
    let mut exit = session::decide(&looked.end, &tally, false, Classes::NONE);
    if args.exit_code && tally.counts.contains_key(&Status::Planned) {
        exit = exit.worse(Exit::WouldChange);
    }
    if let Some(to) = &args.output.output {
        write_output(disk, to, |out| material.write_results(out).map(drop))
            .with_context(|| format!("the plan could not be written to {}", to.display()))?;
    }
    // A plan that was cut short foresees nothing of the rest.
    if let Some(path) = args.save.as_ref().filter(|_| looked.end.stop.is_none()) {
        let facts = InputFacts {
            name: input.name().to_owned(),
            sha256: job.sha256.clone(),
            options: options.clone(),
        };
        foreseen(&looked, &job, facts, &who.operator)
            .save(disk, path)
            .with_context(|| format!("the plan could not be saved to {}", path.display()))?;
    }
    // Flags that name a server would have to be repeated, and may hold more than should be shown.
    let is_whole = args.select.is_everything() && looked.end.stop.is_none();
    let is_repeatable = ground.is_configured
        && is_whole
        && options == (InputOptions { servers: options.servers.clone(), ..InputOptions::default() });
    let view = PlanView { next: next(args, is_repeatable), ..seen(args, &looked, &job, &routed) };
    show(args, live, &view, &tally, exit);
    Ok(exit)
}

/// What a halted or silent server left is something that cannot be done, as things are.
fn fail_what_could_not_be_seen(looked: &mut Looked, job: &Job) -> Result<(), Failure> {
    let at = Stamp::now();
    for op in 0..u32::try_from(job.operations.len()).unwrap_or(u32::MAX) {
        let standing = looked.ledger.standing(job, op);
        if standing.status != Status::NotAttempted || standing.class == Some(ErrorClass::Excluded) {
            continue;
        }
        let error = match standing.reason {
            Reason::Text(text) => text.into(),
            _ => "".into(),
        };
        let (server, ms, http) = (None, None, None);
        let (status, class) = (Status::Failed, standing.class);
        let entry = Entry::End(Ended { at, op, server, ms, status, class, http, error });
        let line = looked.journal.append(&entry, 0);
        looked.ledger.apply(&entry, line);
    }
    looked.journal.flush().map_err(|fault| Failure::new(Exit::Unwritable, fault))
}

fn foreseen(looked: &Looked, job: &Job, input: InputFacts, operator: &str) -> Plan {
    let count = u32::try_from(job.operations.len()).unwrap_or(u32::MAX);
    let with = |wanted: Status| {
        in_rows(
            (0..count).filter(|op| matches!(looked.ledger.ended(*op), Some((status, _)) if status == wanted)),
        )
    };
    Plan {
        mailsweep_plan: PLAN_FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Stamp::now(),
        operator: operator.to_owned(),
        input,
        operations: u64::from(count),
        planned: with(Status::Planned),
        unchanged: with(Status::Unchanged),
    }
}

/// The figures, by server, account, action and channel.
fn seen(args: &PlanArgs, looked: &Looked, job: &Job, routed: &Routed) -> PlanView {
    let mut rows: BTreeMap<(String, String, usize), PlanRow> = BTreeMap::new();
    let mut view = PlanView {
        title: format!("What {} would change; nothing was", args.job.display()),
        warnings: job.warnings.iter().chain(&routed.warnings).cloned().collect(),
        ..PlanView::default()
    };
    for (op, operation) in (0u32..).zip(&job.operations) {
        let What::Call(function) = operation.what else { continue };
        let standing = looked.ledger.standing(job, op);
        if standing.class == Some(ErrorClass::Excluded) {
            continue;
        }
        let place = looked.ledger.places().of(operation.mailbox);
        let (server, account) =
            place.map_or_else(Default::default, |place| (place.server.clone(), place.account.clone()));
        let row =
            rows.entry((server.clone(), account.clone(), function as usize)).or_insert_with(|| PlanRow {
                server,
                account,
                what: Some((function.action(), function.channel())),
                ..PlanRow::default()
            });
        match standing.status {
            Status::Planned => {
                row.changes += 1;
                let is_unlisted = standing.before == State::ABSENT;
                view.unlisted += u64::from(is_unlisted);
                let is_known = standing.before.get(function.target().flag).is_some();
                view.unknown += u64::from(!is_unlisted && !is_known);
            }
            Status::Unchanged => row.unchanged += 1,
            _ => row.cannot += 1,
        }
    }
    view.rows = rows.into_values().collect();
    view
}

/// What to type to carry out a saved plan, where that is known.
fn next(args: &PlanArgs, is_repeatable: bool) -> Option<String> {
    let path = args.save.as_ref().filter(|_| is_repeatable && args.job != Path::new("-"))?;
    let words = ["mailsweep", "run"].map(OsStr::new).into_iter();
    let words = words.chain([args.job.as_os_str(), OsStr::new("--plan"), path.as_os_str()]);
    let config = args.server.target.config.as_ref();
    let config = config.map(|path| [OsStr::new("--config"), path.as_os_str()]);
    Some(view::command(words.chain(config.into_iter().flatten())))
}

fn show(args: &PlanArgs, live: Live, view: &PlanView, tally: &Tally, exit: Exit) {
    if args.output.json {
        let rows: Vec<serde_json::Value> = view
            .rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "server": row.server, "account": row.account,
                    "action": row.what.map(|(action, _)| action), "channel": row.what.map(|(_, channel)| channel),
                    "changes": row.changes, "unchanged": row.unchanged, "cannot": row.cannot,
                })
            })
            .collect();
        let object = serde_json::json!({
            "exit_code": exit.code(), "operations": tally.operations(), "counts": tally.counts,
            "error_classes": tally.classes, "rows": rows,
        });
        if let Ok(text) = serde_json::to_string_pretty(&object) {
            use std::io::Write;
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }
    let terminal = Terminal::stderr();
    live.end_with(&view::plan(view, terminal.style(), terminal.width()), tally, exit);
}
