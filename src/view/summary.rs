//! What is said when a session has ended: how it went, why not better, where everything is, and
//! what to type next. The last line is the command, since that is what the eye finds first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{Action, Channel, Classes, ErrorClass, Status};
use crate::record::{ChannelFigures, Summary};

use super::guidance::guidance;
use super::terminal::Style;
use super::words::{count, counted, printable, shown, span, verified, wrap};
use crate::domain::quote;

/// What the closing text says beyond the figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Closing {
    /// The first operations that did not end well, in input order.
    pub first_failures: Vec<FailureLine>,
    /// How many there are.
    pub failures_in_all: u64,
    /// What was written, by what it is: `("results", "…/results.csv")`.
    pub files: Vec<(String, PathBuf)>,
    /// What is of use from now on, and what to type for it: `("take it back", "mailsweep undo …")`.
    pub later: Vec<(&'static str, String)>,
    /// What to type to go on, quoted for the shell (see [`command`](super::command)).
    pub resume_command: Option<String>,
    /// Why the run ended before its work did.
    pub stopped_because: Option<String>,
    /// How many operations of each class were not attempted.
    pub left: BTreeMap<ErrorClass, u64>,
    /// Error classes that counted for nothing.
    pub tolerated: Classes,
    /// Servers that nothing more was sent to, and why.
    pub halted: Vec<(String, String)>,
    /// How long the session took.
    pub elapsed: Duration,
}

/// An operation that did not end well.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureLine {
    /// Its row in the input.
    pub row: u32,
    /// The mailbox, or the cell as it was.
    pub mailbox: String,
    /// What was asked; `None` where the row does not say.
    pub action: Option<Action>,
    /// Of which channel.
    pub channel: Option<Channel>,
    /// How it ended.
    pub status: Status,
    /// Why.
    pub class: Option<ErrorClass>,
    /// The server's words, or the fault.
    pub error: String,
}

const MOST_FAILURES: usize = 10;
const MOST_HALTED: usize = 10;

/// Lines that `-q` may cost.
const QUIET_LINES: usize = 15;

/// The closing text, ending with a line break.
pub fn summary(summary: &Summary, closing: &Closing, style: Style, width: usize) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let took = span(closing.elapsed);
    let operations = counted(summary.operations, "operation", "operations");
    let heading = format!("{} after {took}: {operations}", headline(summary.exit_code));
    line(if summary.exit_code == 0 { style.green(&heading) } else { style.bold(&heading) });
    if let Some(reason) = &closing.stopped_because {
        line(style.yellow(&wrap(&format!("  stopped: {}", shown(reason, 500)), 4, width)));
    }
    let wide = summary.counts.values().map(|n| count(*n).len()).max().unwrap_or(0);
    for (status, number) in &summary.counts {
        let mut text = format!("  {status:<13}  {:>wide$}", count(*number));
        if let Some(verified) = verified(*number, summary.verified).filter(|_| *status == Status::Ok) {
            text.push_str(&format!("  {verified} by a reading afterwards"));
        }
        line(if status.is_good() { text } else { style.yellow(&text) });
    }
    for (channel, figures) in summary.channels.iter().filter(|(_, figures)| figures.operations > 1) {
        line(wrap(&format!("  {channel}: {}", took_so_long(figures)), 4, width));
    }
    for (server, reason) in closing.halted.iter().take(MOST_HALTED) {
        let text = format!("  {} halted: {}", shown(server, 60), shown(reason, 500));
        line(style.red(&wrap(&text, 4, width)));
    }
    if closing.halted.len() > MOST_HALTED {
        line(format!("  and {} more servers halted", closing.halted.len() - MOST_HALTED));
    }
    for text in sessions_not_ended(summary) {
        line(style.yellow(&wrap(&format!("  {text}"), 4, width)));
    }
    if !summary.error_classes.is_empty() {
        line(style.bold("Why:"));
        for (class, number) in by_number(summary) {
            let mut text = guidance(class);
            if closing.left.get(&class) == Some(&number) {
                text = text.of_left();
            }
            let then =
                if closing.tolerated.has(Some(class)) { "tolerated".to_owned() } else { text.advice(class) };
            line(wrap(&format!("  {} {class}: {}; {then}", count(number), text.meaning), 4, width));
        }
    }
    if !closing.first_failures.is_empty() {
        let shown_number = closing.first_failures.len().min(MOST_FAILURES) as u64;
        let of = if closing.failures_in_all > shown_number {
            format!("The first {shown_number} of {}:", count(closing.failures_in_all))
        } else {
            "In detail:".to_owned()
        };
        line(style.bold(&of));
        for failure in closing.first_failures.iter().take(MOST_FAILURES) {
            line(wrap(&format!("  {}", failure.sentence(240)), 4, width));
        }
    }
    if !closing.files.is_empty() {
        line(style.bold("Files:"));
        let wide = closing.files.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        for (label, path) in &closing.files {
            line(format!("  {:<wide$}  {}", shown(label, 40), quote(path.as_os_str())));
        }
    }
    if let Some(chain) = chain(summary) {
        line(wrap(&format!("Chain hash, for the ticket (audit --expect): {chain}"), 2, width));
    }
    if !closing.later.is_empty() {
        line(style.bold("Later:"));
        let wide = closing.later.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        for (what, command) in &closing.later {
            line(format!("  {what:<wide$}  {}", printable(command)));
        }
    }
    if let Some(command) = &closing.resume_command {
        let when = if closing.halted.is_empty() { "To go on:" } else { "Once that is mended, to go on:" };
        line(format!("{}\n  {}", style.bold(when), printable(command)));
    }
    out
}

/// The accounts the sessions of whose mailboxes could not be ended.
fn sessions_not_ended(summary: &Summary) -> Vec<String> {
    let failed = summary.sessions_ended.iter().flat_map(|figures| &figures.failed);
    let lines: Vec<String> = failed
        .map(|one| {
            let (server, account) = (shown(&one.server, 60), shown(&one.account, 60));
            format!("{server}, account {account}: sessions not ended: {}", shown(&one.error, 300))
        })
        .collect();
    let all = lines.len() as u64;
    few(lines, all, 3, "more accounts whose sessions were not ended")
}

/// The hash that vouches for the whole record up to the end of this session.
fn chain(summary: &Summary) -> Option<&str> {
    summary.chain.as_deref()
}

/// When the operations of a channel had ended, counted from the start of the run.
fn took_so_long(figures: &ChannelFigures) -> String {
    let after = |ms| span(Duration::from_millis(ms));
    let what = if figures.contained { "contained" } else { "done" };
    format!(
        "{} {what} after {} (half after {}, 95 % after {})",
        count(figures.operations),
        after(figures.max_ms),
        after(figures.p50_ms),
        after(figures.p95_ms)
    )
}

/// The same for `-q`: nothing when all is well, else at most 15 lines without marks.
pub fn summary_quiet(summary: &Summary, closing: &Closing) -> String {
    if summary.exit_code == 0 {
        return String::new();
    }
    let mut head = vec![
        format!("mailsweep: {} after {}", headline(summary.exit_code), span(closing.elapsed)),
        summary.counts.iter().map(|(s, n)| format!("{s} {}", count(*n))).collect::<Vec<_>>().join(", "),
    ];
    if let Some(reason) = &closing.stopped_because {
        head.push(format!("stopped: {}", shown(reason, 300)));
    }
    let mut tail: Vec<String> = closing
        .files
        .iter()
        .map(|(label, path)| format!("{}: {}", shown(label, 40), quote(path.as_os_str())))
        .collect();
    // Where to look for the rest: the first few are the ones that matter.
    tail.truncate(4);
    tail.extend(chain(summary).map(|chain| format!("chain hash: {chain}")));
    tail.extend(closing.resume_command.iter().map(|command| format!("to go on: {}", printable(command))));

    let mut room = QUIET_LINES.saturating_sub(head.len() + tail.len());
    let halted: Vec<String> = closing
        .halted
        .iter()
        .map(|(server, reason)| format!("{} halted: {}", shown(server, 60), shown(reason, 300)))
        .collect();
    let mut middle = few(halted, closing.halted.len() as u64, 3, "more servers halted");
    middle.extend(sessions_not_ended(summary));
    room = room.saturating_sub(middle.len());
    let failures = closing.first_failures.iter().map(|failure| failure.sentence(160)).collect();
    middle.extend(few(failures, closing.failures_in_all, room, "more"));
    let mut out = head;
    out.append(&mut middle);
    out.append(&mut tail);
    out.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// At most `room` lines, the last of which counts what was cut of `in_all`.
fn few(mut lines: Vec<String>, in_all: u64, room: usize, more: &str) -> Vec<String> {
    if lines.len() as u64 == in_all && lines.len() <= room {
        return lines;
    }
    lines.truncate(room.saturating_sub(1));
    let rest = in_all.saturating_sub(lines.len() as u64);
    if rest > 0 && !lines.is_empty() {
        lines.push(format!("and {} {more}", count(rest)));
    }
    lines
}

/// The classes, the most frequent first.
pub(super) fn by_number(summary: &Summary) -> Vec<(ErrorClass, u64)> {
    let mut classes: Vec<_> = summary.error_classes.iter().map(|(class, n)| (*class, *n)).collect();
    classes.sort_by_key(|(class, number)| (std::cmp::Reverse(*number), *class));
    classes
}

/// What the exit code says, in a word or two.
pub(super) const fn headline(exit_code: u8) -> &'static str {
    match exit_code {
        0 => "Done",
        1 => "Finished, not all of it well (exit code 1)",
        3 => "Stopped by a limit (exit code 3)",
        4 => "Every server that had work left was halted (exit code 4)",
        5 => "In use by another run (exit code 5)",
        7 => "Internal error (exit code 7)",
        8 => "The run directory cannot be written (exit code 8)",
        130 => "Interrupted (exit code 130)",
        143 => "Terminated (exit code 143)",
        _ => "Ended",
    }
}

impl FailureLine {
    /// It in a line, the server's words cut to so many characters.
    pub fn sentence(&self, max_error_chars: usize) -> String {
        let mut out = format!("row {} {}", self.row, shown(&self.mailbox, 80));
        for word in [self.action.map(Action::word), self.channel.map(Channel::word)].into_iter().flatten() {
            out.push(' ');
            out.push_str(word);
        }
        out.push_str(&format!(": {}", self.status));
        if let Some(class) = self.class {
            out.push_str(&format!(", {class}"));
        }
        if !self.error.is_empty() {
            out.push_str(&format!(": {}", shown(&self.error, max_error_chars)));
        }
        out
    }
}

#[cfg(test)]
mod tests;
