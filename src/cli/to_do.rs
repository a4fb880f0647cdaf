//! What waits for the operator of a run: each thing with the command that goes on from it.

use std::path::Path;

use super::findings::renew;
use super::show;
use crate::domain::{Classes, ErrorClass};
use crate::engine::MaxChanges;
use crate::fleet::Server;
use crate::record::{Halt, Overview, RunDir, RunState};
use crate::view::{self, Guidance, Next, ToDo, guidance};

/// All that waits, the most urgent first.
pub fn to_do(
    dir: &RunDir,
    overview: &Overview,
    servers: &[Server],
    tolerated: Classes,
    config: Option<&Path>,
    undo_of: Option<&str>,
) -> Vec<ToDo> {
    let mut list = ToDos { dir, config, tolerated, undo_of, list: Vec::new() };
    let mut left_classes = overview.left_classes.clone();
    let unrouted = left_classes.get(&ErrorClass::Unrouted).copied().unwrap_or(0);
    let halted = overview.servers.iter().filter_map(|server| Some((server, server.halted.as_ref()?)));
    for (server, halt) in halted.filter(|(server, _)| server.left > 0 || unrouted > 0) {
        list.halted(&server.name, halt, unrouted, servers, overview.state);
        left_classes.remove(&ErrorClass::Unrouted);
    }
    if matches!(overview.state, RunState::Stopped | RunState::Killed) {
        left_classes.iter().for_each(|(class, number)| list.class(*class, *number, LEFT));
        if overview.waiting > 0 || list.list.is_empty() {
            list.rest(overview);
        }
    }
    if !overview.state.is_live() {
        overview.classes.iter().for_each(|(class, number)| list.class(*class, *number, "ended"));
    }
    list.list
}

/// How it is said of what was not attempted.
const LEFT: &str = "left";

struct ToDos<'a> {
    dir: &'a RunDir,
    /// The configuration in force here.
    config: Option<&'a Path>,
    tolerated: Classes,
    /// The run that it takes back, if it does.
    undo_of: Option<&'a str>,
    list: Vec<ToDo>,
}

impl ToDos<'_> {
    fn add(&mut self, what: String, flags: Option<Vec<&str>>) {
        let command = flags.map(|flags| show::resume_command(self.dir, &flags));
        self.list.push(ToDo { what, command });
    }

    fn halted(&mut self, name: &str, halt: &Halt, unrouted: u64, servers: &[Server], state: RunState) {
        let reason = halt.reason.trim_end_matches('.');
        let at =
            halt.at.map(|at| format!(" at {}", view::to_the_second(&at.to_string()))).unwrap_or_default();
        let text = guidance(halt.class);
        let renewed = servers.iter().find(|server| server.name == name && halt.class == ErrorClass::Auth);
        let first = match renewed {
            Some(server) => server.logins.iter().map(renew).collect::<Vec<_>>().join(" or "),
            None => text.first.to_owned(),
        };
        let mut what = format!("{name} halted{at}: {reason}.");
        if unrouted > 0 {
            what.push_str(&format!(" {} without a server may belong there.", view::count(unrouted)));
        }
        if !first.is_empty() {
            what.push_str(&format!(" {},", capital(&first)));
        }
        what.push_str(if state.is_live() { " when the run has ended" } else { " then" });
        let flags = if text.next == Next::Wait { vec!["--wait", "10m"] } else { Vec::new() };
        self.add(what, Some(flags));
    }

    /// What is left without a reason of its own.
    fn rest(&mut self, overview: &Overview) {
        let why = match (overview.state, &overview.stopped_because) {
            (RunState::Killed, _) => {
                "The process ended without a word: it was killed, or the machine went down. ".to_owned()
            }
            (_, Some(reason)) => format!("{}. ", capital(reason)),
            (_, None) => String::new(),
        };
        let rest = if overview.waiting < overview.left { " with the rest" } else { "" };
        let value = overview.stopped_because.as_deref().and_then(MaxChanges::named_in);
        let flags = value.map(|value| vec!["--max-changes", value]).unwrap_or_default();
        self.add(format!("{why}To go on{rest}"), Some(flags));
    }

    fn class(&mut self, class: ErrorClass, number: u64, how: &str) {
        let text = guidance(class);
        let Guidance { meaning, first, next } = if how == LEFT { text.of_left() } else { text };
        if next == Next::Nothing || self.tolerated.has(Some(class)) {
            return;
        }
        let config = self.config.map(|path| path.display().to_string());
        let flags = next.flags(class).map(|flags| {
            let known = |flag| if flag == "FILE" { config.as_deref().unwrap_or("FILE") } else { flag };
            flags.into_iter().map(known).collect::<Vec<_>>()
        });
        let first = if first.is_empty() { String::new() } else { format!(". {}", capital(first)) };
        let then = match (&flags, first.is_empty()) {
            (None, _) => "",
            (Some(_), true) => ". To try again",
            (Some(_), false) => ", then",
        };
        let what = format!("{} {how} {class}: {meaning}{first}{then}", view::count(number));
        match self.undo_of.filter(|_| class == ErrorClass::NeedsRelease) {
            Some(run) => {
                let words = ["mailsweep", "undo", run, "--release-held"].map(std::ffi::OsStr::new);
                self.list.push(ToDo { what, command: Some(view::command(words)) });
            }
            None => self.add(what, flags),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
