//! What the columns mean, and what separates them: all that is needed to read the same rows again.
//!
//! It is found from the first record alone. Nothing is guessed that could send an operation to the
//! wrong place: a first record that names no e-mail column is an error with the way out, unless it
//! is a bare list of addresses, which can be read in one way only.

use std::collections::HashSet;

use super::fault::{Fault, FaultKind, InputError};
use super::options::{InputOptions, trim};
use super::scan::{ReadError, Record, Scanner, decode};
use super::source::Source;
use crate::domain::{clean, clip};

/// The columns that the tool writes in results.csv, in front of the input's own.
pub const RESULT_COLUMNS: [&str; 16] = [
    "row",
    "email",
    "action",
    "channel",
    "status",
    "verified",
    "error_class",
    "error",
    "http_status",
    "attempts",
    "server",
    "account",
    "state_before",
    "state_after",
    "started_at",
    "duration_ms",
];

const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
const MAX_COLUMNS: usize = 1024;

/// The columns of an input and their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) delimiter: u8,
    pub(super) header: Option<Vec<String>>,
    pub(super) columns: usize,
    pub(super) email: usize,
    pub(super) action: Option<usize>,
    pub(super) channel: Option<usize>,
    /// The columns that say where a row goes, if the options give them a meaning. They are other
    /// columns all the same.
    pub(super) server: Option<usize>,
    pub(super) account: Option<usize>,
    pub(super) others: Vec<usize>,
    other_names: Vec<String>,
}

/// Why the columns cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// No column holds the addresses.
    #[error(
        "no column is named email (or address, mailbox); the columns are: {columns}. {}, or put the line \
         “email,action,channel” on top; for a file without a header, --no-header takes the columns as email, \
         action, channel",
        rename(near.as_deref())
    )]
    NoEmail {
        /// Their names, fit to be shown.
        columns: String,
        /// The one that is likely meant.
        near: Option<String>,
    },
    /// The first record is no header but the first row.
    #[error(
        "“{cell}” is no column's name: the file has no header. --no-header takes the columns as email, action, \
         channel; or put a line with the columns' names on top"
    )]
    Data {
        /// The cell with the address.
        cell: String,
    },
    /// `--no-header`, and there is one.
    #[error("this is a header, and --no-header says that there is none: leave the flag out")]
    Unexpected,
    /// Two columns for the same thing.
    #[error("columns {} (“{name}”) and {} (“{other}”) both give the {what}: rename one", first + 1, second + 1)]
    Twice {
        /// What both give.
        what: &'static str,
        /// The first column, from 0.
        first: usize,
        /// Its name.
        name: String,
        /// The second column, from 0.
        second: usize,
        /// Its name.
        other: String,
    },
    /// Bytes that are no text.
    #[error(
        "this is not UTF-8 text; save the file as UTF-8, e.g. with iconv -f WINDOWS-1252 -t UTF-8 OLD >NEW"
    )]
    NotUtf8,
    /// Zero bytes.
    #[error(
        "there are zero bytes in it: is it a workbook (then save it as CSV), or UTF-16 without a byte-order mark? Save it as UTF-8, \
         e.g. with iconv -f UTF-16LE -t UTF-8 OLD >NEW"
    )]
    Nul,
    /// Text behind a closing quote.
    #[error("text stands behind a closing quote: is a quote missing?")]
    Misquoted,
    /// More than a file for this tool has.
    #[error("there are {0} columns, more than {MAX_COLUMNS}: is the delimiter right? --delimiter gives it")]
    TooMany(usize),
}

impl Layout {
    /// The columns of an input without a record.
    pub(super) fn empty() -> Layout {
        Layout::headless(b',', 3)
    }

    /// Finds the columns from the first record; `None` if there is no record.
    pub(super) fn detect(source: &Source, options: &InputOptions) -> Result<Option<Layout>, InputError> {
        let candidates = options.delimiter.as_ref().map_or(&DELIMITERS[..], std::slice::from_ref);
        let mut best: Option<(Score, u8, Record)> = None;
        let mut error = None;
        for &delimiter in candidates {
            match first_record(source, delimiter) {
                Ok(None) => return Ok(None),
                Ok(Some(record)) => {
                    let score = score(&record);
                    if best.as_ref().is_none_or(|(other, ..)| score > *other) {
                        best = Some((score, delimiter, record));
                    }
                }
                Err(failed @ ReadError::Io(_)) => return Err(InputError::stopped(source.name(), failed)),
                Err(broken) => error = error.or(Some(broken)),
            }
        }
        match (best, error) {
            // Where nothing speaks for another delimiter, the broken one is likely the right one.
            (Some(((0, _, false, _), ..)), Some(broken)) => Err(InputError::stopped(source.name(), broken)),
            (Some((_, delimiter, record)), _) => {
                Layout::from_first(delimiter, &record, options).map(Some).map_err(|fault| {
                    let fault = Fault { row: None, line: record.line(), what: FaultKind::Header(fault) };
                    InputError::refused(source.name(), vec![fault])
                })
            }
            (None, Some(broken)) => Err(InputError::stopped(source.name(), broken)),
            (None, None) => Ok(None),
        }
    }

    fn from_first(delimiter: u8, record: &Record, options: &InputOptions) -> Result<Layout, HeaderFault> {
        if record.cells().any(|cell| cell.contains('\0')) {
            return Err(HeaderFault::Nul);
        }
        if record.len() > MAX_COLUMNS {
            return Err(HeaderFault::TooMany(record.len()));
        }
        let has_header = record.cells().any(|cell| Meaning::of(cell) == Some(Meaning::Email));
        if options.no_header {
            let fault = has_header.then_some(HeaderFault::Unexpected);
            return fault.map_or_else(|| Ok(Layout::headless(delimiter, record.len().max(3))), Err);
        }
        if has_header {
            return Layout::from_header(delimiter, record, options.servers.is_some());
        }
        let mut filled = record.cells().enumerate().filter(|(_, cell)| !trim(cell).is_empty());
        if filled.next().is_some_and(|(index, cell)| index == 0 && cell.contains('@'))
            && filled.next().is_none()
        {
            return Ok(Layout::headless(delimiter, 1));
        }
        if let Some(cell) = record.cells().find(|cell| cell.contains('@')) {
            return Err(HeaderFault::Data { cell: shown(cell) });
        }
        if !record.utf8 {
            return Err(HeaderFault::NotUtf8);
        }
        Err(HeaderFault::NoEmail { columns: list(record), near: likely_email(record) })
    }

    fn from_header(delimiter: u8, record: &Record, is_fleet: bool) -> Result<Layout, HeaderFault> {
        if !record.utf8 {
            return Err(HeaderFault::NotUtf8);
        }
        if record.misquoted {
            return Err(HeaderFault::Misquoted);
        }
        let email = column(record, Meaning::Email)?.unwrap_or(0);
        let action = column(record, Meaning::Action)?;
        let channel = column(record, Meaning::Channel)?;
        let header: Vec<String> = record.cells().map(str::to_owned).collect();
        let mut layout = Layout::new(delimiter, Some(header), record.len(), (email, action, channel));
        if is_fleet {
            layout.server = column(record, Meaning::Server)?;
            layout.account = column(record, Meaning::Account)?;
        }
        Ok(layout)
    }

    /// One column is a bare list; more are email, action, channel and others without a name.
    fn headless(delimiter: u8, columns: usize) -> Layout {
        let given = |index: usize| (index < columns).then_some(index);
        Layout::new(delimiter, None, columns, (0, given(1), given(2)))
    }

    fn new(
        delimiter: u8,
        header: Option<Vec<String>>,
        columns: usize,
        (email, action, channel): (usize, Option<usize>, Option<usize>),
    ) -> Layout {
        let others: Vec<usize> = (0..columns)
            .filter(|index| *index != email && Some(*index) != action && Some(*index) != channel)
            .collect();
        let own =
            |index: &usize| header.as_ref().and_then(|names| names.get(*index)).map_or("", |name| trim(name));
        let own_names: Vec<_> = others.iter().map(|index| (*index, own(index))).collect();
        let other_names = unique(&own_names);
        Layout {
            delimiter,
            header,
            columns,
            email,
            action,
            channel,
            server: None,
            account: None,
            others,
            other_names,
        }
    }

    /// What separates the cells.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The columns' names as written, if the input has a header.
    pub fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// The names under which results.csv carries the input's other columns: their own, `input.NAME`
    /// where that is one of [`RESULT_COLUMNS`], `column_N` where they have none, and numbered where
    /// two would be the same.
    pub fn other_columns(&self) -> &[String] {
        &self.other_names
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Email,
    Action,
    Channel,
    Server,
    Account,
}

impl Meaning {
    fn of(name: &str) -> Option<Meaning> {
        let name = trim(name);
        let is = |word: &str| name.eq_ignore_ascii_case(word);
        if is("email") || is("address") || is("mailbox") {
            Some(Meaning::Email)
        } else if is("action") {
            Some(Meaning::Action)
        } else if is("channel") {
            Some(Meaning::Channel)
        } else if is("server") {
            Some(Meaning::Server)
        } else if is("account") {
            Some(Meaning::Account)
        } else {
            None
        }
    }

    fn what(self) -> &'static str {
        match self {
            Meaning::Email => "mailbox",
            Meaning::Action => "action",
            Meaning::Channel => "channel",
            Meaning::Server => "server",
            Meaning::Account => "account",
        }
    }
}

/// The one column with this meaning.
fn column(record: &Record, meaning: Meaning) -> Result<Option<usize>, HeaderFault> {
    let mut found = record.cells().enumerate().filter(|(_, cell)| Meaning::of(cell) == Some(meaning));
    let first = found.next();
    if let (Some((first, name)), Some((second, other))) = (first, found.next()) {
        let what = meaning.what();
        return Err(HeaderFault::Twice { what, first, name: shown(name), second, other: shown(other) });
    }
    Ok(first.map(|(index, _)| index))
}

/// How well a delimiter suits the first record: by the names that it brings out, then by the address
/// in front, then by the number of cells. One that leaves text behind a closing quote is the wrong
/// one: the quotes are another delimiter's.
type Score = (usize, bool, bool, usize);

fn score(record: &Record) -> Score {
    let known = [Meaning::Email, Meaning::Action, Meaning::Channel]
        .into_iter()
        .filter(|meaning| record.cells().any(|cell| Meaning::of(cell) == Some(*meaning)))
        .count();
    let address = crate::domain::Mailbox::parse(record.cell(0)).is_ok();
    (known, !record.misquoted, address, record.len())
}

fn first_record(source: &Source, delimiter: u8) -> Result<Option<Record>, ReadError> {
    let mut record = Record::default();
    let found = Scanner::new(decode(source.open()?), delimiter).next(&mut record)?;
    Ok(found.then_some(record))
}

/// Names that clash neither with the results' own columns nor with one another. The first column of
/// a name keeps it, even if an earlier one without a name would have been called so.
fn unique(columns: &[(usize, &str)]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut names: Vec<String> = columns
        .iter()
        .map(|(_, own)| if RESULT_COLUMNS.contains(own) { format!("input.{own}") } else { (*own).to_owned() })
        .collect();
    let first: Vec<bool> = names.iter().map(|name| !name.is_empty() && taken.insert(name.clone())).collect();
    for ((name, (index, _)), _) in names.iter_mut().zip(columns).zip(first).filter(|(_, first)| !first) {
        if name.is_empty() {
            *name = format!("column_{}", index + 1);
        }
        if !taken.insert(name.clone()) {
            let mut free = (2..).map(|n| format!("{name}_{n}"));
            *name = free.find(|name| taken.insert(name.clone())).unwrap_or_default();
        }
    }
    names
}

/// The column that likely holds the addresses, by a name that is much like `email`.
fn likely_email(record: &Record) -> Option<String> {
    let letters = |cell: &str| -> String {
        cell.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let is_like = |cell: &&str| {
        let name = letters(cell);
        let known =
            ["mail", "emailaddress", "mailaddress", "emails", "addresses", "mailboxes", "mailaccount"];
        known.contains(&name.as_str()) || strsim::jaro_winkler(&name, "email") > 0.9
    };
    record.cells().find(is_like).map(shown)
}

fn rename(near: Option<&str>) -> String {
    near.map_or_else(|| "Name one so".to_owned(), |near| format!("Rename “{near}” to email"))
}

fn shown(cell: &str) -> String {
    clip(&clean(cell), 60)
}

fn list(record: &Record) -> String {
    const SHOWN: usize = 10;
    let names: Vec<String> = record.cells().take(SHOWN).map(|cell| format!("“{}”", shown(cell))).collect();
    let more =
        if record.len() > SHOWN { format!(" and {} more", record.len() - SHOWN) } else { String::new() };
    names.join(", ") + &more
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
