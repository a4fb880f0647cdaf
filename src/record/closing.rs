//! The end of a session in good order: the results, then the report, then the journal's last line
//! with their hashes, synced, then the summary.

use std::io::{self, Read, Write};

use super::entry::{Entry, Stamp};
use super::facts::RunFacts;
use super::journal::Journal;
use super::ledger::Ledger;
use super::report::Report;
use super::results::{Material, Tally};
use super::rundir::{DirError, JOURNAL, REPORT, RESULTS, RunDir, SUMMARY, UNFINISHED};
use super::summary::{ServerFigures, SessionFigures, SessionsEndedFigures, SessionsNotEnded, Summary};
use crate::domain::Exit;

/// What makes a page of a run.
pub type Teller = dyn Fn(&Report<'_>, &mut dyn Write) -> io::Result<()>;

impl RunDir {
    /// The results of a run in which nothing is sent.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_rehearsal(&self, material: &Material<'_>) -> Result<Tally, DirError> {
        self.write_results(material).map(|(tally, ..)| tally)
    }

    /// Writes the results and returns them added up, with the hash of each file.
    fn write_results(&self, material: &Material<'_>) -> Result<(Tally, String, Option<String>), DirError> {
        let path = self.file(RESULTS);
        let (tally, results) = self
            .disk
            .write_whole(&path, |out| hashed(out, |out| material.write_results(out)))
            .map_err(DirError::io(&path))?;
        let path = self.file(UNFINISHED);
        let unfinished = if tally.has_unfinished {
            let written =
                self.disk.write_whole(&path, |out| hashed(out, |out| material.write_unfinished(out)));
            Some(written.map_err(DirError::io(&path))?.1)
        } else {
            self.disk.remove(&path).map_err(DirError::io(&path))?;
            None
        };
        Ok((tally, results, unfinished))
    }

    /// Ends a session: the results, the report, then the record's last line with their hashes,
    /// synced, then the summary. `decide` says what the exit code is, once the results are known.
    ///
    /// # Errors
    /// If one of them cannot be written.
    pub fn close(
        &self,
        facts: &RunFacts,
        material: &Material<'_>,
        journal: &mut Journal,
        mut sessions: Vec<SessionFigures>,
        decide: impl FnOnce(&Tally) -> Exit,
        teller: &Teller,
    ) -> Result<(Summary, Tally), DirError> {
        let (tally, results, unfinished) = self.write_results(material)?;
        let exit = if tally.operations() == material.job.operations.len() as u64 {
            decide(&tally)
        } else {
            Exit::Internal
        };
        let at = Stamp::now();
        if let Some(session) = sessions.last_mut() {
            session.ended_at = Some(at.to_string());
            session.exit_code = Some(exit.code());
        }
        let mut summary = self.summarise(material, &tally, sessions, exit, at);
        let chain = journal.chain().to_string();
        let report =
            Some(self.write_report(&material.report(facts, &summary, &tally, Some(&chain)), teller)?);
        let path = self.file(JOURNAL);
        let synced = journal.offset();
        journal.append(&Entry::Close { at, code: exit.code(), results, unfinished, report }, synced);
        journal.flush_to_disk().map_err(DirError::io(&path))?;
        summary.chain = Some(journal.chain().to_string());
        if let Some(session) = summary.sessions.last_mut() {
            session.chain.clone_from(&summary.chain);
        }
        self.write_summary(&summary)?;
        Ok((summary, tally))
    }

    /// Writes `report.html` and returns its hash.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_report(&self, report: &Report<'_>, teller: &Teller) -> Result<String, DirError> {
        let path = self.file(REPORT);
        let written = self.disk.write_whole(&path, |out| hashed(out, |out| teller(report, out)));
        Ok(written.map_err(DirError::io(&path))?.1)
    }

    /// Puts the figures together.
    pub fn summarise(
        &self,
        material: &Material<'_>,
        tally: &Tally,
        sessions: Vec<SessionFigures>,
        exit: Exit,
        ended: Stamp,
    ) -> Summary {
        let servers = material.ledger().map(Ledger::servers).unwrap_or_default();
        let started_at = sessions.first().map_or_else(|| ended.to_string(), |first| first.started_at.clone());
        let start = Stamp::try_from(started_at.clone()).unwrap_or(ended);
        let (channels, of_servers) = material.channels(start);
        Summary {
            run_id: self.run_id(),
            exit_code: exit.code(),
            started_at,
            ended_at: ended.to_string(),
            operations: tally.operations(),
            counts: tally.counts.clone(),
            verified: tally.verified,
            error_classes: tally.classes.clone(),
            channels,
            sessions_ended: material.ledger().and_then(sessions_ended),
            undone: material.ledger().map(Ledger::undone).unwrap_or_default(),
            servers: servers
                .iter()
                .zip(of_servers)
                .map(|(server, channels)| ServerFigures {
                    name: server.name.clone(),
                    requests: server.requests,
                    halted: server.halted.as_ref().map(|(class, reason)| format!("{class}: {reason}")),
                    channels,
                    round_trips: server.round_trips.figures(),
                })
                .collect(),
            chain: sessions.last().and_then(|session| session.chain.clone()),
            sessions,
        }
    }

    /// Notes something in the journal that belongs to no session, and has the summary vouch for it,
    /// if there is one: what is noted behind the last end could else be cut off unseen.
    ///
    /// # Errors
    /// If one of them cannot be written.
    pub fn note(&self, journal: &mut Journal, ledger: &mut Ledger, entry: &Entry) -> Result<(), DirError> {
        let synced = journal.synced();
        let at = journal.append(entry, synced);
        ledger.apply(entry, at);
        journal.flush_to_disk().map_err(DirError::io(&self.file(JOURNAL)))?;
        let Some(summary) = self.remembered()? else { return Ok(()) };
        let chain = Some(journal.chain().to_string());
        self.write_summary(&Summary { chain, undone: ledger.undone(), ..summary })
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), DirError> {
        let path = self.file(SUMMARY);
        self.disk.write_whole(&path, |out| out.write_all(&summary.text()?)).map_err(DirError::io(&path))
    }
}

/// What came of ending sessions, if that was begun anywhere.
fn sessions_ended(ledger: &Ledger) -> Option<SessionsEndedFigures> {
    let known = ledger.sessions_ended();
    let failed = known.iter().filter_map(|((server, account), fault)| {
        let (class, words) = fault.as_ref()?;
        let error = if words.is_empty() { class.to_string() } else { format!("{class}: {words}") };
        Some(SessionsNotEnded { server: server.clone(), account: account.clone(), error })
    });
    let failed: Vec<_> = failed.collect();
    let accounts = (known.len() - failed.len()) as u64;
    (!known.is_empty()).then_some(SessionsEndedFigures { accounts, failed })
}

impl Summary {
    /// The summary as it stands in its file.
    ///
    /// # Errors
    /// None that is known.
    pub(super) fn text(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Hashes what is read through it, as [`hashed`] does what is written.
pub(super) struct Hashed<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R> Hashed<R> {
    pub fn new(from: R) -> Hashed<R> {
        Hashed { from, hasher: blake3::Hasher::new() }
    }

    /// The hash of all that was read so far.
    pub fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Runs a writer and hashes what goes through it.
pub(super) fn hashed<W: Write, T>(
    out: &mut W,
    fill: impl FnOnce(&mut Hashing<'_, W>) -> io::Result<T>,
) -> io::Result<(T, String)> {
    let mut hashing = Hashing { out, hasher: blake3::Hasher::new() };
    let value = fill(&mut hashing)?;
    Ok((value, hashing.hasher.finalize().to_hex().to_string()))
}

pub(super) struct Hashing<'a, W> {
    out: &'a mut W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
