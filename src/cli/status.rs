//! `mailsweep status`: how far a run is, from elsewhere, while it goes or later. It takes no lock,
//! sends nothing and writes nothing but to who asked.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::Failure;
use super::args::StatusArgs;
use super::follow::{Followed, Where};
use crate::domain::{ErrorClass, Exit, Status};
use crate::record::{Disk, Overview, RunState, UndoneFigures};
use crate::view::{self, RunAbout, RunStatus, Terminal, ToDo};

/// It is looked at this often.
const STEP: Duration = Duration::from_secs(2);

/// Carries out the command.
pub fn status(args: &StatusArgs, disk: &Disk) -> Result<Exit, Failure> {
    let (place, dir, facts) = match &args.run_dir {
        Some(named) => Where::of_named(named, &args.config, disk)?,
        None => {
            let place = Where::new(&args.config, disk)?;
            let (dir, facts) = place.newest()?;
            (place, dir, facts)
        }
    };
    let mut followed = Followed::new(&dir, &facts)?;
    let mut shown = Shown { args, last_line: String::new() };
    loop {
        let status = followed.status(&place)?;
        let is_last = !args.watch || !status.overview.state.is_live();
        // Who has stopped reading has seen enough.
        if shown.show(&status, is_last).is_err() || is_last {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(STEP);
        followed.catch_up()?;
    }
}

struct Shown<'a> {
    args: &'a StatusArgs,
    last_line: String,
}

impl Shown<'_> {
    fn show(&mut self, status: &RunStatus, is_last: bool) -> io::Result<()> {
        let terminal = Terminal::stdout();
        let mut out = io::stdout().lock();
        if self.args.json {
            let status = JsonStatus::new(status);
            let text = if self.args.watch {
                serde_json::to_string(&status)
            } else {
                serde_json::to_string_pretty(&status)
            };
            writeln!(out, "{}", text?)?;
        } else if self.args.watch && terminal.interactive {
            // The whole screen, since lines may be wider than it and it may be resized.
            let text = view::status(status, terminal.style(), Some(terminal.width()));
            write!(out, "\u{1b}[H\u{1b}[2J{text}")?;
        } else if is_last {
            let width = terminal.interactive.then(|| terminal.width());
            write!(out, "{}", view::status(status, terminal.style(), width))?;
        } else {
            let line = view::status_line(status);
            if line != self.last_line {
                writeln!(out, "{line}")?;
                self.last_line = line;
            }
        }
        out.flush()
    }
}

/// As JSON. It changes by adding only.
#[derive(Serialize)]
pub struct JsonStatus<'a> {
    #[serde(flatten)]
    about: &'a RunAbout,
    #[serde(flatten)]
    overview: JsonOverview<'a>,
    to_do: &'a [ToDo],
    servers: Vec<JsonServer<'a>>,
}

/// The part that `runs` has too.
#[derive(Serialize)]
pub struct JsonOverview<'a> {
    state: RunState,
    operations: u64,
    done: u64,
    left: u64,
    counts: &'a std::collections::BTreeMap<Status, u64>,
    verified: u64,
    error_classes: &'a std::collections::BTreeMap<ErrorClass, u64>,
    rate_per_s: f64,
    left_s: Option<u64>,
    undone: &'a [UndoneFigures],
}

#[derive(Serialize)]
struct JsonServer<'a> {
    name: &'a str,
    operations: u64,
    done: u64,
    failed: u64,
    left: u64,
    requests: u64,
    halted: Option<&'a str>,
    halted_class: Option<ErrorClass>,
    halted_at: Option<String>,
}

impl<'a> JsonStatus<'a> {
    fn new(status: &'a RunStatus) -> JsonStatus<'a> {
        let servers = status.overview.servers.iter().map(|server| {
            let halt = server.halted.as_ref();
            JsonServer {
                name: &server.name,
                operations: server.operations,
                done: server.done,
                failed: server.failed,
                left: server.left,
                requests: server.requests,
                halted: halt.map(|halt| halt.reason.as_str()),
                halted_class: halt.map(|halt| halt.class),
                halted_at: halt.and_then(|halt| halt.at).map(|at| at.to_string()),
            }
        });
        JsonStatus {
            about: &status.about,
            overview: JsonOverview::new(&status.overview),
            to_do: &status.to_do,
            servers: servers.collect(),
        }
    }
}

impl<'a> JsonOverview<'a> {
    pub fn new(overview: &'a Overview) -> JsonOverview<'a> {
        JsonOverview {
            state: overview.state,
            operations: overview.operations,
            done: overview.done,
            left: overview.left,
            counts: &overview.counts,
            verified: overview.verified,
            error_classes: &overview.classes,
            rate_per_s: (overview.rate_per_s * 10.0).round() / 10.0,
            left_s: overview.time_left.map(|left| left.as_secs()),
            undone: &overview.undone,
        }
    }
}
