//! Reading a run: what its journal says, for who goes on with it and for who only looks.
//!
//! Both read alike, so that what `status` tells is what `resume` will find. Who goes on with a run
//! has it locked and cuts off what a kill has left half written. Who looks changes nothing and locks
//! nothing, whatever the run is doing meanwhile: it may be growing, ending, or be taken up again.

use std::fs::File;
use std::io;

use super::entry::{Entry, Session};
use super::facts::RunFacts;
use super::journal::{self, Chain, Journal, ReadError, Tail, Torn};
use super::ledger::Ledger;
use super::rundir::{DirError, INPUT, JOURNAL, RunDir, SUMMARY};
use super::summary::SessionFigures;
use crate::job::Job;

/// A run that was opened to be gone on with.
pub struct Opened {
    /// Where it left off.
    pub journal: Journal,
    /// Where every operation stands.
    pub ledger: Ledger,
    /// The sessions so far.
    pub sessions: Vec<SessionFigures>,
    /// What was cut off the end of the journal, if a session was killed while writing.
    pub torn: Option<Torn>,
    /// Whether the last session wrote its results.
    pub closed: bool,
}

/// A run that was looked at, be it running, stopped, killed or finished.
pub struct Seen {
    /// What its journal says.
    pub record: Record,
    /// Whether a process works on it.
    pub is_in_use: bool,
    /// The journal, for the reasons; an empty file if it has not begun.
    pub journal: File,
    dir: RunDir,
}

/// A journal, added up as far as it has been read.
pub struct Record {
    /// Where every operation stands.
    pub ledger: Ledger,
    /// The sessions so far; none if the run was killed, or looked at, before it began.
    pub sessions: Vec<SessionFigures>,
    /// How the last of them began: its process, its servers, its limits.
    pub last_session: Option<Session>,
    /// Whether it wrote its results.
    pub closed: bool,
    /// What stands behind the last sound line. Of a run in use it is what is just being written,
    /// else what a kill has left half written.
    pub torn: Option<Torn>,
    tail: Tail,
    worked: Chain,
    /// What the summary vouches for and has not been met yet.
    awaited: Option<Chain>,
}

impl RunDir {
    /// Reads the journal of a run, locked for this process.
    ///
    /// # Errors
    /// If it is in use, was damaged or altered, or does not belong to the job.
    pub fn open_journal(&self, facts: &RunFacts, job: &Job) -> Result<Opened, DirError> {
        self.check_input(facts, job)?;
        let path = self.file(JOURNAL);
        let log = match self.disk.open_log(&path) {
            Ok(log) => log,
            // Killed before it began: then it begins now.
            Err(fault) if self.has_not_begun(&fault)? => {
                let journal = self.start_journal(facts)?;
                let ledger = Ledger::new(job);
                return Ok(Opened { journal, ledger, sessions: Vec::new(), torn: None, closed: false });
            }
            Err(fault) => return Err(DirError::io(&path)(fault)),
        };
        self.lock(log.file())?;
        let vouched_for = self.vouched_for()?;
        let mut record = Record::new(job, self.seed(facts)?, vouched_for);
        record.read(self, log.file(), job, |_| {})?;
        record.has_the_end(self)?;
        let Record { ledger, sessions, closed, torn, tail, .. } = record;
        let journal = Journal::go_on(log, tail).map_err(DirError::io(&path))?;
        Ok(Opened { journal, ledger, sessions, torn, closed })
    }

    /// Reads the journal of a run without locking it or changing a byte.
    ///
    /// # Errors
    /// If it cannot be read, was damaged or altered, or does not belong to the job.
    pub fn look(&self, facts: &RunFacts, job: &Job) -> Result<Seen, DirError> {
        self.look_through(facts, job, |_| {})
    }

    /// The same, and shows each entry to `each`.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn look_through(
        &self,
        facts: &RunFacts,
        job: &Job,
        each: impl FnMut(&Entry),
    ) -> Result<Seen, DirError> {
        self.check_input(facts, job)?;
        // What the summary vouches for was in the journal before it, so it is read before it.
        let vouched_for = self.vouched_for()?;
        let path = self.file(JOURNAL);
        let journal = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if self.has_not_begun(&fault)? => {
                File::open("/dev/null").map_err(DirError::io(&path))?
            }
            Err(fault) => return Err(DirError::io(&path)(fault)),
        };
        let is_in_use = journal::is_locked(&journal).map_err(DirError::io(&path))?;
        let record = Record::new(job, self.seed(facts)?, vouched_for);
        let mut seen = Seen { record, is_in_use, journal, dir: self.clone() };
        seen.read(job, each)?;
        seen.record.has_the_end(self)?;
        Ok(seen)
    }

    fn check_input(&self, facts: &RunFacts, job: &Job) -> Result<(), DirError> {
        if job.sha256 == facts.input.sha256 {
            return Ok(());
        }
        let shown = self.path().display();
        Err(DirError::NotARun(format!("{shown}/{INPUT} was altered since the run began")))
    }

    /// Whether there is no journal because the run was killed before its first line: then there is
    /// nothing either that only follows from one.
    fn has_not_begun(&self, fault: &io::Error) -> Result<bool, DirError> {
        if fault.kind() != io::ErrorKind::NotFound {
            return Ok(false);
        }
        if !self.results().exists() && self.vouched_for()?.is_none() {
            return Ok(true);
        }
        let shown = self.path().display();
        Err(DirError::NotARun(format!("{shown} has results and no {JOURNAL}: it is not whole")))
    }
}

impl Seen {
    /// Reads what has been written since, and shows each entry to `each`.
    ///
    /// # Errors
    /// As [`RunDir::look`].
    pub fn catch_up(
        &mut self,
        facts: &RunFacts,
        job: &Job,
        each: impl FnMut(&Entry),
    ) -> Result<(), DirError> {
        if self.record.sessions.is_empty() {
            // Perhaps there was not even a file.
            *self = self.dir.look_through(facts, job, each)?;
            return Ok(());
        }
        let path = self.dir.file(JOURNAL);
        self.is_in_use = journal::is_locked(&self.journal).map_err(DirError::io(&path))?;
        self.read(job, each)
    }

    fn read(&mut self, job: &Job, each: impl FnMut(&Entry)) -> Result<(), DirError> {
        self.record.read(&self.dir, &self.journal, job, each)?;
        if !self.is_in_use && !self.record.closed {
            // Nobody was at work before the reading, but somebody may have begun meanwhile.
            let path = self.dir.file(JOURNAL);
            self.is_in_use = journal::is_locked(&self.journal).map_err(DirError::io(&path))?;
        }
        Ok(())
    }
}

impl Record {
    fn new(job: &Job, seed: Chain, awaited: Option<Chain>) -> Record {
        Record {
            ledger: Ledger::new(job),
            sessions: Vec::new(),
            last_session: None,
            closed: false,
            torn: None,
            tail: Tail::start(seed),
            worked: seed,
            awaited,
        }
    }

    /// The hash of all that was read.
    pub fn chain(&self) -> Chain {
        self.tail.chain
    }

    /// The hash of all that was done, without the end record of the last session and what stands
    /// behind it.
    pub fn chain_of_work(&self) -> Chain {
        self.worked
    }

    /// Reads on to the journal's end. What looks damaged is looked at twice: who takes a run up cuts
    /// off its torn end and writes in its place, and this may have read half of the one and half of
    /// the other.
    fn read(
        &mut self,
        dir: &RunDir,
        file: &File,
        job: &Job,
        mut each: impl FnMut(&Entry),
    ) -> Result<(), DirError> {
        let mut tail = self.tail;
        let mut read = || {
            journal::read(file, &mut tail, |entry, at, chain| {
                check(&entry, job)?;
                self.note(&entry, chain);
                self.ledger.apply(&entry, at);
                each(&entry);
                Ok(())
            })
        };
        let found = match read() {
            Err(ReadError::Damaged { .. }) => read(),
            found => found,
        };
        self.torn = found.map_err(|fault| match fault {
            ReadError::Io(fault) => DirError::io(&dir.file(JOURNAL))(fault),
            damage => DirError::NotARun(format!("{}: {damage}", dir.path().display())),
        })?;
        self.tail = tail;
        Ok(())
    }

    /// Notes what an entry says of the sessions.
    fn note(&mut self, entry: &Entry, chain: Chain) {
        note(&mut self.sessions, entry, chain);
        self.awaited.take_if(|awaited| *awaited == chain);
        match entry {
            Entry::Session(session) => {
                self.closed = false;
                self.last_session = Some(session.clone());
            }
            Entry::Close { .. } => self.closed = true,
            _ => {}
        }
        if !self.closed {
            self.worked = chain;
        }
    }

    /// Whether the end that the summary speaks of is still there.
    fn has_the_end(&self, dir: &RunDir) -> Result<(), DirError> {
        let Some(chain) = self.awaited else { return Ok(()) };
        let shown = dir.path().display();
        Err(DirError::NotARun(format!(
            "{shown}: the journal no longer has the end that {SUMMARY} speaks of ({chain}): it was cut or replaced"
        )))
    }
}

/// Adds what an entry says of the sessions to the list of them.
pub(super) fn note(sessions: &mut Vec<SessionFigures>, entry: &Entry, chain: Chain) {
    match entry {
        Entry::Session(session) => sessions.push(SessionFigures::begun(session)),
        Entry::Close { at, code, .. } => {
            if let Some(last) = sessions.last_mut() {
                last.ended_at = Some(at.to_string());
                last.exit_code = Some(*code);
                last.chain = Some(chain.to_string());
            }
        }
        _ => {}
    }
}

impl SessionFigures {
    /// A session that has just begun.
    pub fn begun(session: &Session) -> SessionFigures {
        SessionFigures {
            operator: session.operator.clone(),
            unix_user: session.unix_user.clone(),
            ticket: session.ticket.clone(),
            host: session.host.clone(),
            started_at: session.at.to_string(),
            ended_at: None,
            exit_code: None,
            chain: None,
        }
    }
}

/// An entry must speak of operations and mailboxes that the job has.
pub(super) fn check(entry: &Entry, job: &Job) -> Result<(), String> {
    let (operations, mailboxes) = (job.operations.len(), job.mailboxes.len());
    match entry {
        Entry::Route { mailboxes: rows, .. } => check_rows(rows, mailboxes, "mailboxes"),
        Entry::State(read) => {
            read.states.values().try_for_each(|rows| check_rows(rows, mailboxes, "mailboxes"))?;
            [&read.holds, &read.lacks]
                .into_iter()
                .try_for_each(|rows| check_rows(rows, operations, "operations"))
        }
        Entry::Unchanged { ops, .. } | Entry::Undone { ops, .. } => check_rows(ops, operations, "operations"),
        Entry::Settled { holds, lacks, unclear, .. } => [holds, lacks, unclear]
            .into_iter()
            .try_for_each(|rows| check_rows(rows, operations, "operations")),
        Entry::Begin { ops, .. } => check_ops(ops, operations),
        Entry::Try(attempt) => check_ops(&[attempt.op], operations),
        Entry::End(ended) => check_ops(&[ended.op], operations),
        _ => Ok(()),
    }
}

fn check_rows(rows: &[(u32, u32)], count: usize, what: &str) -> Result<(), String> {
    let odd = rows.iter().find(|(first, last)| first > last || *last as usize >= count);
    odd.map_or(Ok(()), |(first, last)| Err(format!("it names {what} {first} to {last} of {count}")))
}

fn check_ops(ops: &[u32], count: usize) -> Result<(), String> {
    let odd = ops.iter().find(|op| **op as usize >= count);
    odd.map_or(Ok(()), |op| Err(format!("it names operation {op} of {count}")))
}

#[cfg(test)]
mod property_tests;

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, begin, close, session, write};
    use super::*;
    use crate::domain::Exit;
    use crate::job::{InputOptions, Source, read};

    const ROWS: &str = "email,action,channel\na@example.com,suspend,login\nb@example.com,suspend,login\n";

    impl Run {
        fn new() -> Run {
            Run::of(ROWS)
        }

        fn look(&self) -> Seen {
            self.dir.look(&self.facts, &self.job).unwrap()
        }
    }

    #[test]
    fn a_run_is_seen_at_every_stage_of_its_life_and_never_touched() {
        let run = Run::new();
        let seen = run.look();
        assert!(seen.record.sessions.is_empty() && !seen.is_in_use && !seen.record.closed);

        let mut journal = run.dir.start_journal(&run.facts).unwrap();
        write(&mut journal, &[session(7), begin(0)]);
        let before = run.bytes();
        let running = run.look();
        assert!(running.is_in_use && !running.record.closed);
        assert_eq!(running.record.last_session.as_ref().map(|session| session.pid), Some(7));
        assert!(
            running.record.ledger.may_have_had_effect(0) && !running.record.ledger.may_have_had_effect(1)
        );
        assert_eq!(running.record.chain(), journal.chain());

        let killed = {
            drop(journal);
            run.look()
        };
        assert!(!killed.is_in_use && !killed.record.closed);
        assert_eq!(run.bytes(), before);

        let opened = run.dir.open_journal(&run.facts, &run.job).unwrap();
        let mut journal = opened.journal;
        write(&mut journal, &[session(8), close(130)]);
        let ending = run.look();
        assert!(ending.is_in_use && ending.record.closed);
        drop(journal);
        let ended = run.look();
        assert!(!ended.is_in_use && ended.record.closed);
        let codes: Vec<_> = ended.record.sessions.iter().map(|session| session.exit_code).collect();
        assert_eq!(codes, [None, Some(130)]);
    }

    #[test]
    fn a_torn_end_is_told_and_left_where_it_is_and_then_read_on_from() {
        let run = Run::new();
        let mut journal = run.dir.start_journal(&run.facts).unwrap();
        write(&mut journal, &[session(7), begin(0)]);
        drop(journal);
        let path = run.dir.file(JOURNAL);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"t\":\"be");
        std::fs::write(&path, &bytes).unwrap();
        let before = run.bytes();
        let mut seen = run.look();
        assert_eq!(seen.record.torn, Some(Torn { lines: 1, bytes: 8 }));
        assert_eq!(run.bytes(), before);

        // Whoever takes it up cuts the end off and writes in its place.
        let mut journal = run.dir.open_journal(&run.facts, &run.job).unwrap().journal;
        write(&mut journal, &[session(8), begin(1)]);
        let mut shown = Vec::new();
        seen.catch_up(&run.facts, &run.job, |entry| shown.push(entry.clone())).unwrap();
        assert_eq!(shown, [session(8), begin(1)], "what was read before is not shown again");
        assert!(seen.is_in_use && seen.record.torn.is_none());
        assert_eq!(seen.record.sessions.len(), 2);
        assert!(seen.record.ledger.may_have_had_effect(1));
    }

    #[test]
    fn a_run_that_was_looked_at_before_its_first_line_is_seen_when_it_has_begun() {
        let run = Run::new();
        let mut seen = run.look();
        let mut journal = run.dir.start_journal(&run.facts).unwrap();
        write(&mut journal, &[session(7)]);
        seen.catch_up(&run.facts, &run.job, |_| {}).unwrap();
        assert!(seen.is_in_use);
        assert_eq!(seen.record.sessions.len(), 1);
    }

    #[test]
    fn who_looks_is_refused_what_who_goes_on_is_refused() {
        let run = Run::new();
        let mut journal = run.dir.start_journal(&run.facts).unwrap();
        write(&mut journal, &[session(7), begin(0)]);
        write(&mut journal, &[begin(9)]);
        drop(journal);
        let path = run.dir.file(JOURNAL);
        let misfit = std::fs::read(&path).unwrap();
        let first = misfit.iter().position(|byte| *byte == b'\n').unwrap();
        let mut altered = misfit.clone();
        altered[first + 20] ^= 1;
        for bytes in [misfit, altered] {
            std::fs::write(&path, bytes).unwrap();
            let looked = run.dir.look(&run.facts, &run.job).map(|_| ()).unwrap_err();
            let opened = run.dir.open_journal(&run.facts, &run.job).map(|_| ()).unwrap_err();
            assert_eq!(looked.to_string(), opened.to_string());
            assert_eq!(looked.exit(), Exit::NotARun);
        }
        let other = read(
            &Source::bytes("a@example.com,suspend,login\n"),
            &InputOptions { no_header: true, ..InputOptions::default() },
        );
        let refused = run.dir.look(&run.facts, &other.unwrap()).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("input.csv was altered"), "{refused}");
    }
}
