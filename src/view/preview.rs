//! What is about to happen, before the question whether it may.
//!
//! An operator who has the wrong file in hand should see it here: which servers, which actions, how
//! many, and how long it takes. Whatever is unusual (rows left aside, queued mail that will be sent)
//! stands below the table, next to the question, where it is not scrolled away.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{Action, Channel, ErrorClass, Status};

use super::terminal::Style;
use super::words::{cell, count, counted, rate, shown, span, wrap};
use crate::domain::quote;

/// What a run is about to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// What this is, as in `Run of leak.csv`.
    pub title: String,
    /// The operations to be carried out, grouped, in the order to be shown.
    pub rows: Vec<PreviewRow>,
    /// Different mailboxes in all.
    pub mailboxes: u64,
    /// The limits of each server that has work.
    pub limits: Vec<ServerLimits>,
    /// Operations of the input that will not be carried out.
    pub left_aside: Vec<LeftAside>,
    /// Of mailboxes that are released, how many messages are held, where the server told.
    pub held: Vec<(String, Option<u64>)>,
    /// Whether no state is read.
    pub blind: bool,
    /// How many changes are let through, as it was typed.
    pub max_changes: Option<String>,
    /// If sessions of mailboxes are ended, in how many accounts; `Some(None)` where that is not known
    /// yet.
    pub ends_sessions: Option<Option<u64>>,
    /// Patterns of mailboxes that are never touched.
    pub protect: Vec<String>,
    /// What the operator should know before answering.
    pub warnings: Vec<String>,
    /// Where the run is recorded.
    pub run_dir: Option<PathBuf>,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewRow {
    /// The server's name; `None` where only the server itself can tell.
    pub server: Option<String>,
    /// The cPanel account; `None` where it is not known yet.
    pub account: Option<String>,
    /// What is done.
    pub action: Action,
    /// To which channel.
    pub channel: Channel,
    /// How many operations.
    pub operations: u64,
    /// How many different mailboxes.
    pub mailboxes: u64,
}

/// What one server will be asked at most.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerLimits {
    /// Its name.
    pub server: String,
    /// Calls a second; `None` for no limit.
    pub rate_per_s: Option<f64>,
    /// Calls that may go out at once beside the rate.
    pub burst: u64,
    /// Calls at a time.
    pub jobs: u64,
    /// Operations that it has to do.
    pub operations: u64,
}

/// Operations that will not be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftAside {
    /// How they end.
    pub status: Status,
    /// Why, where there is a class.
    pub class: Option<ErrorClass>,
    /// How many.
    pub operations: u64,
}

/// Lines of the table; the rest is counted.
const MOST_ROWS: usize = 30;

/// Warnings, and servers with limits of their own, that are shown.
const MOST_OTHERS: usize = 10;

/// Columns that the numbers, the action and the channel need, with the blanks between.
const FIXED_COLUMNS: usize = 2 + (2 + 9) + (2 + 8) + (2 + 10) + (2 + 9);

/// The text to be shown, ending with a line break.
pub fn preview(preview: &Preview, style: Style, width: usize) -> String {
    let mut out = format!("{}\n", style.bold(&shown(&preview.title, 200)));
    if preview.rows.is_empty() {
        out.push_str("  nothing to do\n");
    } else {
        table(preview, style, width, &mut out);
    }
    for line in limits(&preview.limits) {
        out.push_str(&wrap(&line, 2, width));
        out.push('\n');
    }
    if let Some(dir) = &preview.run_dir {
        out.push_str(&format!("Recorded in {}\n", quote(dir.as_os_str())));
    }
    for aside in &preview.left_aside {
        let why = aside.class.map_or(String::new(), |class| format!(" ({class})"));
        let many = counted(aside.operations, "operation", "operations");
        out.push_str(&format!("Left aside: {many} {}{why}\n", aside.status));
    }
    for line in guards(preview) {
        out.push_str(&wrap(&line, 2, width));
        out.push('\n');
    }
    for risk in risks(preview) {
        out.push_str(&format!("{}\n", style.red(&wrap(&risk, 2, width))));
    }
    let sends = preview.rows.iter().filter(|row| row.action == Action::Release);
    let sends = sends.map(|row| row.operations).sum::<u64>();
    if sends > 0 {
        let mailboxes = counted(sends, "mailbox", "mailboxes");
        let text =
            format!("! release sends the mail that is queued for {mailboxes}: that cannot be taken back");
        out.push_str(&format!("{}\n", style.red(&wrap(&text, 2, width))));
        held(&preview.held, width, &mut out);
    }
    for warning in preview.warnings.iter().take(MOST_OTHERS) {
        let text = wrap(&format!("! {}", shown(warning, 500)), 2, width);
        out.push_str(&format!("{}\n", style.yellow(&text)));
    }
    if preview.warnings.len() > MOST_OTHERS {
        out.push_str(&format!("  and {} more warnings\n", preview.warnings.len() - MOST_OTHERS));
    }
    out
}

/// What bounds the run beside its rate, and what to type if it must not.
fn guards(preview: &Preview) -> Vec<String> {
    const MOST_PATTERNS: usize = 8;
    let mut lines = Vec::new();
    if !preview.protect.is_empty() {
        let patterns: Vec<String> =
            preview.protect.iter().take(MOST_PATTERNS).map(|pattern| shown(pattern, 80)).collect();
        let more = match preview.protect.len().saturating_sub(MOST_PATTERNS) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        lines.push(format!(
            "Never touched: {}{more} (key protect of the configuration; take a pattern out there to override it)",
            patterns.join(", ")
        ));
    }
    if let Some(most) = &preview.max_changes {
        lines.push(format!(
            "At most {} changes, or nothing is changed: all state is read first (--max-changes N or N% overrides it)",
            shown(most, 20)
        ));
    }
    lines
}

/// What cannot be taken back, or reaches further than the job.
fn risks(preview: &Preview) -> Vec<String> {
    let mut risks = Vec::new();
    if preview.blind {
        risks.push(
            "! --blind: no state is read, so this run cannot be undone, and nothing shows what its calls came to"
                .to_owned(),
        );
    }
    let accounts = match preview.ends_sessions {
        None | Some(Some(0)) => return risks,
        Some(None) => "each account in which a login is suspended".to_owned(),
        Some(Some(accounts)) => counted(accounts, "account", "accounts"),
    };
    risks.push(format!(
        "! --end-sessions ends the open IMAP and POP sessions of all mailboxes of {accounts}, those that are \
         not in the job too; these can log in again"
    ));
    risks
}

/// How much that is, in all and per mailbox.
fn held(counts: &[(String, Option<u64>)], width: usize, out: &mut String) {
    if counts.is_empty() {
        return;
    }
    let all: u64 = counts.iter().filter_map(|(_, held)| *held).sum();
    let untold = counts.iter().filter(|(_, held)| held.is_none()).count() as u64;
    let untold = if untold > 0 {
        format!("; {} did not tell", counted(untold, "mailbox", "mailboxes"))
    } else {
        String::new()
    };
    out.push_str(&format!("  {} held{untold}\n", counted(all, "message is", "messages are")));
    for (mailbox, held) in counts.iter().take(MOST_OTHERS) {
        let held = held.map_or_else(|| "not told".to_owned(), count);
        out.push_str(&wrap(&format!("    {}: {held}", shown(mailbox, 120)), 6, width));
        out.push('\n');
    }
    if counts.len() > MOST_OTHERS {
        out.push_str(&format!("    and {} more mailboxes\n", counts.len() - MOST_OTHERS));
    }
}

fn table(preview: &Preview, style: Style, width: usize, out: &mut String) {
    let shown_rows = &preview.rows[..preview.rows.len().min(MOST_ROWS)];
    let longest = |of: fn(&PreviewRow) -> &Option<String>| {
        let names = shown_rows.iter().filter_map(|row| of(row).as_deref());
        names.map(|name| name.chars().count()).max().unwrap_or(0)
    };
    let has_account = shown_rows.iter().any(|row| row.account.is_some());
    // What the fixed columns leave is shared: the account gets up to half, the server the rest.
    let room = width.saturating_sub(FIXED_COLUMNS);
    let account = if has_account { longest(|row| &row.account).clamp(7, (room / 2).max(7)) } else { 0 };
    let gap = if has_account { 2 } else { 0 };
    let server = longest(|row| &row.server).clamp(6, room.saturating_sub(account + gap).max(6));
    let mut line = |cells: [&str; 6]| {
        let [server_cell, account_cell, action, channel, operations, mailboxes] = cells;
        let names = match has_account {
            true => format!("  {server_cell:<server$}  {account_cell:<account$}"),
            false => format!("  {server_cell:<server$}"),
        };
        out.push_str(&format!("{names}  {action:<9}  {channel:<8}  {operations:>10}  {mailboxes:>9}\n"));
    };
    line(["server", "account", "action", "channel", "operations", "mailboxes"]);
    for row in shown_rows {
        line([
            &cell(row.server.as_deref().unwrap_or("?"), server),
            &cell(row.account.as_deref().unwrap_or("?"), account),
            row.action.word(),
            &row.channel.to_string(),
            &count(row.operations),
            &count(row.mailboxes),
        ]);
    }
    let all = preview.rows.iter().map(|row| row.operations).sum::<u64>();
    line(["total", "", "", "", &count(all), &count(preview.mailboxes)]);
    let rest = &preview.rows[shown_rows.len()..];
    if !rest.is_empty() {
        let operations = rest.iter().map(|row| row.operations).sum::<u64>();
        let text = format!(
            "  and {} with {}, counted in the total\n",
            counted(rest.len() as u64, "more line", "more lines"),
            counted(operations, "operation", "operations"),
        );
        out.push_str(&style.bold(text.trim_end_matches('\n')));
        out.push('\n');
    }
}

/// One line if all servers have the same limits, else one for each of the slowest.
fn limits(limits: &[ServerLimits]) -> Vec<String> {
    let Some(slowest) = limits.iter().max_by_key(|limit| limit.least()) else { return Vec::new() };
    let text = |limit: &ServerLimits, is_each: bool| {
        let rate = limit.rate_per_s.map_or("no limit on the rate".to_owned(), |r| {
            // Whole numbers as they were given.
            format!("at most {}", if r.fract() == 0.0 { format!("{}/s", count(r as u64)) } else { rate(r) })
        });
        let time = match limit.least() {
            least if least.is_zero() => String::new(),
            least => format!(": at least {} if every operation needs its call", span(least)),
        };
        let each = if is_each { " at each server" } else { "" };
        format!("{rate}, {} at a time{each}{time}", limit.jobs)
    };
    let same = |limit: &ServerLimits| (limit.rate_per_s, limit.jobs) == (slowest.rate_per_s, slowest.jobs);
    if limits.iter().all(same) {
        let line = text(slowest, limits.len() > 1);
        let mut letters = line.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        return vec![first.into_iter().chain(letters).collect()];
    }
    let mut sorted: Vec<&ServerLimits> = limits.iter().collect();
    sorted.sort_by_key(|limit| std::cmp::Reverse(limit.least()));
    let line = |limit: &&ServerLimits| format!("{}: {}", shown(&limit.server, 40), text(limit, false));
    let mut lines: Vec<String> = sorted.iter().take(MOST_OTHERS).map(line).collect();
    if sorted.len() > MOST_OTHERS {
        lines.push(format!("and {} more servers, which need less time", sorted.len() - MOST_OTHERS));
    }
    lines
}

impl ServerLimits {
    /// The time that the rate alone takes for what goes beyond the burst, rounded up to seconds; zero
    /// without a rate.
    fn least(&self) -> Duration {
        let waits = self.operations.saturating_sub(self.burst) as f64;
        let seconds = self.rate_per_s.map_or(0.0, |rate| (waits / rate).ceil());
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests;
