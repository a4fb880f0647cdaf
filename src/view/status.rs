//! How far a run is, for who asks from elsewhere: one line that says it all, one line for each thing
//! that waits for the operator, then which run that is and how its servers stand.
//!
//! Into a pipe each of these is one line, whatever its length, so that `head -1` has the first and
//! `grep` finds the others. At a terminal they are wrapped, and a command stands uncut on a line of
//! its own, so that it can be copied.

use crate::domain::quote;
use std::path::PathBuf;

use serde::Serialize;

use super::terminal::Style;
use super::words::{cell, count, counted, printable, rate, shown, span, verified, wrap};
use crate::domain::{ErrorClass, Status};
use crate::record::{Overview, RunState, ServerOverview};

/// A run and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStatus {
    /// Which run.
    pub about: RunAbout,
    /// How far it is.
    pub overview: Overview,
    /// What each run that it is given to is called in a command.
    pub undos: Vec<String>,
    /// What waits for the operator.
    pub to_do: Vec<ToDo>,
}

/// What a run is called and who runs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunAbout {
    /// Its name.
    pub run_id: String,
    /// Where it is kept.
    pub path: PathBuf,
    /// Who started it.
    pub operator: String,
    /// Why, if that was said.
    pub ticket: Option<String>,
    /// The run that it takes back.
    pub undo_of: Option<String>,
    /// When it was begun.
    pub started_at: String,
    /// When its last session ended; `None` while it goes on, and if it was killed.
    pub ended_at: Option<String>,
    /// The exit code of the last session; `None` as before.
    pub exit_code: Option<u8>,
    /// The machine of the last session.
    pub host: String,
    /// Its process there; `None` if it has ended.
    pub pid: Option<u32>,
}

/// Something that waits for the operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToDo {
    /// What, and what for: a sentence, or several, without a stop at the end.
    pub what: String,
    /// What to type, quoted for the shell.
    pub command: Option<String>,
}

/// How wide a place is: a terminal of so many columns, or a file or a pipe.
pub type Width = Option<usize>;

/// At a terminal, servers beyond this many are counted.
const MOST_SERVERS: usize = 12;

/// The first line alone, without its end.
pub fn status_line(status: &RunStatus) -> String {
    let overview = &status.overview;
    let mut parts = vec![so_far(overview)];
    if overview.left > 0 {
        parts.push(to_go(overview));
    }
    parts.extend(taken_back(overview));
    if overview.state.is_live() {
        parts.push(rate(overview.rate_per_s));
        parts.extend(overview.time_left.map(|left| format!("{} left", span(left))));
    }
    let waits = match status.to_do.len() {
        0 => "nothing waits for you".to_owned(),
        n => format!("{} for you", counted(n as u64, "thing waits", "things wait")),
    };
    parts.push(waits);
    parts.join("; ")
}

/// All of it, ending with a line break.
pub fn status(status: &RunStatus, style: Style, width: Width) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    let first = wrapped(&status_line(status), 2, width);
    line(&match status.overview.state {
        RunState::Finished | RunState::Rehearsed if status.to_do.is_empty() => style.green(&first),
        RunState::Running | RunState::Stopping if status.to_do.is_empty() => style.bold(&first),
        _ => style.yellow(&first),
    });
    for item in &status.to_do {
        to_do(item, width).iter().for_each(|text| line(text));
    }
    line(&wrapped(&about(&status.about, &status.overview), 2, width));
    for (undo, by) in status.overview.undone.iter().zip(&status.undos) {
        let (by, number) = (quote(by.as_ref()), counted(undo.operations, "operation", "operations"));
        line(&wrapped(
            &format!("given to the undo {by}: {number}; how that went: mailsweep status {by}"),
            2,
            width,
        ));
    }
    servers(&status.overview.servers, width).iter().for_each(|text| line(text));
    out
}

/// `running: 1,234 of 25,000 done, 4%: ok 1,231, failed 3`.
fn so_far(overview: &Overview) -> String {
    let Overview { state, operations, done, counts, classes, .. } = overview;
    let mut out =
        format!("{}: {} of {} done, {}%", state.word(), count(*done), count(*operations), overview.percent());
    let excluded = classes.get(&ErrorClass::Excluded).copied().unwrap_or(0);
    let counts: Vec<String> = counts
        .iter()
        .map(|(status, number)| match status {
            // Of what has ended, the others of these are left.
            Status::NotAttempted if *number == excluded => format!("left out {}", count(*number)),
            Status::Ok => match verified(*number, overview.verified) {
                Some(verified) => format!("ok {} ({verified})", count(*number)),
                None => format!("ok {}", count(*number)),
            },
            status => format!("{} {}", status.word(), count(*number)),
        })
        .collect();
    if !counts.is_empty() {
        out.push_str(": ");
        out.push_str(&counts.join(", "));
    }
    out
}

/// What is no longer to be as the run has made it.
fn taken_back(overview: &Overview) -> Option<String> {
    let number: u64 = overview.undone.iter().map(|undo| undo.operations).sum();
    (number > 0).then(|| format!("{} given to an undo", count(number)))
}

fn to_go(overview: &Overview) -> String {
    let to_go = format!("{} to go", count(overview.left));
    match overview.held_up {
        0 => to_go,
        all if all == overview.left => format!("{to_go}, all held up"),
        some => format!("{to_go}, {} of them held up", count(some)),
    }
}

fn to_do(item: &ToDo, width: Width) -> Vec<String> {
    let what = format!("- {}", shown(&item.what, 1000));
    match (&item.command, width) {
        (None, _) => vec![wrapped(&what, 2, width)],
        (Some(command), None) => vec![format!("{what}: {}", printable(command))],
        (Some(command), Some(_)) => {
            vec![wrapped(&format!("{what}:"), 2, width), format!("    {}", printable(command))]
        }
    }
}

fn about(about: &RunAbout, overview: &Overview) -> String {
    let mut out = format!("run {}", quote(about.path.as_os_str()));
    let mut say = |text: String| {
        out.push_str(", ");
        out.push_str(&text);
    };
    say(format!("by {} on {}", shown(&about.operator, 60), shown(&about.host, 60)));
    if let Some(pid) = about.pid.filter(|_| overview.state.is_live()) {
        say(format!("process {pid}"));
    }
    say(format!("begun {}", to_the_second(&about.started_at)));
    match &about.ended_at {
        Some(ended) => say(format!("ended {}", to_the_second(ended))),
        None if overview.state == RunState::Killed => {
            if let Some(at) = overview.last_sign {
                say(format!("last heard of {}", to_the_second(&at.to_string())));
            }
        }
        None => {}
    }
    if let Some(ticket) = &about.ticket {
        say(format!("ticket {}", shown(ticket, 60)));
    }
    if let Some(undone) = &about.undo_of {
        say(format!("undoes {}", shown(undone, 100)));
    }
    out
}

/// `2026-11-23T20:43:34Z`.
pub fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// A line for each server, where there are several; those that are not through first.
fn servers(servers: &[ServerOverview], width: Width) -> Vec<String> {
    if servers.len() < 2 {
        return Vec::new();
    }
    let mut order: Vec<&ServerOverview> = servers.iter().collect();
    order.sort_by_key(|server| (server.halted.is_none(), server.left == 0));
    let most = if width.is_some() && servers.len() > MOST_SERVERS { MOST_SERVERS - 1 } else { servers.len() };
    let names: Vec<String> = order.iter().map(|server| cell(&server.name, 40)).collect();
    let figures: Vec<String> =
        order.iter().map(|server| format!("{}/{}", count(server.done), count(server.operations))).collect();
    let widest = |texts: &[String]| texts.iter().take(most).map(|t| t.chars().count()).max().unwrap_or(0);
    let (names_wide, figures_wide) = (widest(&names), widest(&figures));
    let mut lines: Vec<String> = order
        .iter()
        .zip(names.iter().zip(&figures))
        .take(most)
        .map(|(server, (name, figures))| {
            let mut text = format!("  {name:<names_wide$}  {figures:>figures_wide$}");
            if server.failed > 0 {
                text.push_str(&format!("  {} failed", count(server.failed)));
            }
            match &server.halted {
                Some(halt) => text.push_str(&format!("  halted ({})", halt.class)),
                None if server.left == 0 => text.push_str("  done"),
                None => {}
            }
            text
        })
        .collect();
    if servers.len() > most {
        lines.push(format!("  and {} more", count((servers.len() - most) as u64)));
    }
    lines
}

fn wrapped(text: &str, indent: usize, width: Width) -> String {
    width.map_or_else(|| text.to_owned(), |width| wrap(text, indent, width))
}

/// Many runs, one line each under a heading; or what is to be said if there is none.
pub fn runs(list: &[RunLine], style: Style, width: Width) -> String {
    const HEADING: [&str; 6] = ["RUN", "STATE", "OPERATOR", "TICKET", "COUNTS", "UNDO OF"];
    let row = |line: &RunLine| -> [String; 6] {
        let about = &line.about;
        let state = match &line.overview {
            Some(overview) => overview.state.word().to_owned(),
            None => "unreadable".to_owned(),
        };
        let counts = match (&line.overview, &line.fault) {
            (Some(overview), _) => of_list(overview),
            (None, fault) => fault.as_deref().map(|fault| shown(fault, 200)).unwrap_or_default(),
        };
        let or_dash = |text: &Option<String>| match text.as_deref() {
            None | Some("") => "-".to_owned(),
            Some(text) => cell(text, 40),
        };
        [
            shown(&about.run_id, 200),
            state,
            cell(&about.operator, 20),
            or_dash(&about.ticket),
            counts,
            or_dash(&about.undo_of),
        ]
    };
    let mut table: Vec<[String; 6]> = vec![HEADING.map(str::to_owned)];
    table.extend(list.iter().map(row));
    // A column that says nothing of any run is only in the way.
    let is_used = |column: &usize| {
        matches!(*column, 0 | 1 | 4)
            || table[1..].iter().any(|row| !matches!(row[*column].as_str(), "-" | ""))
    };
    let used: Vec<usize> = (0..HEADING.len()).filter(is_used).collect();
    let wide = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (number, row) in table.iter().enumerate() {
        let cells: Vec<String> =
            used.iter().map(|column| format!("{:<1$}", row[*column], wide(*column))).collect();
        let text = cells.join("  ");
        let text =
            wrapped(text.trim_end(), 4, width.filter(|width| text.trim_end().chars().count() > *width));
        out.push_str(&if number == 0 { style.bold(&text) } else { text });
        out.push('\n');
    }
    out
}

/// One run among many.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLine {
    /// Which run.
    pub about: RunAbout,
    /// How far it is; `None` if it cannot be read.
    pub overview: Option<Overview>,
    /// Why it cannot be read.
    pub fault: Option<String>,
}

/// `ok 24, failed 1; 12 to go`.
fn of_list(overview: &Overview) -> String {
    let all = so_far(overview);
    let counts = all.split_once("%: ").map_or("", |(_, counts)| counts);
    let counts = Some(counts.to_owned()).filter(|counts| !counts.is_empty());
    let left = (overview.left > 0).then(|| format!("{} to go", count(overview.left)));
    let parts: Vec<String> = [counts, left, taken_back(overview)].into_iter().flatten().collect();
    if parts.is_empty() { "nothing to do".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests;
