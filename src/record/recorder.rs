//! What takes the engine's entries: writes them into the journal, adds them up in the ledger, and
//! has them synced in groups.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use super::disk::{DiskFile, remedy};
use super::entry::Entry;
use super::journal::Journal;
use super::ledger::Ledger;

/// Where the engine leaves what happened. An entry counts once it is written; what must not be
/// forgotten even if the power fails counts once it is on the disk.
pub trait Recorder {
    /// Hands entries over, in order; returns how many have been handed over in all. With `soon` the
    /// disk is not left to take its time.
    fn submit(&mut self, batch: Vec<Entry>, soon: bool) -> u64;

    /// Waits until more than `seen` is safe and returns how much. Waits for ever if no more is to
    /// come; may be dropped at any time.
    fn progress(&mut self, seen: Safe) -> impl Future<Output = Result<Safe, WriteFault>>;
}

/// How many entries are safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Safe {
    /// So many outlive the process.
    pub written: u64,
    /// So many outlive the machine.
    pub on_disk: u64,
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
    on_disk: u64,
    /// How long the journal was after how many entries, for those that are not on the disk yet.
    ends: VecDeque<(u64, u64)>,
    fault: Option<WriteFault>,
}

impl JournalRecorder {
    /// Starts to record.
    ///
    /// # Errors
    /// If the system gives no thread or file handle.
    pub fn start(journal: Journal, ledger: Ledger) -> io::Result<JournalRecorder> {
        let syncer = Syncer::start(journal.log()?, journal.synced())?;
        Ok(JournalRecorder {
            journal,
            ledger,
            syncer,
            written: 0,
            on_disk: 0,
            ends: VecDeque::new(),
            fault: None,
        })
    }

    /// Syncs what is left and gives journal and ledger back.
    ///
    /// # Errors
    /// The fault that stopped the writing, if one did; the ledger then has what was written.
    pub fn finish(mut self) -> (Journal, Ledger, Result<(), WriteFault>) {
        let synced = self.syncer.finish(self.journal.offset());
        (self.journal, self.ledger, self.fault.map_or(synced, Err))
    }

    fn write(&mut self, batch: &[Entry], soon: bool) -> Result<(), WriteFault> {
        self.syncer.check()?;
        let synced = self.syncer.synced().max(self.journal.synced());
        let lines: Vec<u64> = batch.iter().map(|entry| self.journal.append(entry, synced)).collect();
        self.journal.flush()?;
        for (entry, at) in batch.iter().zip(lines) {
            self.ledger.apply(entry, at);
        }
        self.written += batch.len() as u64;
        self.ends.push_back((self.journal.offset(), self.written));
        self.syncer.written(self.journal.offset(), soon);
        Ok(())
    }

    fn safe(&mut self) -> Safe {
        let synced = self.syncer.synced();
        while let Some((_, entries)) = self.ends.pop_front_if(|(end, _)| *end <= synced) {
            self.on_disk = entries;
        }
        Safe { written: self.written, on_disk: self.on_disk }
    }
}

impl Recorder for JournalRecorder {
    fn submit(&mut self, batch: Vec<Entry>, soon: bool) -> u64 {
        let submitted = self.written + batch.len() as u64;
        if self.fault.is_none() {
            self.fault = self.write(&batch, soon).err();
        }
        submitted
    }

    async fn progress(&mut self, seen: Safe) -> Result<Safe, WriteFault> {
        loop {
            if self.fault.is_none() {
                self.fault = self.syncer.check().err();
            }
            if let Some(fault) = &self.fault {
                return Err(fault.clone());
            }
            let safe = self.safe();
            if safe != seen {
                return Ok(safe);
            }
            self.syncer.told.notified().await;
        }
    }
}

/// Syncs what was written: within [`GROUP_TIME`], or at once where that is asked for. While one sync
/// is on its way the next one gathers.
struct Syncer {
    written: Arc<AtomicU64>,
    synced: Arc<AtomicU64>,
    /// Dropped when there is nothing more to come.
    wake: Option<Sender<()>>,
    faults: Receiver<io::Error>,
    /// Told after each sync.
    told: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(log: DiskFile, synced_before: u64) -> io::Result<Syncer> {
        let (wake, inbox) = channel::<()>();
        let (tell, faults) = channel();
        let written = Arc::new(AtomicU64::new(synced_before));
        let synced = Arc::new(AtomicU64::new(synced_before));
        let (goal, mark) = (Arc::clone(&written), Arc::clone(&synced));
        let told = Arc::new(Notify::new());
        let tell_all = Arc::clone(&told);
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
                let synced = sync();
                let is_lost = synced.is_err();
                if let Err(fault) = synced {
                    let _ = tell.send(fault);
                }
                tell_all.notify_one();
                if is_lost {
                    return;
                }
                if !more {
                    return;
                }
            }
        })?;
        Ok(Syncer { written, synced, wake: Some(wake), faults, told, thread: Some(thread) })
    }

    /// Notes how far the file is written; `soon` does not wait for the group.
    fn written(&self, upto: u64, soon: bool) {
        self.written.store(upto, Ordering::Release);
        if let Some(wake) = self.wake.as_ref().filter(|_| soon) {
            // Without a thread there was a fault, which is told by itself.
            let _ = wake.send(());
        }
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
        self.written(upto, false);
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

    async fn progress(&mut self, seen: Safe) -> Result<Safe, WriteFault> {
        let entries = self.entries.len() as u64;
        let safe = Safe { written: entries, on_disk: entries };
        if safe != seen { Ok(safe) } else { std::future::pending().await }
    }
}
