//! The whole input read and checked, once, before anything is done with it.
//!
//! Faults, duplicates and conflicts are found while the rows go by, with one byte kept per mailbox:
//! two bits for each of its four flags say whether an operation has set it, and to what. The row
//! that a duplicate or conflict refers to is looked up afterwards, for the few that are shown.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::fault::{Fault, FaultKind, InputError, MAX_SHOWN, shown, spoken};
use super::layout::Layout;
use super::mailboxes::{Full, Interner, MailboxId, Mailboxes, expect_rows, push};
use super::options::InputOptions;
use super::rows::Row;
use super::scan::ReadError;
use super::source::Source;
use crate::domain::{Flag, Function};

/// A checked input: what is to be done to which mailboxes, in input order.
#[derive(Clone, Debug)]
pub struct Job {
    /// Every mailbox that an operation names.
    pub mailboxes: Mailboxes,
    /// The operations, in input order.
    pub operations: Vec<Operation>,
    /// How to read the same rows again.
    pub layout: Layout,
    /// How many data rows there are.
    pub rows: u32,
    /// Where rows say that they go; the first one is for all that say nothing.
    pub destinations: Vec<Destination>,
    /// SHA-256 of the input as it was, byte for byte, in hexadecimal.
    pub sha256: String,
    /// What the operator should know, one paragraph each.
    pub warnings: Vec<String>,
}

/// One operation. Kept small, since there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The data row that asks for it, from 1.
    pub row: u32,
    /// Whom it concerns; [`MailboxId::NONE`] if the row is invalid.
    pub mailbox: MailboxId,
    /// What it asks for.
    pub what: What,
}

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// This function.
    Call(Function),
    /// The same as an earlier operation, with no opposite one between: nothing is to be done.
    Duplicate(Function),
    /// The row is not to be understood. [`Row::interpret`] says why.
    Invalid,
}

/// Where a row says that it goes: its cells `server` and `account`, where there is a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The server, by its place among the configured names.
    pub server: Option<u32>,
    /// The account; empty if the row names none.
    pub account: String,
}

/// How many duplicates or invalid rows a warning names.
const NAMED: usize = 5;

/// Reads and checks an input.
///
/// # Errors
/// It cannot be read, or has faults that the options do not allow, or no data row.
///
/// ```
/// use mailsweep::job::{self, InputOptions, Source};
/// let source = Source::bytes("email,action,channel\nAnna@Example.com,suspend,login+outgoing\n");
/// let job = job::read(&source, &InputOptions::default())?;
/// assert_eq!(job.operations.len(), 2);
/// assert_eq!(job.mailboxes.get(job.operations[1].mailbox), "anna@example.com");
/// # Ok::<(), job::InputError>(())
/// ```
pub fn read(source: &Source, options: &InputOptions) -> Result<Job, InputError> {
    read_within(
        source,
        options,
        Limits { operations: u32::MAX as usize - 1, address_bytes: u32::MAX as usize },
    )
}

/// What a job can hold.
pub(super) struct Limits {
    pub(super) operations: usize,
    pub(super) address_bytes: usize,
}

pub(super) fn read_within(
    source: &Source,
    options: &InputOptions,
    limits: Limits,
) -> Result<Job, InputError> {
    let name = source.name();
    let failed = |error| InputError::stopped(name, ReadError::Io(error));
    let detected = Layout::detect(source, options)?;
    let mut input = Hashing { input: source.open().map_err(failed)?, hash: Sha256::new() };
    let layout = detected.unwrap_or_else(Layout::empty);
    let mut check = Check::new(options, limits);
    check.expect(source.len());
    let mut rows = layout.rows(&mut input);
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                check.row(&row).map_err(|Full| InputError::TooLarge { name: name.to_owned() })?;
            }
            Ok(None) => break,
            Err(ReadError::Broken { line, what }) => {
                check.fault(Fault { row: None, line, what: FaultKind::Broken(what) });
                check.stopped = true;
                break;
            }
            Err(error) => return Err(InputError::stopped(name, error)),
        }
    }
    if !check.stopped {
        // The decoder may leave a tail that is no text; the hash is of every byte.
        io::copy(&mut input, &mut io::sink()).map_err(failed)?;
    }
    check.finish(source, layout, hex(&input.hash.finalize()))
}

struct Check<'a> {
    options: &'a InputOptions,
    limits: Limits,
    interner: Interner,
    destinations: Vec<Destination>,
    known_destinations: HashMap<Destination, u32>,
    flags: Vec<u8>,
    operations: Vec<Operation>,
    rows: u32,
    faults: Vec<Fault>,
    total_faults: u64,
    stopped: bool,
    invalid: Noted<Fault>,
    duplicates: Noted<Clash>,
    conflicts: Noted<Clash>,
}

/// The first of something, and how many there are.
struct Noted<T> {
    first: Vec<T>,
    total: u64,
    keep: usize,
}

impl<T> Noted<T> {
    fn new(keep: usize) -> Noted<T> {
        Noted { first: Vec::new(), total: 0, keep }
    }

    fn add(&mut self, item: impl FnOnce() -> T) {
        self.total += 1;
        if self.first.len() < self.keep {
            self.first.push(item());
        }
    }
}

/// An operation, by its place in the list, that repeats or contradicts an earlier one.
struct Clash {
    operation: usize,
    line: u64,
}

impl<'a> Check<'a> {
    fn new(options: &'a InputOptions, limits: Limits) -> Check<'a> {
        Check {
            options,
            interner: Interner::new(limits.address_bytes),
            destinations: vec![Destination::default()],
            known_destinations: HashMap::new(),
            limits,
            flags: Vec::new(),
            operations: Vec::new(),
            rows: 0,
            faults: Vec::new(),
            total_faults: 0,
            stopped: false,
            invalid: Noted::new(NAMED),
            duplicates: Noted::new(NAMED),
            conflicts: Noted::new(MAX_SHOWN),
        }
    }

    fn expect(&mut self, input_bytes: u64) {
        self.interner.expect(input_bytes);
        expect_rows(&mut self.flags, input_bytes);
        expect_rows(&mut self.operations, input_bytes);
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), Full> {
        self.rows = row.number();
        let destination = self.destination(row);
        let interner = &mut self.interner;
        match row.interpret_with(self.options, |cell| interner.intern(cell, destination)) {
            Ok((mailbox, functions)) => {
                let mailbox = mailbox?;
                for &function in &*functions {
                    self.operation(row, mailbox, function)?;
                }
                Ok(())
            }
            Err(fault) => {
                let fault =
                    || Fault { row: Some(row.number()), line: row.line(), what: FaultKind::Row(fault) };
                if !self.options.skip_invalid {
                    self.fault(fault());
                    return Ok(());
                }
                self.invalid.add(fault);
                self.push(Operation { row: row.number(), mailbox: MailboxId::NONE, what: What::Invalid })
            }
        }
    }

    /// The number of the destination that the row names.
    fn destination(&mut self, row: &Row<'_>) -> u32 {
        let (server, account) = (row.server_cell(), row.account_cell());
        if server.is_empty() && account.is_empty() {
            return 0;
        }
        let mut names = self.options.servers.iter().flatten();
        // One that is not configured is the row's fault and goes nowhere.
        let server = names.position(|name| name.eq_ignore_ascii_case(server));
        let server = server.and_then(|place| u32::try_from(place).ok());
        let destination = Destination { server, account: account.to_owned() };
        if let Some(known) = self.known_destinations.get(&destination) {
            return *known;
        }
        let Ok(number) = u32::try_from(self.destinations.len()) else { return 0 };
        self.destinations.push(destination.clone());
        self.known_destinations.insert(destination, number);
        number
    }

    fn operation(&mut self, row: &Row<'_>, mailbox: MailboxId, function: Function) -> Result<(), Full> {
        if mailbox.index() == self.flags.len() {
            push(&mut self.flags, 0);
        }
        let clash = || Clash { operation: self.operations.len(), line: row.line() };
        let mut what = What::Call(function);
        if let Some(flags) = self.flags.get_mut(mailbox.index()) {
            let target = function.target();
            let shift = 2 * target.flag as u8;
            let (set, wanted) = (*flags >> shift & 0b11, if target.on { 0b10 } else { 0b01 });
            if set == wanted {
                what = What::Duplicate(function);
                self.duplicates.add(clash);
            } else if set != 0 && !self.options.allow_conflicts {
                self.conflicts.add(clash);
            }
            *flags = *flags & !(0b11 << shift) | wanted << shift;
        }
        self.push(Operation { row: row.number(), mailbox, what })
    }

    fn push(&mut self, operation: Operation) -> Result<(), Full> {
        if self.operations.len() >= self.limits.operations {
            return Err(Full);
        }
        push(&mut self.operations, operation);
        Ok(())
    }

    fn fault(&mut self, fault: Fault) {
        self.total_faults += 1;
        // The one that ends the reading is shown whatever came before it.
        if self.faults.len() < MAX_SHOWN {
            self.faults.push(fault);
        } else if let (FaultKind::Broken(_), Some(last)) = (&fault.what, self.faults.last_mut()) {
            *last = fault;
        }
    }

    fn finish(mut self, source: &Source, layout: Layout, sha256: String) -> Result<Job, InputError> {
        let lines = self.lines(source, &layout).map_err(|error| InputError::stopped(source.name(), error))?;
        let conflicts: Vec<Fault> =
            self.conflicts.first.iter().filter_map(|clash| self.conflict(clash, &lines)).collect();
        self.total_faults += self.conflicts.total;
        if self.total_faults > 0 {
            let mut faults = self.faults;
            faults.extend(conflicts);
            faults.sort_by_key(|fault| fault.line);
            clip_faults(&mut faults);
            return Err(InputError::refused_among(source.name(), faults, self.total_faults, self.stopped));
        }
        if self.rows == 0 && !self.options.allow_empty {
            return Err(InputError::Empty { name: source.name().to_owned() });
        }
        let warnings = self.warnings(&lines);
        Ok(Job {
            mailboxes: self.interner.finish(),
            operations: self.operations,
            layout,
            rows: self.rows,
            destinations: self.destinations,
            sha256,
            warnings,
        })
    }

    /// The earlier operation that a clash refers to, the last one on the same flag that counts.
    fn earlier(&self, clash: &Clash) -> Option<(Operation, Function, Operation, Function)> {
        let (before, rest) = self.operations.split_at_checked(clash.operation)?;
        let later = *rest.first()?;
        let function = later.function()?;
        let flag: Flag = function.target().flag;
        let earlier = before.iter().rev().find(|operation| {
            operation.mailbox == later.mailbox
                && matches!(operation.what, What::Call(function) if function.target().flag == flag)
        })?;
        Some((*earlier, earlier.function()?, later, function))
    }

    /// The lines of the earlier rows that will be named, found by reading the input again.
    fn lines(&self, source: &Source, layout: &Layout) -> Result<BTreeMap<u32, u64>, ReadError> {
        let clashes = self.conflicts.first.iter().chain(&self.duplicates.first);
        let mut lines: BTreeMap<u32, u64> =
            clashes.filter_map(|clash| self.earlier(clash)).map(|(earlier, ..)| (earlier.row, 0)).collect();
        let Some(last) = lines.keys().next_back().copied() else { return Ok(lines) };
        let mut rows = layout.rows(source.open()?);
        while let Some(row) = rows.next()? {
            if let Some(line) = lines.get_mut(&row.number()) {
                *line = row.line();
            }
            if row.number() >= last {
                break;
            }
        }
        Ok(lines)
    }

    fn conflict(&self, clash: &Clash, lines: &BTreeMap<u32, u64>) -> Option<Fault> {
        let (before, earlier, later, function) = self.earlier(clash)?;
        let mailbox = shown(self.interner.mailboxes().get(later.mailbox));
        let line = lines.get(&before.row).copied().unwrap_or(0);
        let what = FaultKind::Conflict { mailbox, function, earlier, row: before.row, line };
        Some(Fault { row: Some(later.row), line: clash.line, what })
    }

    fn warnings(&self, lines: &BTreeMap<u32, u64>) -> Vec<String> {
        let duplicates = self.duplicates.first.iter().filter_map(|clash| {
            let (earlier, _, later, function) = self.earlier(clash)?;
            let mailbox = shown(self.interner.mailboxes().get(later.mailbox));
            let line = lines.get(&earlier.row).copied().unwrap_or(0);
            Some(format!(
                "row {}, line {} ({} of {mailbox}, as in row {}, line {line})",
                later.row,
                clash.line,
                spoken(function),
                earlier.row
            ))
        });
        let duplicates = warning(
            self.duplicates.total,
            (
                "operation repeats an earlier one and is not called",
                "operations repeat earlier ones and are not called",
            ),
            duplicates.collect(),
        );
        let invalid = warning(
            self.invalid.total,
            ("row is invalid and left out", "rows are invalid and left out"),
            self.invalid.first.iter().map(ToString::to_string).collect(),
        );
        invalid.into_iter().chain(duplicates).collect()
    }
}

impl Operation {
    /// The function that it names; `None` if its row is invalid.
    pub const fn function(&self) -> Option<Function> {
        match self.what {
            What::Call(function) | What::Duplicate(function) => Some(function),
            What::Invalid => None,
        }
    }
}

/// Keeps the first faults, and the one that ended the reading, which is the last.
fn clip_faults(faults: &mut Vec<Fault>) {
    if faults.len() > MAX_SHOWN {
        let last = faults.pop().filter(|fault| matches!(fault.what, FaultKind::Broken(_)));
        faults.truncate(MAX_SHOWN - usize::from(last.is_some()));
        faults.extend(last);
    }
}

fn warning(total: u64, (one, many): (&str, &str), named: Vec<String>) -> Option<String> {
    let more = total.saturating_sub(named.len() as u64);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    let what = if total == 1 { one } else { many };
    (total > 0).then(|| format!("{total} {what}: {}{rest}", named.join("; ")))
}

/// Takes the hash of what is read through it.
pub(super) struct Hashing<R> {
    pub(super) input: R,
    pub(super) hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "read_properties.rs"]
mod properties;
