//! What takes the engine's entries: writes them into the journal, adds them up in the ledger, and
//! has them synced in groups.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::disk::{DiskFile, remedy};
use super::entry::Entry;
use super::journal::Journal;
use super::ledger::Ledger;

/// Where the engine leaves what happened. An entry counts once it is written.
pub trait Recorder {
    /// Hands entries over, in order; returns how many have been handed over in all. With `to_disk`
    /// they count as written only when they are on the disk.
    fn submit(&mut self, batch: Vec<Entry>, to_disk: bool) -> u64;

    /// Waits until more than `seen` of them are written and returns how many. Waits for ever if no
    /// more are to come; may be dropped at any time.
    fn written(&mut self, seen: u64) -> impl Future<Output = Result<u64, WriteFault>>;
}

/// The record cannot be written any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the journal cannot be written: {}{}", .0, remedy(.0))]
pub struct WriteFault(Arc<io::Error>);

impl From<io::Error> for WriteFault {
    fn from(fault: io::Error) -> WriteFault {
        WriteFault(Arc::new(fault))
    }
}

/// What was written is on the disk after so much time, plus what the disk itself takes. Syncing by
/// the number of entries as well would keep the disk busy all the time at high rates: that was a
/// third of all the work of a fast run.
const GROUP_TIME: Duration = Duration::from_millis(50);

/// The journal and the ledger at work.
///
/// Writing is a copy into the system's page cache and is done at once, so that an outcome is safe
/// from a kill in the turn in which it came; handing it to a thread and waiting for the answer cost
/// more than the writing. Only the sync waits for the disk, and has a thread for that.
pub struct JournalRecorder {
    journal: Journal,
    ledger: Ledger,
    syncer: Syncer,
    written: u64,
    fault: Option<WriteFault>,
}

impl JournalRecorder {
    /// Starts to record.
    ///
    /// # Errors
    /// If the system gives no thread or file handle.
    pub fn start(journal: Journal, ledger: Ledger) -> io::Result<JournalRecorder> {
        let syncer = Syncer::start(journal.log()?, journal.synced())?;
        Ok(JournalRecorder { journal, ledger, syncer, written: 0, fault: None })
    }

    /// Syncs what is left and gives journal and ledger back.
    ///
    /// # Errors
    /// The fault that stopped the writing, if one did; the ledger then has what was written.
    pub fn finish(mut self) -> (Journal, Ledger, Result<(), WriteFault>) {
        let synced = self.syncer.finish(self.journal.offset());
        (self.journal, self.ledger, self.fault.map_or(synced, Err))
    }

    fn write(&mut self, batch: Vec<Entry>, to_disk: bool) -> Result<(), WriteFault> {
        self.syncer.check()?;
        let synced = self.syncer.synced().max(self.journal.synced());
        let lines: Vec<u64> = batch.iter().map(|entry| self.journal.append(entry, synced)).collect();
        if to_disk {
            self.journal.flush_to_disk()?;
        } else {
            self.journal.flush()?;
        }
        for (entry, at) in batch.iter().zip(lines) {
            self.ledger.apply(entry, at);
        }
        self.written += batch.len() as u64;
        self.syncer.written(self.journal.offset());
        Ok(())
    }
}

impl Recorder for JournalRecorder {
    fn submit(&mut self, batch: Vec<Entry>, to_disk: bool) -> u64 {
        let submitted = self.written + batch.len() as u64;
        if self.fault.is_none() {
            self.fault = self.write(batch, to_disk).err();
        }
        submitted
    }

    async fn written(&mut self, seen: u64) -> Result<u64, WriteFault> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if self.written > seen => Ok(self.written),
            None => std::future::pending().await,
        }
    }
}

/// Syncs what was written, at most once in [`GROUP_TIME`].
struct Syncer {
    written: Arc<AtomicU64>,
    synced: Arc<AtomicU64>,
    /// Dropped when there is nothing more to come.
    wake: Option<Sender<()>>,
    faults: Receiver<io::Error>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(log: DiskFile, synced_before: u64) -> io::Result<Syncer> {
        let (wake, inbox) = channel::<()>();
        let (tell, faults) = channel();
        let written = Arc::new(AtomicU64::new(synced_before));
        let synced = Arc::new(AtomicU64::new(synced_before));
        let (goal, mark) = (Arc::clone(&written), Arc::clone(&synced));
        let sync = move || {
            let upto = goal.load(Ordering::Acquire);
            if upto > mark.load(Ordering::Acquire) {
                log.sync()?;
                mark.store(upto, Ordering::Release);
            }
            io::Result::Ok(())
        };
        let thread = std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
            loop {
                let more = match inbox.recv_timeout(GROUP_TIME) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => true,
                    Err(RecvTimeoutError::Disconnected) => false,
                };
                if let Err(fault) = sync() {
                    let _ = tell.send(fault);
                    return;
                }
                if !more {
                    return;
                }
            }
        })?;
        Ok(Syncer { written, synced, wake: Some(wake), faults, thread: Some(thread) })
    }

    /// Notes how far the file is written.
    fn written(&self, upto: u64) {
        self.written.store(upto, Ordering::Release);
    }

    /// How far it is on the disk.
    fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<(), WriteFault> {
        self.faults.try_recv().map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// One last sync, and the end.
    fn finish(&mut self, upto: u64) -> Result<(), WriteFault> {
        self.written(upto);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.check()
    }
}

/// A recorder that only remembers: everything counts as written at once.
#[cfg(test)]
#[derive(Default)]
pub struct Remembered {
    /// All entries so far.
    pub entries: Vec<Entry>,
}

#[cfg(test)]
impl Recorder for Remembered {
    fn submit(&mut self, batch: Vec<Entry>, _: bool) -> u64 {
        self.entries.extend(batch);
        self.entries.len() as u64
    }

    async fn written(&mut self, seen: u64) -> Result<u64, WriteFault> {
        let written = self.entries.len() as u64;
        if written > seen { Ok(written) } else { std::future::pending().await }
    }
}
