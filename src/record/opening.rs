//! Taking a run up again: its journal is read from the beginning, and added up.

use std::io;

use super::entry::{Entry, Session};
use super::facts::RunFacts;
use super::journal::{self, Chain, Journal, ReadError, Torn};
use super::ledger::Ledger;
use super::rundir::{DirError, INPUT, JOURNAL, RUN_JSON, RunDir, SUMMARY};
use super::summary::{SessionFigures, Summary};
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

impl RunDir {
    /// Begins the journal, locked for this process.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn start_journal(&self, facts: &RunFacts) -> Result<Journal, DirError> {
        let path = self.file(JOURNAL);
        let seed = self.seed(facts)?;
        Journal::create(&self.disk, &path, seed).map_err(DirError::io(&path))
    }

    fn seed(&self, facts: &RunFacts) -> Result<Chain, DirError> {
        let path = self.file(RUN_JSON);
        let text = std::fs::read(&path).map_err(DirError::io(&path))?;
        Ok(Chain::seed(&text, &facts.input.sha256))
    }

    /// The chain hash of the last session that wrote a summary.
    fn vouched_for(&self) -> Option<String> {
        let summary: Summary = serde_json::from_slice(&std::fs::read(self.summary()).ok()?).ok()?;
        summary.sessions.last()?.chain.clone()
    }

    /// Whether the last session has ended in good order, as far as the journal's last line tells.
    pub fn looks_closed(&self) -> bool {
        std::fs::File::open(self.file(JOURNAL))
            .is_ok_and(|file| journal::looks_closed(&file).unwrap_or(false))
    }

    /// Reads the journal of a run, locked for this process.
    ///
    /// # Errors
    /// If it is in use, was damaged or altered, or does not belong to the job.
    pub fn open_journal(&self, facts: &RunFacts, job: &Job) -> Result<Opened, DirError> {
        let path = self.file(JOURNAL);
        let shown = self.path.display().to_string();
        if job.sha256 != facts.input.sha256 {
            return Err(DirError::NotARun(format!("{shown}/{INPUT} was altered since the run began")));
        }
        let log = match self.disk.open_log(&path) {
            Ok(log) => log,
            // Killed before it began: then it begins now.
            Err(fault)
                if fault.kind() == io::ErrorKind::NotFound
                    && !self.results().exists()
                    && self.vouched_for().is_none() =>
            {
                let journal = self.start_journal(facts)?;
                let ledger = Ledger::new(job);
                return Ok(Opened { journal, ledger, sessions: Vec::new(), torn: None, closed: false });
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                return Err(DirError::NotARun(format!(
                    "{shown} has results and no {JOURNAL}: it is not whole"
                )));
            }
            Err(fault) => return Err(DirError::io(&path)(fault)),
        };
        match journal::lock(log.file()) {
            Ok(()) => {}
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Err(DirError::InUse(shown)),
            Err(fault) => return Err(DirError::io(&path)(fault)),
        }
        let mut ledger = Ledger::new(job);
        let mut sessions = Sessions::default();
        let read = journal::read(log.file(), self.seed(facts)?, |entry, at, chain| {
            check(&entry, job)?;
            sessions.note(&entry, chain);
            ledger.apply(&entry, at);
            Ok(())
        });
        let (tail, torn) = read.map_err(|fault| match fault {
            ReadError::Io(fault) => DirError::io(&path)(fault),
            damage => DirError::NotARun(format!("{shown}: {damage}")),
        })?;
        if let Some(chain) = self.vouched_for()
            && !sessions.list.iter().any(|session| session.chain.as_deref() == Some(&chain))
        {
            return Err(DirError::NotARun(format!(
                "{shown}: the journal no longer has the end that {SUMMARY} speaks of ({chain}): it was cut or replaced"
            )));
        }
        let journal = Journal::go_on(log, tail).map_err(DirError::io(&path))?;
        Ok(Opened { journal, ledger, closed: sessions.closed, sessions: sessions.list, torn })
    }
}

/// The sessions that a journal tells of.
#[derive(Default)]
struct Sessions {
    list: Vec<SessionFigures>,
    closed: bool,
}

impl Sessions {
    fn note(&mut self, entry: &Entry, chain: Chain) {
        match entry {
            Entry::Session(session) => {
                self.closed = false;
                self.list.push(SessionFigures::begun(session));
            }
            Entry::Close { at, code, .. } => {
                self.closed = true;
                if let Some(last) = self.list.last_mut() {
                    last.ended_at = Some(at.to_string());
                    last.exit_code = Some(*code);
                    last.chain = Some(chain.to_string());
                }
            }
            _ => {}
        }
    }
}

impl SessionFigures {
    /// A session that has just begun.
    pub fn begun(session: &Session) -> SessionFigures {
        SessionFigures {
            operator: session.operator.clone(),
            host: session.host.clone(),
            started_at: session.at.to_string(),
            ended_at: None,
            exit_code: None,
            chain: None,
        }
    }
}

/// An entry must speak of operations and mailboxes that the job has.
fn check(entry: &Entry, job: &Job) -> Result<(), String> {
    if let Entry::Route { mailboxes, .. } = entry {
        let odd =
            mailboxes.iter().find(|(first, last)| first > last || *last as usize >= job.mailboxes.len());
        return odd.map_or(Ok(()), |(first, last)| {
            Err(format!("it names mailboxes {first} to {last} of {}", job.mailboxes.len()))
        });
    }
    let named: &[u32] = match entry {
        Entry::Begin { ops, .. } => ops,
        Entry::Try(attempt) => std::slice::from_ref(&attempt.op),
        Entry::End(ended) => std::slice::from_ref(&ended.op),
        _ => &[],
    };
    match named.iter().find(|op| **op as usize >= job.operations.len()) {
        Some(op) => Err(format!("it names operation {op} of {}", job.operations.len())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
