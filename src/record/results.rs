//! `results.csv` and `unfinished.csv`: the ledger, told row by row.
//!
//! The input's other columns are not kept in memory: the input is read again beside the operations.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::entry::Entry;
use super::journal::HASH_TAIL;
use super::ledger::{Ledger, Reason, Standing};
use super::places::Places;
use crate::domain::{ErrorClass, Function, State, Status};
use crate::job::{InputOptions, Job, RESULT_COLUMNS, Row, Source, UnfinishedWriter, What};

/// Everything that the results are made of.
pub struct Material<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its input, to be read again.
    pub input: &'a Source,
    /// How its rows are to be understood.
    pub options: &'a InputOptions,
    /// What has become of its operations.
    pub outcomes: Outcomes<'a>,
}

/// What has become of a job's operations.
#[derive(Clone, Copy)]
pub enum Outcomes<'a> {
    /// What a run has done.
    Done {
        /// Where every operation stands.
        ledger: &'a Ledger,
        /// The journal, for the reasons.
        journal: &'a File,
    },
    /// Nothing was sent: what can be called is planned.
    Rehearsed {
        /// Where the mailboxes belong, as far as that is known without asking.
        places: &'a Places,
        /// Operations that would end without a call.
        settled: &'a HashMap<u32, Settled>,
    },
}

/// How an operation ends without a call, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// How.
    pub status: Status,
    /// Why.
    pub class: Option<ErrorClass>,
    /// Why, for people.
    pub error: Arc<str>,
}

/// The results, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// How many operations have each status.
    pub counts: BTreeMap<Status, u64>,
    /// How many operations that did not end well have each class.
    pub classes: BTreeMap<ErrorClass, u64>,
    /// The first ones that did not end well, but for those that were not attempted.
    pub first_failures: Vec<Failure>,
    /// How many there are of these.
    pub failures: u64,
    /// Whether a row is unfinished.
    pub has_unfinished: bool,
}

/// An operation that did not end well, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Its row in the input.
    pub row: u32,
    /// The mailbox, or the cell as it was.
    pub mailbox: String,
    /// The action, or the cell as it was.
    pub action: String,
    /// The channel, or the cell as it was.
    pub channel: String,
    /// How it ended.
    pub status: Status,
    /// Why.
    pub class: Option<ErrorClass>,
    /// In the server's words.
    pub error: String,
}

/// How many failures are kept for people.
const FIRST_FAILURES: usize = 10;

impl Material<'_> {
    fn standing(&self, op: u32) -> Standing {
        match self.outcomes {
            Outcomes::Done { ledger, .. } => ledger.standing(self.job, op),
            Outcomes::Rehearsed { settled, .. } => {
                let (status, class, reason) = match self.job.operations[op as usize].what {
                    What::Call(_) => match settled.get(&op) {
                        Some(end) => (end.status, end.class, Reason::Text(end.error.to_string())),
                        None => (Status::Planned, None, Reason::None),
                    },
                    What::Duplicate(_) => (Status::Duplicate, None, Reason::None),
                    What::Invalid => (Status::Invalid, Some(ErrorClass::InvalidRow), Reason::Row),
                };
                Standing {
                    status,
                    class,
                    http: None,
                    attempts: 0,
                    started: None,
                    duration_ms: None,
                    verified: None,
                    before: State::NEVER,
                    after: State::NEVER,
                    reason,
                }
            }
        }
    }

    /// What `unfinished.csv` must not list, for to run it again would undo something later.
    fn overtaken(&self) -> HashSet<u32> {
        self.ledger().map(|ledger| ledger.overtaken(self.job)).unwrap_or_default()
    }

    /// Where the run's operations stand; `None` if nothing was sent.
    pub fn ledger(&self) -> Option<&Ledger> {
        match self.outcomes {
            Outcomes::Done { ledger, .. } => Some(ledger),
            Outcomes::Rehearsed { .. } => None,
        }
    }

    fn places(&self) -> &Places {
        match self.outcomes {
            Outcomes::Done { ledger, .. } => ledger.places(),
            Outcomes::Rehearsed { places, .. } => places,
        }
    }

    fn reason(&self, reason: Reason, row: &Row<'_>) -> String {
        match reason {
            Reason::None => String::new(),
            Reason::Text(text) => text,
            Reason::Row => {
                let fault = row.interpret(self.options, &mut String::new()).err();
                fault.map(|fault| fault.to_string()).unwrap_or_default()
            }
            Reason::Journal(at) => match self.outcomes {
                Outcomes::Done { journal, .. } => reason_at(journal, at).unwrap_or_default(),
                Outcomes::Rehearsed { .. } => String::new(),
            },
        }
    }

    /// Calls `each` for every row that has operations, with the operations' numbers.
    fn each_row(
        &self,
        mut each: impl FnMut(&Row<'_>, std::ops::Range<u32>) -> io::Result<()>,
    ) -> io::Result<()> {
        let operations = &self.job.operations;
        let mut rows = self.job.layout.rows(self.input.open()?);
        let mut next = 0;
        while next < operations.len() {
            let Some(row) = rows.next().map_err(io::Error::other)? else {
                return Err(io::Error::other("the input has fewer rows than before"));
            };
            let start = next;
            while operations.get(next).is_some_and(|operation| operation.row == row.number()) {
                next += 1;
            }
            if next > start {
                #[allow(clippy::cast_possible_truncation)]
                each(&row, start as u32..next as u32)?;
            }
        }
        Ok(())
    }

    /// Writes `results.csv` and adds it up.
    ///
    /// # Errors
    /// If the input cannot be read again or the results cannot be written.
    pub fn write_results(&self, out: impl Write) -> io::Result<Tally> {
        let mut tally = Tally::default();
        let overtaken = self.overtaken();
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(
            RESULT_COLUMNS
                .iter()
                .copied()
                .map(str::as_bytes)
                .chain(self.job.layout.other_columns().iter().map(|name| name.as_bytes())),
        )?;
        let mut text = Scratch::default();
        self.each_row(|row, ops| {
            for op in ops {
                let operation = &self.job.operations[op as usize];
                let function = match operation.what {
                    What::Call(function) | What::Duplicate(function) => Some(function),
                    What::Invalid => None,
                };
                let (email, action, channel) = match function {
                    Some(function) => (
                        self.job.mailboxes.get(operation.mailbox),
                        function.action().word(),
                        function.channel().word(),
                    ),
                    None => (row.email_cell(), row.action_cell(), row.channel_cell()),
                };
                let standing = self.standing(op);
                let (status, class) = (standing.status, standing.class);
                tally.has_unfinished |= is_unfinished(status, class) && !overtaken.contains(&op);
                let place = self.places().of(operation.mailbox);
                let (server, account) =
                    place.map_or(("", ""), |place| (place.server.as_str(), place.account.as_str()));
                let (http, attempts) = (standing.http, standing.attempts);
                let (started, duration) = (standing.started, standing.duration_ms);
                let error = self.reason(standing.reason, row);

                text.field(&mut csv, Some(operation.row))?;
                csv.write_field(email)?;
                csv.write_field(action)?;
                csv.write_field(channel)?;
                csv.write_field(status.word())?;
                csv.write_field(match standing.verified {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "",
                })?;
                csv.write_field(class.map_or("", ErrorClass::word))?;
                csv.write_field(defused(&error).as_bytes())?;
                text.field(&mut csv, http)?;
                text.field(&mut csv, (attempts > 0).then_some(attempts))?;
                csv.write_field(server)?;
                csv.write_field(account)?;
                for state in [standing.before, standing.after] {
                    csv.write_field(function.map_or("", |function| state.of(function.channel())))?;
                }
                text.field(&mut csv, started)?;
                text.field(&mut csv, duration)?;
                for other in row.others() {
                    csv.write_field(other)?;
                }
                csv.write_record(None::<&[u8]>)?;
                tally.add(status, class, || Failure {
                    row: operation.row,
                    mailbox: email.to_owned(),
                    action: action.to_owned(),
                    channel: channel.to_owned(),
                    status,
                    class,
                    error,
                });
            }
            Ok(())
        })?;
        csv.flush()?;
        Ok(tally)
    }

    /// Writes `unfinished.csv`: the rows that still wait for something, narrowed to it.
    ///
    /// # Errors
    /// If the input cannot be read again or the file cannot be written.
    pub fn write_unfinished(&self, out: impl Write) -> io::Result<()> {
        let mut unfinished = UnfinishedWriter::new(&self.job.layout, out)?;
        let overtaken = self.overtaken();
        self.each_row(|row, ops| {
            let left: Vec<Function> = ops
                .filter(|op| {
                    if overtaken.contains(op) {
                        return false;
                    }
                    let standing = self.standing(*op);
                    is_unfinished(standing.status, standing.class)
                })
                .filter_map(|op| match self.job.operations[op as usize].what {
                    What::Call(function) => Some(function),
                    What::Duplicate(_) | What::Invalid => None,
                })
                .collect();
            if left.is_empty() { Ok(()) } else { unfinished.write(row, &left) }
        })?;
        unfinished.finish().map(|_| ())
    }
}

/// Room for writing numbers and times without an allocation each.
#[derive(Default)]
struct Scratch(String);

impl Scratch {
    fn field(
        &mut self,
        csv: &mut csv::Writer<impl Write>,
        value: Option<impl std::fmt::Display>,
    ) -> csv::Result<()> {
        use std::fmt::Write;
        self.0.clear();
        if let Some(value) = value {
            // Writing into a string cannot fail.
            let _ = write!(self.0, "{value}");
        }
        csv.write_field(&self.0)
    }
}

/// What `unfinished.csv` lists.
fn is_unfinished(status: Status, class: Option<ErrorClass>) -> bool {
    let routed_nowhere =
        matches!(class, Some(ErrorClass::NoServer | ErrorClass::AmbiguousServer | ErrorClass::Moved));
    match status {
        Status::Blocked => routed_nowhere,
        _ => status.is_unfinished() && class != Some(ErrorClass::Excluded),
    }
}

impl Tally {
    fn add(&mut self, status: Status, class: Option<ErrorClass>, failure: impl FnOnce() -> Failure) {
        *self.counts.entry(status).or_default() += 1;
        if status.is_good() {
            return;
        }
        if let Some(class) = class {
            *self.classes.entry(class).or_default() += 1;
        }
        // What a halt or a stop left is told as such, not one by one; what was taken back is no failure.
        if status == Status::NotAttempted || class == Some(ErrorClass::Undone) {
            return;
        }
        self.failures += 1;
        if self.first_failures.len() < FIRST_FAILURES {
            self.first_failures.push(failure());
        }
    }

    /// The sum of all counts.
    pub fn operations(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Text that came from a server, so that no spreadsheet takes it for a formula.
pub(super) fn defused(error: &str) -> std::borrow::Cow<'_, str> {
    if error.starts_with(['=', '+', '-', '@', '\t']) { format!("'{error}").into() } else { error.into() }
}

/// The reason that the journal's line at this byte gives.
pub(super) fn reason_at(file: &File, at: u64) -> Option<String> {
    let mut line = vec![0; 1024];
    let mut filled = 0;
    let end = loop {
        let count = file.read_at(&mut line[filled..], at + filled as u64).ok()?;
        filled += count;
        if let Some(end) = line[..filled].iter().position(|byte| *byte == b'\n') {
            break end;
        }
        if count == 0 {
            return None;
        }
        if filled == line.len() {
            line.resize(filled * 2, 0);
        }
    };
    let mut content = line.get(..end.checked_sub(HASH_TAIL)?)?.to_vec();
    content.push(b'}');
    match serde_json::from_slice(&content).ok()? {
        Entry::Try(attempt) => Some(attempt.error.into()),
        Entry::End(ended) => Some(ended.error.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_cannot_be_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"] {
            assert_eq!(defused(text), format!("'{text}"));
        }
        assert_eq!(defused("HTTP 500 = error"), "HTTP 500 = error");
    }
}
