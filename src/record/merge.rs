//! The shards of a job joined into one: their results, line by line.
//!
//! Each shard's `results.csv` has the same operations in the same order, since all of them come from
//! one input. Of each operation the line of the shard that took it is taken as it is; what a shard
//! left to another one is passed over. What no shard took is told as such: that happens if a server
//! was silent for the one shard and not for the other, so that each thought it the other's.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use csv::ByteRecord;

use super::channels::ChannelTimes;
use super::closing::Hashed;
use super::entry::Stamp;
use super::ledger::overtaken;
use super::results::{Failure, Tally, is_unfinished, passed_over, write_unfinished};
use super::rundir::{DirError, RESULTS, RunDir, UNFINISHED};
use super::summary::{ServerFigures, SessionsEndedFigures, Summary};
use crate::domain::{Classes, ErrorClass, Exit, Status};
use crate::job::{Job, RESULT_COLUMNS, Source, What};

/// How the reason begins why a shard left an operation out: the rest says to which it left it.
pub const LEFT_TO_SHARD: &str = "left to shard ";

/// One shard, with what was found in its directory.
pub struct Part {
    /// Where it is kept.
    pub dir: RunDir,
    /// What its last session wrote.
    pub summary: Summary,
    /// What the results must hash to; `None` of a dry run.
    pub results: Option<String>,
}

/// All shards of a job.
pub struct Merge<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its input, to be read again.
    pub input: &'a Source,
    /// Error classes that count for nothing.
    pub tolerated: Classes,
    /// The shards.
    pub parts: &'a [Part],
    /// Each server, and the shard that has it by its place among the parts.
    pub servers: &'a [(String, usize)],
}

/// What came of joining them.
pub struct Merged {
    /// The results, added up.
    pub tally: Tally,
    /// The figures of the whole.
    pub summary: Summary,
    /// How many operations no shard took.
    pub unclaimed: u64,
    /// How many were called by more than one.
    pub called_twice: u64,
}

/// What is known of the results while they are joined.
struct Joined {
    tally: Tally,
    ends: Vec<(Status, Option<ErrorClass>)>,
    times: ChannelTimes,
    unclaimed: u64,
    called_twice: u64,
}

impl Merge<'_> {
    /// Writes the results, what is unfinished, and the summary into a directory of their own.
    ///
    /// # Errors
    /// If a shard's results are not those that its journal speaks of, or something cannot be read or
    /// written.
    pub fn write(&self, dir: &RunDir) -> Result<Merged, DirError> {
        let path = dir.file(RESULTS);
        let mut fault = None;
        let joined = dir.disk.write_whole(&path, |out| {
            self.join(out, &path).map_err(|why| {
                let told = io::Error::other(why.to_string());
                fault = Some(why);
                told
            })
        });
        let mut joined = joined.map_err(|told| fault.unwrap_or_else(|| DirError::io(&path)(told)))?;
        let is_well =
            |op: u32| matches!(joined.ends.get(op as usize), Some((Status::Ok | Status::Unchanged, _)));
        let (overtaken, passed_over) = (overtaken(self.job, is_well), passed_over(self.tolerated));
        let is_left = |op: u32| {
            let (status, class) = joined.ends[op as usize];
            is_unfinished(status, class, passed_over) && !overtaken.contains(&op)
        };
        let has_call = |op: u32| matches!(self.job.operations[op as usize].what, What::Call(_));
        let count = u32::try_from(joined.ends.len()).unwrap_or(u32::MAX);
        joined.tally.has_unfinished = (0..count).any(|op| has_call(op) && is_left(op));
        if joined.tally.has_unfinished {
            let path = dir.file(UNFINISHED);
            dir.disk
                .write_whole(&path, |out| write_unfinished(self.job, self.input, out, is_left))
                .map_err(DirError::io(&path))?;
        }
        let Joined { tally, times, unclaimed, called_twice, .. } = joined;
        let summary = self.summary(dir, &tally, times);
        dir.write_summary(&summary)?;
        Ok(Merged { tally, summary, unclaimed, called_twice })
    }

    /// When the first of them began.
    fn start(&self) -> Stamp {
        let starts =
            self.parts.iter().filter_map(|part| Stamp::try_from(part.summary.started_at.clone()).ok());
        starts.min().unwrap_or_default()
    }

    fn join(&self, out: impl io::Write, path: &Path) -> Result<Joined, DirError> {
        let expected: Vec<&str> = RESULT_COLUMNS
            .iter()
            .copied()
            .chain(self.job.layout.other_columns().iter().map(String::as_str))
            .collect();
        let mut readers = Vec::new();
        for part in self.parts {
            readers.push(PartReader::open(part, &expected)?);
        }
        let numbers: HashMap<&[u8], usize> =
            self.servers.iter().zip(0..).map(|((name, _), number)| (name.as_bytes(), number)).collect();
        let mut joined = Joined {
            tally: Tally::default(),
            ends: Vec::with_capacity(self.job.operations.len()),
            times: ChannelTimes::new(self.start(), self.servers.len()),
            unclaimed: 0,
            called_twice: 0,
        };
        let passed_over = passed_over(self.tolerated);
        let mut csv = csv::Writer::from_writer(out);
        let unwritable = |fault: csv::Error| DirError::io(path)(fault.into());
        csv.write_record(&expected).map_err(unwritable)?;
        for operation in &self.job.operations {
            for reader in &mut readers {
                reader.next(operation.row)?;
            }
            let mut line = pick(&readers, &mut joined);
            if line.is_left_to_another() {
                joined.unclaimed += 1;
                line = line.unclaimed();
            }
            csv.write_byte_record(&line.record).map_err(unwritable)?;
            let (status, class) = line.ended;
            joined.ends.push((status, class));
            let is_verified = status == Status::Ok && &line.record[VERIFIED] == b"yes";
            joined.tally.verified += u64::from(is_verified);
            joined.tally.count(status, class, passed_over.has(class), || line.failure(operation.row));
            if let (What::Call(function), Some(end)) = (operation.what, line.ended_well_at()) {
                joined.times.note(function, end, numbers.get(&line.record[SERVER]).copied());
            }
        }
        csv.flush().map_err(|fault| unwritable(fault.into()))?;
        for reader in readers {
            reader.end()?;
        }
        Ok(joined)
    }

    fn sessions_ended(&self) -> Option<SessionsEndedFigures> {
        let parts = self.parts.iter().filter_map(|part| part.summary.sessions_ended.as_ref());
        parts.cloned().reduce(|mut all, part| {
            all.accounts += part.accounts;
            all.failed.extend(part.failed);
            all
        })
    }

    fn summary(&self, dir: &RunDir, tally: &Tally, times: ChannelTimes) -> Summary {
        let (channels, of_servers) = times.figures();
        let figures = |name: &str| {
            let all = self.parts.iter().flat_map(|part| &part.summary.servers);
            all.filter(|server| server.name == name).map(|server| server.requests).sum()
        };
        let halted = |name: &str, home: usize| {
            let mut servers = self.parts.get(home)?.summary.servers.iter();
            servers.find(|server| server.name == name)?.halted.clone()
        };
        let of_results = if tally.is_well() { Exit::Ok } else { Exit::Incomplete };
        let exits = self.parts.iter().map(|part| Exit::of_code(part.summary.exit_code));
        let is_whole = tally.operations() == self.job.operations.len() as u64;
        let exit = if is_whole { exits.fold(of_results, Exit::worse) } else { Exit::Internal };
        let ended = self.parts.iter().map(|part| &part.summary.ended_at).max().cloned().unwrap_or_default();
        Summary {
            run_id: dir.run_id(),
            exit_code: exit.code(),
            started_at: self.start().to_string(),
            ended_at: ended,
            operations: tally.operations(),
            counts: tally.counts.clone(),
            verified: tally.verified,
            error_classes: tally.classes.clone(),
            channels,
            sessions_ended: self.sessions_ended(),
            undone: self.parts.iter().flat_map(|part| part.summary.undone.clone()).collect(),
            servers: self
                .servers
                .iter()
                .zip(of_servers)
                .map(|((name, home), channels)| ServerFigures {
                    name: name.clone(),
                    requests: figures(name),
                    halted: halted(name, *home),
                    channels,
                    round_trips: None,
                })
                .collect(),
            sessions: self.parts.iter().flat_map(|part| part.summary.sessions.clone()).collect(),
            chain: None,
        }
    }
}

/// Places of the columns that are looked at.
const STATUS: usize = 4;
const VERIFIED: usize = 5;
const CLASS: usize = 6;
const ERROR: usize = 7;
const ATTEMPTS: usize = 9;
const SERVER: usize = 10;
const STARTED: usize = 14;
const DURATION: usize = 15;

/// The results of one shard, line by line.
struct PartReader<'a> {
    part: &'a Part,
    csv: csv::Reader<Hashed<File>>,
    line: Line,
}

/// One line, read as far as it is looked at.
#[derive(Clone)]
struct Line {
    record: ByteRecord,
    ended: (Status, Option<ErrorClass>),
}

impl<'a> PartReader<'a> {
    fn open(part: &'a Part, expected: &[&str]) -> Result<PartReader<'a>, DirError> {
        let path = part.dir.results();
        let file = File::open(&path).map_err(DirError::io(&path))?;
        let mut csv = csv::ReaderBuilder::new().flexible(false).from_reader(Hashed::new(file));
        let headers = csv.byte_headers().map_err(|fault| DirError::io(&path)(fault.into()))?;
        if !headers.iter().eq(expected.iter().map(|name| name.as_bytes())) {
            return Err(altered(part));
        }
        let line = Line { record: ByteRecord::new(), ended: (Status::NotAttempted, None) };
        Ok(PartReader { part, csv, line })
    }

    /// The next line, which must be one of this row.
    fn next(&mut self, row: u32) -> Result<(), DirError> {
        let path = self.part.dir.results();
        let is_there = self.csv.read_byte_record(&mut self.line.record);
        let is_there = is_there.map_err(|fault| DirError::io(&path)(fault.into()))?;
        let text = |at: usize| self.line.record.get(at).and_then(|cell| std::str::from_utf8(cell).ok());
        let status = text(STATUS).and_then(|word| word.parse().ok());
        let class = match text(CLASS) {
            Some("") => Some(None),
            word => word.and_then(|word| word.parse().ok()).map(Some),
        };
        match (is_there, text(0).and_then(|cell| cell.parse::<u32>().ok()), status, class) {
            (true, Some(found), Some(status), Some(class)) if found == row => {
                self.line.ended = (status, class);
                Ok(())
            }
            _ => Err(altered(self.part)),
        }
    }

    /// Nothing may be left, and all that was read must be what was written.
    fn end(mut self) -> Result<(), DirError> {
        let mut more = ByteRecord::new();
        let is_over = matches!(self.csv.read_byte_record(&mut more), Ok(false));
        let hash = self.csv.into_inner().hash();
        let is_the_same = self.part.results.as_ref().is_none_or(|results| *results == hash);
        if is_over && is_the_same { Ok(()) } else { Err(altered(self.part)) }
    }
}

fn altered(part: &Part) -> DirError {
    let shown = part.dir.path().display();
    DirError::NotARun(format!("{shown}/{RESULTS} is not what its run has written: resume it to have it anew"))
}

/// The line of the shard that took the operation. If more than one did, the one that called, and of
/// these the one that ended worst.
fn pick(readers: &[PartReader<'_>], joined: &mut Joined) -> Line {
    let called = readers.iter().filter(|reader| reader.line.was_called()).count();
    joined.called_twice += u64::from(called > 1);
    let worth = |line: &Line| {
        let is_bad = !line.ended.0.is_good();
        (!line.is_left_to_another(), line.was_called(), is_bad)
    };
    // Of equals the first: what all shards say alike.
    let best = readers.iter().rev().max_by_key(|reader| worth(&reader.line));
    best.map_or_else(
        || Line { record: ByteRecord::new(), ended: (Status::NotAttempted, None) },
        |reader| reader.line.clone(),
    )
}

impl Line {
    fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(self.record.get(at).unwrap_or_default()).into_owned()
    }

    fn was_called(&self) -> bool {
        self.record.get(ATTEMPTS).is_some_and(|attempts| !attempts.is_empty())
    }

    fn is_left_to_another(&self) -> bool {
        let is_excluded = self.ended == (Status::NotAttempted, Some(ErrorClass::Excluded));
        is_excluded && self.record.get(ERROR).is_some_and(|error| error.starts_with(LEFT_TO_SHARD.as_bytes()))
    }

    /// The same operation, which nobody took.
    fn unclaimed(&self) -> Line {
        let ended = (Status::NotAttempted, Some(ErrorClass::Unrouted));
        let error = "no shard took it: each left it to another, since not every server answered each of them";
        let class = ErrorClass::Unrouted.word();
        let cells = self.record.iter().enumerate().map(|(at, cell)| match at {
            CLASS => class.as_bytes(),
            ERROR => error.as_bytes(),
            _ => cell,
        });
        Line { record: cells.collect(), ended }
    }

    /// When its answer came, if it ended well by a call.
    fn ended_well_at(&self) -> Option<Stamp> {
        let is_well = matches!(self.ended.0, Status::Ok | Status::Unchanged) && self.was_called();
        let started = Stamp::try_from(self.text(STARTED)).ok().filter(|_| is_well)?;
        let duration: i64 = self.text(DURATION).parse().ok()?;
        Some(Stamp(started.0.saturating_add(duration)))
    }

    fn failure(&self, row: u32) -> Failure {
        let (status, class) = self.ended;
        Failure {
            row,
            mailbox: self.text(1),
            action: self.text(2),
            channel: self.text(3),
            status,
            class,
            error: self.text(ERROR),
        }
    }
}
