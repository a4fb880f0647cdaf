//! `results.csv` and `unfinished.csv`: the ledger, told row by row.
//!
//! The input's other columns are not kept in memory: the input is read again beside the operations.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::entry::Stamp;
use super::figures::Figures;
use super::ledger::{Ledger, Reason, Standing};
use super::line::Line;
use super::places::Places;
use crate::domain::{Classes, ErrorClass, Function, Status};
use crate::job::{InputOptions, Job, RESULT_COLUMNS, Row, Source, UnfinishedWriter, What};

/// Everything that the results are made of.
pub struct Material<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its input, to be read again.
    pub input: &'a Source,
    /// How its rows are to be understood.
    pub options: &'a InputOptions,
    /// Error classes that count for nothing.
    pub tolerated: Classes,
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
    /// How many of the `ok` ones a reading afterwards has shown to hold.
    pub verified: u64,
    /// How many operations that did not end well have each class.
    pub classes: BTreeMap<ErrorClass, u64>,
    /// How many of these were not attempted.
    pub left_classes: BTreeMap<ErrorClass, u64>,
    /// How many of those that have each status count for nothing: left out on purpose, taken back, or
    /// tolerated.
    pub passed_over: BTreeMap<Status, u64>,
    /// The first ones that did not end well, but for those that were not attempted or count for
    /// nothing.
    pub first_failures: Vec<Failure>,
    /// How many there are of these.
    pub failures: u64,
    /// Whether a row is unfinished.
    pub has_unfinished: bool,
    /// The same in detail.
    pub figures: Figures,
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
    pub(super) fn standing(&self, op: u32) -> Standing {
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
                Standing::untried(status, class, reason)
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

    pub(super) fn places(&self) -> &Places {
        match self.outcomes {
            Outcomes::Done { ledger, .. } => ledger.places(),
            Outcomes::Rehearsed { places, .. } => places,
        }
    }

    /// Tells every line, in input order, and adds them up.
    ///
    /// # Errors
    /// If the input cannot be read again, or what `each` refuses.
    pub fn tell(&self, mut each: impl FnMut(&Line<'_>) -> io::Result<()>) -> io::Result<Tally> {
        let (overtaken, passed_over) = (self.overtaken(), passed_over(self.tolerated));
        let starts = self.ledger().map(Ledger::starts).unwrap_or_default();
        // Where nothing was sent, nothing has become of any mailbox.
        let mailboxes = if self.ledger().is_some() { self.job.mailboxes.len() } else { 0 };
        let figures = Figures::new(mailboxes, starts);
        let mut tally = Tally { figures, ..Tally::default() };
        self.each_line(|line| {
            each(&line)?;
            tally.has_unfinished |=
                is_unfinished(line.status, line.class, passed_over) && !overtaken.contains(&line.op);
            tally.add(&line, passed_over.has(line.class));
            Ok(())
        })?;
        tally.figures.place(self.places());
        Ok(tally)
    }

    /// Writes `results.csv` and adds it up.
    ///
    /// # Errors
    /// If the input cannot be read again or the results cannot be written.
    pub fn write_results(&self, out: impl Write) -> io::Result<Tally> {
        let mut csv = csv::Writer::from_writer(out);
        let own = RESULT_COLUMNS.iter().copied();
        csv.write_record(own.chain(self.other_columns()).map(str::as_bytes))?;
        let mut text = Scratch::default();
        let tally = self.tell(|line| {
            text.number(&mut csv, Some(line.row))?;
            csv.write_field(line.email)?;
            csv.write_field(line.action)?;
            csv.write_field(line.channel)?;
            csv.write_field(line.status.word())?;
            csv.write_field(line.verified)?;
            csv.write_field(line.class.map_or("", ErrorClass::word))?;
            csv.write_field(defused(&line.error).as_bytes())?;
            text.number(&mut csv, line.http)?;
            text.number(&mut csv, (line.attempts > 0).then_some(line.attempts))?;
            csv.write_field(line.server)?;
            csv.write_field(line.account)?;
            csv.write_field(line.state_before)?;
            csv.write_field(line.state_after)?;
            text.time(&mut csv, line.started)?;
            text.number(&mut csv, line.duration_ms)?;
            for other in line.others() {
                csv.write_field(other)?;
            }
            Ok(csv.write_record(None::<&[u8]>)?)
        })?;
        csv.flush()?;
        Ok(tally)
    }

    /// The names of the input's other columns, as the results have them.
    pub fn other_columns(&self) -> impl Iterator<Item = &str> {
        self.job.layout.other_columns().iter().map(|name| &**name)
    }

    /// Writes `unfinished.csv`: the rows that still wait for something, narrowed to it.
    ///
    /// # Errors
    /// If the input cannot be read again or the file cannot be written.
    pub fn write_unfinished(&self, out: impl Write) -> io::Result<()> {
        let (overtaken, passed_over) = (self.overtaken(), passed_over(self.tolerated));
        write_unfinished(self.job, self.input, out, |op| {
            if overtaken.contains(&op) {
                return false;
            }
            let standing = self.standing(op);
            is_unfinished(standing.status, standing.class, passed_over)
        })
    }
}

/// Calls `each` for every row that has operations, with the operations' numbers.
pub(super) fn each_row(
    job: &Job,
    input: &Source,
    mut each: impl FnMut(&Row<'_>, std::ops::Range<u32>) -> io::Result<()>,
) -> io::Result<()> {
    let operations = &job.operations;
    let mut rows = job.layout.rows(input.open()?);
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

/// Writes the rows that have an operation that `is_left`, narrowed to these.
pub(super) fn write_unfinished(
    job: &Job,
    input: &Source,
    out: impl Write,
    is_left: impl Fn(u32) -> bool,
) -> io::Result<()> {
    let mut unfinished = UnfinishedWriter::new(&job.layout, out)?;
    each_row(job, input, |row, ops| {
        let left: Vec<Function> = ops
            .filter(|op| is_left(*op))
            .filter_map(|op| match job.operations[op as usize].what {
                What::Call(function) => Some(function),
                What::Duplicate(_) | What::Invalid => None,
            })
            .collect();
        if left.is_empty() { Ok(()) } else { unfinished.write(row, &left) }
    })?;
    unfinished.finish().map(|_| ())
}

/// The classes that are no failure: what was left out on purpose or taken back, and what is tolerated.
pub(super) fn passed_over(tolerated: Classes) -> Classes {
    tolerated.with(ErrorClass::Excluded).with(ErrorClass::Undone)
}

/// What `unfinished.csv` lists.
pub(super) fn is_unfinished(status: Status, class: Option<ErrorClass>, passed_over: Classes) -> bool {
    let routed_nowhere =
        matches!(class, Some(ErrorClass::NoServer | ErrorClass::AmbiguousServer | ErrorClass::Moved));
    let waits = if status == Status::Blocked { routed_nowhere } else { status.is_unfinished() };
    waits && !passed_over.has(class)
}

/// Writes numbers and times without an allocation each.
#[derive(Default)]
struct Scratch {
    digits: itoa::Buffer,
    text: String,
}

impl Scratch {
    fn number(
        &mut self,
        csv: &mut csv::Writer<impl Write>,
        value: Option<impl itoa::Integer>,
    ) -> csv::Result<()> {
        csv.write_field(value.map_or("", |value| self.digits.format(value)))
    }

    fn time(&mut self, csv: &mut csv::Writer<impl Write>, at: Option<Stamp>) -> csv::Result<()> {
        use std::fmt::Write;
        self.text.clear();
        if let Some(at) = at {
            // Writing into a string cannot fail.
            let _ = write!(self.text, "{at}");
        }
        csv.write_field(&self.text)
    }
}

impl Tally {
    /// Counts one line.
    fn add(&mut self, line: &Line<'_>, is_passed_over: bool) {
        self.figures.add(line);
        self.verified += u64::from(line.status == Status::Ok && line.verified == "yes");
        self.count(line.status, line.class, is_passed_over, || Failure {
            row: line.row,
            mailbox: line.email.to_owned(),
            action: line.action.to_owned(),
            channel: line.channel.to_owned(),
            status: line.status,
            class: line.class,
            error: line.error.clone(),
        });
    }

    /// Counts one operation.
    pub(super) fn count(
        &mut self,
        status: Status,
        class: Option<ErrorClass>,
        is_passed_over: bool,
        failure: impl FnOnce() -> Failure,
    ) {
        *self.counts.entry(status).or_default() += 1;
        if status.is_good() {
            return;
        }
        if let Some(class) = class {
            *self.classes.entry(class).or_default() += 1;
            if status == Status::NotAttempted {
                *self.left_classes.entry(class).or_default() += 1;
            }
        }
        if is_passed_over {
            *self.passed_over.entry(status).or_default() += 1;
        }
        // What a halt or a stop left is told as such, not one by one.
        if is_passed_over || status == Status::NotAttempted {
            return;
        }
        self.failures += 1;
        if self.first_failures.len() < FIRST_FAILURES {
            self.first_failures.push(failure());
        }
    }

    /// Whether everything is as it was wanted, but for what counts for nothing.
    pub fn is_well(&self) -> bool {
        let of = |status| self.passed_over.get(status).copied().unwrap_or(0);
        self.counts.iter().all(|(status, count)| status.is_good() || *count == of(status))
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
