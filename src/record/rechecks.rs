//! `verify-<time>.csv`: what a later reading says of a run's operations.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use super::disk;
use super::entry::Stamp;
use super::ledger::Reason;
use super::line::reason_at;
use super::places::Places;
use super::results::defused;
use super::rundir::{DirError, RunDir, compact};
use crate::domain::State;
use crate::job::Job;

/// What was found of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Recheck {
    /// The operation.
    pub op: u32,
    /// Whether its flag is as it set it; `None` if that could not be read.
    pub holds: Option<bool>,
    /// What the run had read at its end.
    pub then: State,
    /// What is read now.
    pub now: State,
    /// When it ended, if it made a call.
    pub ended: Option<Stamp>,
    /// Why it could not be read.
    pub reason: Reason,
}

/// What was found of a run.
pub struct Rechecks<'a> {
    /// Its job.
    pub job: &'a Job,
    /// Where the mailboxes are.
    pub places: &'a Places,
    /// The journal of the reading, for the reasons.
    pub reasons: &'a File,
    /// What was found, in the order of the operations.
    pub list: &'a [Recheck],
    /// When.
    pub at: Stamp,
}

const COLUMNS: [&str; 12] = [
    "row",
    "email",
    "action",
    "channel",
    "holds",
    "state_then",
    "state_now",
    "ended_at",
    "read_at",
    "server",
    "account",
    "error",
];

impl Rechecks<'_> {
    /// Writes them as CSV.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(COLUMNS)?;
        let at = self.at.to_string();
        for finding in self.list {
            let operation = &self.job.operations[finding.op as usize];
            let Some(function) = operation.function() else { continue };
            let channel = function.channel();
            let place = self.places.of(operation.mailbox);
            let reason = match &finding.reason {
                Reason::Text(text) => text.clone(),
                Reason::Journal(line) => reason_at(self.reasons, *line).unwrap_or_default(),
                Reason::None | Reason::Row => String::new(),
            };
            let row = operation.row.to_string();
            let ended = finding.ended.map(|at| at.to_string()).unwrap_or_default();
            csv.write_record([
                row.as_str(),
                self.job.mailboxes.get(operation.mailbox),
                function.action().word(),
                channel.word(),
                match finding.holds {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "unknown",
                },
                finding.then.of(channel),
                finding.now.of(channel),
                &ended,
                &at,
                place.map_or("", |place| &place.server),
                place.map_or("", |place| &place.account),
                &defused(if finding.holds.is_none() { &reason } else { "" }),
            ])?;
        }
        csv.flush()
    }
}

impl RunDir {
    /// Writes down what was found, beside what was there before; returns where.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_rechecks(&self, findings: &Rechecks<'_>) -> Result<PathBuf, DirError> {
        let stem = format!("verify-{}", compact(findings.at));
        let names = (1..).map(|n| if n == 1 { format!("{stem}.csv") } else { format!("{stem}-{n}.csv") });
        let mut paths = names.map(|name| self.file(&name));
        let path = paths.find(|path| !path.exists()).unwrap_or_else(|| self.file(&stem));
        disk::write_whole(&path, |out| findings.write(out)).map_err(DirError::io(&path))?;
        Ok(path)
    }
}
