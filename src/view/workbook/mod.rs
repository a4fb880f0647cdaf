//! The workbook: a run for people with a spreadsheet, to sort and filter and to read out from.
//!
//! Sheets: what it came to, every operation, every mailbox. Numbers and times are such, so that they
//! sort and add up. Everything else is written as text and nothing as anything more: what begins with
//! `=` or looks like an address on the web stays the text that it is, and the results' defusing is not
//! needed here. Rows go to a file as they come, so that millions need no memory; a sheet that is full
//! is followed by another.

mod sheets;
mod spoken;
mod summary;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use rust_xlsxwriter::Workbook;

use self::sheets::{Cell, Sheets, Styles};
use crate::domain::{ErrorClass, Flag};
use crate::record::{Extent, Line, MailboxEnd, Material, Report, Stage, Stamp};

/// Rows of a sheet, its header included.
const ROWS_PER_SHEET: u32 = 1_048_576;

/// Writes the workbook. What cannot be kept in memory waits in `temp`.
///
/// # Errors
/// If it cannot be written, or the run's input cannot be read again.
pub fn workbook(
    report: &Report<'_>,
    material: &Material<'_>,
    temp: &Path,
    out: impl Write + Send,
) -> io::Result<()> {
    write(report, material, temp, out, ROWS_PER_SHEET)
}

fn write(
    report: &Report<'_>,
    material: &Material<'_>,
    temp: &Path,
    out: impl Write + Send,
    rows_per_sheet: u32,
) -> io::Result<()> {
    let mut book = Workbook::new();
    book.set_tempdir(temp).map_err(io::Error::other)?;
    let styles = Styles::new();
    let mut sheets =
        Sheets::new(&mut book, &styles, "summary", &[("", 22.0), ("", 24.0), ("", 60.0)], rows_per_sheet);
    summary::summary(report, &mut sheets)?;
    sheets.finish()?;
    let columns: Vec<(&str, f64)> =
        OPERATIONS.iter().copied().chain(material.other_columns().map(|name| (name, 16.0))).collect();
    let mut sheets = Sheets::new(&mut book, &styles, "operations", &columns, rows_per_sheet);
    let mut undone = HashSet::new();
    material.tell(|line| {
        if let (Some(function), Some(_)) = (line.function, line.undone_by) {
            undone.insert((line.mailbox.0, function.target().flag as u8));
        }
        operation(line, &mut sheets)
    })?;
    sheets.finish()?;
    let mut sheets = Sheets::new(&mut book, &styles, "mailboxes", &MAILBOXES, rows_per_sheet);
    mailboxes(report, material, &undone, &mut sheets)?;
    sheets.finish()?;
    book.save_to_writer(out).map_err(io::Error::other)
}

/// The columns of the operations, and how wide they are.
const OPERATIONS: [(&str, f64); 18] = [
    ("Row", 8.0),
    ("Mailbox", 34.0),
    ("Action", 11.0),
    ("Channel", 11.0),
    ("Status", 14.0),
    ("Verified", 10.0),
    ("Error class", 18.0),
    ("Error", 50.0),
    ("HTTP status", 12.0),
    ("Attempts", 10.0),
    ("Server", 16.0),
    ("Account", 16.0),
    ("State before", 14.0),
    ("State after", 14.0),
    ("Started (UTC)", 22.0),
    ("Ended (UTC)", 22.0),
    ("Duration (ms)", 14.0),
    ("Given to the undo", 30.0),
];

fn operation(line: &Line<'_>, sheets: &mut Sheets<'_>) -> io::Result<()> {
    use Cell::{Number, Text};
    let number = |value: Option<u32>| value.map_or(Cell::None, |value| Number(value.into()));
    let time = |at: Option<Stamp>| at.map_or(Cell::None, Cell::Time);
    let own = [
        Number(line.row.into()),
        Text(line.email),
        Text(line.action),
        Text(line.channel),
        Text(line.status.word()),
        Text(line.verified),
        Text(line.class.map_or("", ErrorClass::word)),
        Text(&line.error),
        number(line.http.map(u32::from)),
        number((line.attempts > 0).then(|| line.attempts.into())),
        Text(line.server),
        Text(line.account),
        Text(line.state_before),
        Text(line.state_after),
        time(line.started),
        time(line.ended()),
        number(line.duration_ms),
        Text(line.undone_by.unwrap_or_default()),
    ];
    sheets.row(own.into_iter().chain(line.others().map(Text)))
}

/// The columns of the mailboxes, and how wide they are.
const MAILBOXES: [(&str, f64); 10] = [
    ("Mailbox", 34.0),
    ("Server", 16.0),
    ("Account", 16.0),
    ("Login", 14.0),
    ("Incoming", 14.0),
    ("Outgoing", 14.0),
    ("Outgoing held", 14.0),
    ("Wholly done", 12.0),
    ("Since (UTC)", 22.0),
    ("To be read out", 100.0),
];

/// Flags of mailboxes that a later run takes back, by their numbers.
type Undone = HashSet<(u32, u8)>;

fn mailboxes(
    report: &Report<'_>,
    material: &Material<'_>,
    undone: &Undone,
    sheets: &mut Sheets<'_>,
) -> io::Result<()> {
    use Cell::Text;
    for (id, end) in report.tally.figures.mailboxes() {
        let Some(extent) = end.extent() else { continue };
        let (server, account) = material.place(id);
        let is_undone = |flag: Flag| undone.contains(&(id.0, flag as u8));
        let words = spoken::spoken(end, is_undone);
        let flag = |flag| if is_undone(flag) { "see the undo" } else { word(end, flag) };
        sheets.row([
            Text(report.mailboxes.get(id)),
            Text(server),
            Text(account),
            Text(flag(Flag::Login)),
            Text(flag(Flag::Incoming)),
            Text(flag(Flag::Outgoing)),
            Text(flag(Flag::Held)),
            Text(match extent {
                _ if end.marks().all(|(flag, _)| is_undone(flag)) => "see the undo",
                _ if end.marks().any(|(flag, _)| is_undone(flag)) => "partly, and see the undo",
                Extent::Whole => "yes",
                Extent::Partly => "partly",
                Extent::Unclear => "not known",
                Extent::Nothing => "no",
            }),
            end.since().map_or(Cell::None, Cell::Time),
            Text(&words),
        ])?;
    }
    Ok(())
}

fn word(end: &MailboxEnd, flag: Flag) -> &'static str {
    let Some(mark) = end.mark(flag) else { return "" };
    match (mark.stage, flag, mark.on) {
        (Stage::Done, Flag::Held, true) => "held",
        (Stage::Done, Flag::Held, false) => "released",
        (Stage::Done, _, true) => "shut",
        (Stage::Done, _, false) => "opened",
        (Stage::Undone, Flag::Held, true) => "not held",
        (Stage::Undone, Flag::Held, false) => "not released",
        (Stage::Undone, _, true) => "not shut",
        (Stage::Undone, _, false) => "not opened",
        (Stage::Unclear, ..) => "not known",
    }
}

#[cfg(test)]
mod tests;
