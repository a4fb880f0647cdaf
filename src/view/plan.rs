//! What a run would change, by server, account and channel.

use crate::domain::{Action, Channel};

use super::terminal::Style;
use super::words::{cell, count, counted, shown, wrap};

/// What `plan` has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanView {
    /// What this is.
    pub title: String,
    /// The figures, in the order to be shown.
    pub rows: Vec<PlanRow>,
    /// Operations that would be called although their mailbox is not in its account's list.
    pub unlisted: u64,
    /// Operations that would be called and whose mailbox's state is not known.
    pub unknown: u64,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What to type to carry it out, quoted for the shell.
    pub next: Option<String>,
}

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanRow {
    /// The server's name; empty where there is none.
    pub server: String,
    /// The account; empty where it is not known.
    pub account: String,
    /// What is asked, and of which channel.
    pub what: Option<(Action, Channel)>,
    /// Operations that would be called.
    pub changes: u64,
    /// Operations whose mailbox is so already.
    pub unchanged: u64,
    /// Operations that cannot be done.
    pub cannot: u64,
}

/// Lines of the table; the rest is counted.
const MOST_ROWS: usize = 40;

/// Columns that the numbers, the action and the channel need, with the blanks between.
const FIXED_COLUMNS: usize = 2 + (2 + 9) + (2 + 8) + 3 * (2 + 9);

/// The text to be shown, ending with a line break.
pub fn plan(view: &PlanView, style: Style, width: usize) -> String {
    let mut out = format!("{}\n", style.bold(&shown(&view.title, 200)));
    let mut all = PlanRow::default();
    for row in &view.rows {
        all.changes += row.changes;
        all.unchanged += row.unchanged;
        all.cannot += row.cannot;
    }
    if !view.rows.is_empty() {
        table(&view.rows, &all, style, width, &mut out);
    }
    let changes =
        counted(all.changes, "operation would change something", "operations would change something");
    let mut rest = vec![format!("{} unchanged", count(all.unchanged))];
    if all.cannot > 0 {
        rest.push(format!("{} cannot be done", count(all.cannot)));
    }
    out.push_str(&format!("{}: {}\n", style.bold(&changes), rest.join(", ")));
    for (number, why) in [
        (view.unlisted, "not in the list of the account's mailboxes; only the call will tell"),
        (view.unknown, "of unknown state; called all the same, and cannot be undone"),
    ] {
        if number > 0 {
            out.push_str(&wrap(&format!("! {} of them {why}", count(number)), 2, width));
            out.push('\n');
        }
    }
    for warning in &view.warnings {
        out.push_str(&style.yellow(&wrap(&format!("! {}", shown(warning, 500)), 2, width)));
        out.push('\n');
    }
    if let Some(next) = &view.next {
        out.push_str(&format!("{}\n  {}\n", style.bold("To carry it out:"), super::words::printable(next)));
    }
    out
}

fn table(rows: &[PlanRow], all: &PlanRow, style: Style, width: usize, out: &mut String) {
    let longest = |text: fn(&PlanRow) -> &str, least: usize| {
        let lengths = rows.iter().take(MOST_ROWS).map(|row| text(row).chars().count());
        lengths.max().unwrap_or(0).max(least)
    };
    // Two names share what the numbers leave; what one does not need, the other has.
    let room = width.saturating_sub(FIXED_COLUMNS + 2);
    let (server, account) = (longest(|row| &row.server, 6), longest(|row| &row.account, 7));
    let most = |other: usize| room.saturating_sub(other).max(room / 2).max(8);
    let (server, account) = (server.min(most(account)), account.min(most(server)));
    let line = |cells: [&str; 7]| {
        let [name, user, action, channel, changes, unchanged, cannot] = cells;
        format!(
            "  {:<server$}  {:<account$}  {action:<9}  {channel:<8}  {changes:>9}  {unchanged:>9}  {cannot:>9}",
            cell(name, server),
            cell(user, account),
        )
    };
    let heading = line(["server", "account", "action", "channel", "changes", "unchanged", "cannot"]);
    out.push_str(&format!("{}\n", heading.trim_end()));
    for row in rows.iter().take(MOST_ROWS) {
        let (action, channel) =
            row.what.map_or(("", ""), |(action, channel)| (action.word(), channel.word()));
        let (changes, unchanged, cannot) = (count(row.changes), count(row.unchanged), count(row.cannot));
        let cells = [&*row.server, &*row.account, action, channel, &*changes, &*unchanged, &*cannot];
        let text = line(cells);
        let text = text.trim_end();
        out.push_str(&if row.cannot > 0 { style.yellow(text) } else { text.to_owned() });
        out.push('\n');
    }
    if rows.len() > MOST_ROWS {
        out.push_str(&format!("  and {} more lines; --output has every operation\n", rows.len() - MOST_ROWS));
    }
    let (changes, unchanged, cannot) = (count(all.changes), count(all.unchanged), count(all.cannot));
    out.push_str(&line(["total", "", "", "", &changes, &unchanged, &cannot]));
    out.push('\n');
}
