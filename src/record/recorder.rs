//! The journal's thread: takes batches of entries, writes them, adds them up, and says how far it
//! has come. A second thread syncs, so that writing never waits for the disk.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::entry::Entry;
use super::journal::Journal;
use super::ledger::Ledger;

/// Where the engine leaves what happened. An entry counts once it is written.
pub trait Recorder {
    /// Hands entries over, in order; returns how many have been handed over in all.
    fn submit(&mut self, batch: Vec<Entry>) -> u64;

    /// Waits until more than `seen` of them are written and returns how many. Waits for ever if no
    /// more are to come; may be dropped at any time.
    fn written(&mut self, seen: u64) -> impl Future<Output = Result<u64, WriteFault>>;
}

/// The record cannot be written any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the journal cannot be written: {0}")]
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

/// The journal and the ledger at work on a thread of their own.
pub struct RecorderThread {
    batches: Option<Sender<Vec<Entry>>>,
    submitted: u64,
    progress: watch::Receiver<Progress>,
    thread: JoinHandle<(Journal, Ledger)>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    written: u64,
    fault: Option<WriteFault>,
}

impl RecorderThread {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no thread or file handle.
    pub fn start(journal: Journal, ledger: Ledger) -> io::Result<RecorderThread> {
        let (batches, inbox) = channel();
        let (report, progress) = watch::channel(Progress::default());
        let syncer = Syncer::start(journal.handle()?, journal.offset())?;
        let writer = Writer { journal, ledger, syncer, report, inbox, unsynced_since: None };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run())?;
        Ok(RecorderThread { batches: Some(batches), submitted: 0, progress, thread })
    }

    /// Writes and syncs what is left, ends the threads, and gives journal and ledger back.
    ///
    /// # Errors
    /// The fault that stopped the writing, if one did; the ledger then has what was written.
    pub fn finish(mut self) -> (Option<(Journal, Ledger)>, Result<(), WriteFault>) {
        self.batches = None;
        let parts = self.thread.join().ok();
        let fault = self.progress.borrow().fault.clone();
        (parts, fault.map_or(Ok(()), Err))
    }
}

impl Recorder for RecorderThread {
    fn submit(&mut self, batch: Vec<Entry>) -> u64 {
        self.submitted += batch.len() as u64;
        if let Some(batches) = &self.batches {
            // The thread is only gone after a fault, which `written` tells.
            let _ = batches.send(batch);
        }
        self.submitted
    }

    async fn written(&mut self, seen: u64) -> Result<u64, WriteFault> {
        let more = self.progress.wait_for(|p| p.written > seen || p.fault.is_some()).await;
        match more.map(|p| p.clone()) {
            Ok(Progress { fault: Some(fault), .. }) => Err(fault),
            Ok(progress) => Ok(progress.written),
            Err(_) => Err(io::Error::other("the journal's thread has ended").into()),
        }
    }
}

struct Writer {
    journal: Journal,
    ledger: Ledger,
    syncer: Syncer,
    report: watch::Sender<Progress>,
    inbox: Receiver<Vec<Entry>>,
    /// Since when something waits for a sync.
    unsynced_since: Option<Instant>,
}

impl Writer {
    fn run(mut self) -> (Journal, Ledger) {
        let mut written = 0;
        while let Some(batch) = self.next_batch() {
            match self.write(batch) {
                Ok(count) => {
                    written += count;
                    self.report.send_modify(|p| p.written = written);
                }
                Err(fault) => return self.fail(fault),
            }
        }
        if let Err(fault) = self.syncer.finish(self.journal.offset()) {
            return self.fail(fault);
        }
        (self.journal, self.ledger)
    }

    /// Waits for entries; meanwhile asks for a sync when one is due. `None` when there are no more.
    fn next_batch(&mut self) -> Option<Vec<Entry>> {
        loop {
            let Some(since) = self.unsynced_since else { return self.inbox.recv().ok() };
            match self.inbox.recv_timeout(GROUP_TIME.saturating_sub(since.elapsed())) {
                Ok(batch) => return Some(batch),
                Err(RecvTimeoutError::Timeout) => self.ask_for_sync(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Writes a batch and all others that wait behind it with one call to the system.
    fn write(&mut self, batch: Vec<Entry>) -> Result<u64, WriteFault> {
        let mut lines = Vec::with_capacity(batch.len());
        let mut next = Some(batch);
        while let Some(batch) = next {
            for entry in batch {
                let at = self.journal.append(&entry, self.syncer.synced());
                lines.push((entry, at));
            }
            next = if lines.len() < 4096 { self.inbox.try_recv().ok() } else { None };
        }
        self.journal.flush()?;
        for (entry, at) in &lines {
            self.ledger.apply(entry, *at);
        }
        let since = *self.unsynced_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= GROUP_TIME {
            self.ask_for_sync();
        }
        self.syncer.check()?;
        Ok(lines.len() as u64)
    }

    fn ask_for_sync(&mut self) {
        self.syncer.ask(self.journal.offset());
        self.unsynced_since = None;
    }

    fn fail(self, fault: WriteFault) -> (Journal, Ledger) {
        self.report.send_modify(|p| p.fault = Some(fault));
        (self.journal, self.ledger)
    }
}

/// Syncs on request; requests that come while it is at it are served by one sync more.
struct Syncer {
    requests: Option<Sender<u64>>,
    synced: Arc<AtomicU64>,
    faults: Receiver<io::Error>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(file: File, synced_before: u64) -> io::Result<Syncer> {
        let (requests, inbox) = channel::<u64>();
        let (tell, faults) = channel();
        let synced = Arc::new(AtomicU64::new(synced_before));
        let mark = Arc::clone(&synced);
        let thread = std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
            while let Ok(mut upto) = inbox.recv() {
                while let Ok(later) = inbox.try_recv() {
                    upto = upto.max(later);
                }
                match file.sync_data() {
                    Ok(()) => mark.store(upto, Ordering::Release),
                    Err(fault) => {
                        let _ = tell.send(fault);
                        return;
                    }
                }
            }
        })?;
        Ok(Syncer { requests: Some(requests), synced, faults, thread: Some(thread) })
    }

    fn ask(&self, upto: u64) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(upto);
        }
    }

    fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<(), WriteFault> {
        self.faults.try_recv().map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// One last sync, and the end.
    fn finish(&mut self, upto: u64) -> Result<(), WriteFault> {
        self.ask(upto);
        self.requests = None;
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
    fn submit(&mut self, batch: Vec<Entry>) -> u64 {
        self.entries.extend(batch);
        self.entries.len() as u64
    }

    async fn written(&mut self, seen: u64) -> Result<u64, WriteFault> {
        let written = self.entries.len() as u64;
        if written > seen { Ok(written) } else { std::future::pending().await }
    }
}
