//! What is said when the input cannot become a job: every fault with its place, then what to type.

use std::fmt;
use std::io;

use super::layout::HeaderFault;
use super::rows::{Reason, RowFault};
use super::scan::{Broken, ReadError};
use crate::domain::{Function, clip};

/// Most faults that are kept and shown; the rest is counted.
pub(super) const MAX_SHOWN: usize = 50;

/// So many more rows that lack the same cells as the first one, and no other fault, are told in one
/// line.
const ALIKE: usize = 3;

/// Why an input is no job. Nothing of it may be carried out.
#[derive(Debug)]
pub enum InputError {
    /// It cannot be opened.
    Unreadable {
        /// Its path, fit to be shown.
        name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// What can be read only once could not be copied.
    Spool {
        /// What to call it.
        name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// Reading it failed on the way.
    Read {
        /// What to call it.
        name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// It has faults.
    Refused(Refusal),
    /// It has no data row.
    Empty {
        /// What to call it.
        name: String,
    },
    /// It has more operations or more text in its addresses than a job can hold.
    TooLarge {
        /// What to call it.
        name: String,
    },
}

/// The faults of an input: the first ones, and how many there are.
#[derive(Debug)]
pub struct Refusal {
    name: String,
    faults: Vec<Fault>,
    total: u64,
    stopped: bool,
}

/// One fault and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The data row, from 1; `None` for the header, and for what cannot be told apart into rows.
    pub row: Option<u32>,
    /// The line of the file, from 1.
    pub line: u64,
    /// What is wrong there.
    pub what: FaultKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The columns cannot be told.
    #[error(transparent)]
    Header(HeaderFault),
    /// The row is no operation.
    #[error(transparent)]
    Row(RowFault),
    /// The rows cannot be told apart from here on.
    #[error(transparent)]
    Broken(Broken),
    /// Another row sets the same flag of the mailbox differently.
    #[error("{} of {mailbox}, but {} in row {row}, line {line}", spoken(*function), spoken(*earlier))]
    Conflict {
        /// The mailbox, fit to be shown.
        mailbox: String,
        /// What this row asks for.
        function: Function,
        /// What the earlier row asks for.
        earlier: Function,
        /// The earlier row.
        row: u32,
        /// The earlier row's line.
        line: u64,
    },
}

/// An operation in the words of a cell: `suspend outgoing`.
pub(super) fn spoken(function: Function) -> String {
    format!("{} {}", function.action(), function.channel())
}

/// An address that is fit to be shown.
pub(super) fn shown(mailbox: &str) -> String {
    clip(mailbox, 100)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "row {row}, line {}: {}", self.line, self.what),
            None => write!(f, "line {}: {}", self.line, self.what),
        }
    }
}

impl InputError {
    /// An input with these faults and no more.
    pub(super) fn refused(name: &str, faults: Vec<Fault>) -> InputError {
        let total = faults.len() as u64;
        InputError::Refused(Refusal { name: name.to_owned(), faults, total, stopped: false })
    }

    /// An input with these faults among so many. `stopped`: the last one hides what comes after it.
    pub(super) fn refused_among(name: &str, faults: Vec<Fault>, total: u64, stopped: bool) -> InputError {
        InputError::Refused(Refusal { name: name.to_owned(), faults, total, stopped })
    }

    /// An input that could not be read to its end.
    pub(super) fn stopped(name: &str, error: ReadError) -> InputError {
        match error {
            ReadError::Io(error) => InputError::Read { name: name.to_owned(), error },
            ReadError::Broken { line, what } => {
                let fault = Fault { row: None, line, what: FaultKind::Broken(what) };
                InputError::refused_among(name, vec![fault], 1, true)
            }
        }
    }

    /// The faults that are kept, in the order in which they were met: at most 50.
    pub fn faults(&self) -> &[Fault] {
        match self {
            InputError::Refused(refusal) => &refusal.faults,
            _ => &[],
        }
    }

    /// How many faults there are, with those that are not kept.
    pub fn total_faults(&self) -> u64 {
        match self {
            InputError::Refused(refusal) => refusal.total,
            _ => 0,
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Unreadable { name, error } => match error.kind() {
                io::ErrorKind::NotFound => {
                    write!(f, "{name} does not exist: check the path, or give - to read standard input")
                }
                io::ErrorKind::IsADirectory => write!(f, "{name} is a directory: name the file in it"),
                io::ErrorKind::PermissionDenied => {
                    write!(f, "{name} may not be read by this user: see its permissions with ls -l")
                }
                _ => write!(f, "{name} cannot be opened: {error}"),
            },
            InputError::Spool { name, error } => write!(
                f,
                "{name} cannot be copied to a temporary file: {error}. TMPDIR says in which directory it is made"
            ),
            InputError::Read { name, error } => write!(f, "{name} cannot be read: {error}"),
            InputError::Refused(refusal) => refusal.fmt(f),
            InputError::Empty { name } => write!(
                f,
                "{name} has no data row: did the export break? If an empty input is right, give --allow-empty"
            ),
            InputError::TooLarge { name } => write!(
                f,
                "{name} has more than one job can hold (4 thousand million operations, 4 GiB of addresses): split it"
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.total == 1 { "" } else { "s" };
        writeln!(f, "{} has {} fault{plural}:", self.name, self.total)?;
        // A column that is missing everywhere need not be told row by row.
        let first = self.faults.first().map(|fault| &fault.what);
        let first =
            first.filter(|what| matches!(what, FaultKind::Row(fault) if fault.lacks_defaults_alone()));
        let alike = self.faults.iter().skip(1).take_while(|fault| Some(&fault.what) == first).count();
        let told = if alike >= ALIKE && alike + 1 == self.faults.len() { 1 } else { self.faults.len() };
        for fault in &self.faults[..told] {
            writeln!(f, "  {fault}")?;
        }
        if told <= alike {
            writeln!(f, "  and the same in the next {alike} faulty rows")?;
        }
        let more = self.total.saturating_sub(self.faults.len() as u64);
        if more > 0 {
            writeln!(f, "  and {more} more")?;
        }
        f.write_str(&self.advice().join("\n"))
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InputError::Unreadable { error, .. }
            | InputError::Spool { error, .. }
            | InputError::Read { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl Refusal {
    /// What to do next, by what is wrong.
    fn advice(&self) -> Vec<&'static str> {
        let reason = |wanted: fn(&Reason) -> bool| {
            self.faults.iter().any(|fault| match &fault.what {
                FaultKind::Row(fault) => fault.reasons().iter().any(wanted),
                _ => false,
            })
        };
        let kind = |wanted: fn(&FaultKind) -> bool| self.faults.iter().any(|fault| wanted(&fault.what));
        let mut advice = Vec::new();
        let no_action = reason(|reason| matches!(reason, Reason::NoAction));
        let no_channel = reason(|reason| matches!(reason, Reason::NoChannel));
        if no_action && no_channel {
            advice.push(
                "For blank cells, and for a list of addresses alone: say what to do with all of them, such as \
                 --action suspend --channel login (or login,outgoing, or all).",
            );
        } else if no_action {
            advice.push("For blank cells: --action suspend (or unsuspend, hold, release).");
        } else if no_channel {
            advice.push("For blank cells: --channel login (or incoming, outgoing, login,outgoing, all).");
        }
        if kind(|kind| matches!(kind, FaultKind::Conflict { .. })) {
            advice.push("Remove one row of each conflict, or run them in file order with --allow-conflicts.");
        }
        if self.stopped {
            advice.push("What comes after that line was not looked at: correct it first.");
        } else if kind(|kind| matches!(kind, FaultKind::Row(fault) if !fault.lacks_defaults_alone())) {
            advice.push("Correct the rows, or go on with the sound ones with --skip-invalid.");
        } else if kind(|kind| matches!(kind, FaultKind::Header(_))) {
            advice.push("Rows were not looked at.");
        }
        advice
    }
}
