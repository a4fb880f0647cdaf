//! A run's journal in its directory: begun, held for one process, and what vouches for its end.

use std::fs::File;
use std::io;

use super::facts::RunFacts;
use super::journal::{self, Chain, Journal};
use super::rundir::{DirError, JOURNAL, RUN_JSON, RunDir, SUMMARY};
use super::summary::Summary;
use crate::domain::quote;

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

    /// Where the chain of its journal begins.
    pub(super) fn seed(&self, facts: &RunFacts) -> Result<Chain, DirError> {
        let path = self.file(RUN_JSON);
        let text = std::fs::read(&path).map_err(DirError::io(&path))?;
        Ok(Chain::seed(&text, &facts.input.sha256))
    }

    /// The summary, if a session has written one.
    ///
    /// # Errors
    /// If there is one that cannot be read: it could hide that the journal was cut.
    pub(super) fn remembered(&self) -> Result<Option<Summary>, DirError> {
        let shown = self.path.display();
        match std::fs::read(self.summary()) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| self.summary_altered()),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(DirError::NotARun(format!("{shown}/{SUMMARY} cannot be read: {fault}"))),
        }
    }

    /// The chain hash for which the summary vouches; none if there is no summary.
    ///
    /// # Errors
    /// If there is a summary, and it does not tell.
    pub(super) fn vouched_for(&self) -> Result<Option<Chain>, DirError> {
        let Some(summary) = self.remembered()? else { return Ok(None) };
        let chain = summary.vouched_for().and_then(Chain::read);
        chain.map(Some).ok_or_else(|| self.summary_altered())
    }

    fn summary_altered(&self) -> DirError {
        let shown = self.path.display();
        DirError::NotARun(format!(
            "{shown}/{SUMMARY} was altered: see what «mailsweep audit {shown}» says of the journal, and move \
             {SUMMARY} away if that is whole"
        ))
    }

    /// Keeps other processes from working on a run, for as long as what is returned lives.
    ///
    /// # Errors
    /// If one does already, or there is no journal.
    pub(super) fn hold(&self) -> Result<File, DirError> {
        let path = self.file(JOURNAL);
        let file = File::open(&path).map_err(DirError::io(&path))?;
        self.lock(&file)?;
        Ok(file)
    }

    /// Locks the run's journal for this process.
    ///
    /// # Errors
    /// If another one has it.
    pub(super) fn lock(&self, journal: &File) -> Result<(), DirError> {
        journal::lock(journal).map_err(|fault| match fault.kind() {
            io::ErrorKind::WouldBlock => DirError::InUse(quote(self.path.as_os_str()).into_owned()),
            _ => DirError::io(&self.file(JOURNAL))(fault),
        })
    }

    /// What the last session that ended in good order has written; `None` if none did.
    pub fn last_summary(&self) -> Option<Summary> {
        serde_json::from_slice(&std::fs::read(self.summary()).ok()?).ok()
    }

    /// Whether a process works on it.
    pub fn is_in_use(&self) -> bool {
        File::open(self.journal()).is_ok_and(|file| journal::is_locked(&file).unwrap_or(false))
    }

    /// Whether the last session has ended in good order, as far as the journal's last line tells.
    pub fn looks_closed(&self) -> bool {
        File::open(self.file(JOURNAL)).is_ok_and(|file| journal::looks_closed(&file).unwrap_or(false))
    }
}
