//! A run's journal in its directory: begun, held for one process, and what vouches for its end.

use std::fs::File;
use std::io;

use super::facts::RunFacts;
use super::journal::{self, Chain, Journal};
use super::rundir::{DirError, JOURNAL, RUN_JSON, RunDir, SUMMARY};
use super::summary::Summary;

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

    /// The chain hash of the last session that wrote a summary; none if none did.
    ///
    /// # Errors
    /// If there is a summary, and it does not tell: then it could hide that the journal was cut.
    pub(super) fn vouched_for(&self) -> Result<Option<String>, DirError> {
        let text = match std::fs::read(self.summary()) {
            Ok(text) => text,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => {
                let shown = self.path.display();
                return Err(DirError::NotARun(format!("{shown}/{SUMMARY} cannot be read: {fault}")));
            }
        };
        let summary = serde_json::from_slice::<Summary>(&text).ok();
        let chain = summary.and_then(|summary| summary.sessions.last()?.chain.clone());
        chain.map(Some).ok_or_else(|| {
            let shown = self.path.display();
            DirError::NotARun(format!(
                "{shown}/{SUMMARY} was altered: see what «mailsweep audit {shown}» says of the journal, and move \
                 {SUMMARY} away if that is whole"
            ))
        })
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
            io::ErrorKind::WouldBlock => DirError::InUse(self.path.display().to_string()),
            _ => DirError::io(&self.file(JOURNAL))(fault),
        })
    }

    /// Whether the last session has ended in good order, as far as the journal's last line tells.
    pub fn looks_closed(&self) -> bool {
        File::open(self.file(JOURNAL)).is_ok_and(|file| journal::looks_closed(&file).unwrap_or(false))
    }
}
