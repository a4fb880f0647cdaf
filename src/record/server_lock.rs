//! One run at a time per server: a lock file each, in the state directory.
//!
//! The kernel holds the lock and lets it go when its process dies, however it does. What the file
//! says is for others to read: who holds the lock, and when it was last let go.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskFile};
use super::entry::Stamp;
use super::state_dir::{StateDir, StateError, server_key};
use crate::domain::{clean, clip};

/// Who uses a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run's name.
    pub run_id: String,
    /// Who started it.
    pub operator: String,
    /// Its process.
    pub pid: u32,
    /// On which machine.
    pub host: String,
    /// Since when.
    pub since: Stamp,
}

impl Holder {
    /// As [`fmt::Display`] tells it at this moment: the day is named only if it is not today.
    fn told(&self, now: Stamp) -> String {
        let Holder { run_id, operator, pid, host, .. } = self;
        let (since, now) = (self.since.to_string(), now.to_string());
        let to_the_second = since.split('.').next().unwrap_or_default();
        let since = match (to_the_second.split_once('T'), now.split_once('T')) {
            (Some((day, time)), Some((today, _))) if day == today => time,
            _ => to_the_second,
        };
        format!("run {run_id} ({operator}, process {pid} on {host} since {since}Z)")
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Stamp::now()))
    }
}

/// Why a server's lock was not to be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("in use by {}", named(.0.as_ref()))]
    InUse(Option<Holder>),
    /// The wait for it was broken off.
    #[error("the wait for it was broken off")]
    Interrupted,
    /// It cannot be made, read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A holder, or what is to be said where none could be read.
fn named(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), Holder::to_string)
}

/// A server is waited for.
pub struct Waiting<'a> {
    /// The server, as it was asked for.
    pub server: &'a str,
    /// Who has it, if that could be read.
    pub holder: Option<&'a Holder>,
    /// Whether it is the first time that this server is spoken of.
    pub is_new: bool,
}

impl fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for {}: in use by {}", self.server, named(self.holder))
    }
}

/// What a server's lock said when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nobody has had it yet.
    Unused,
    /// It was let go then.
    Released(Stamp),
    /// Whoever had it was killed: nobody knows when.
    Killed,
}

/// The right to send to a server. Let go with the last clone, or with the process.
#[derive(Clone, Debug)]
pub struct ServerLock {
    /// Kept for its `Drop`.
    _held: Arc<Held>,
    /// Whether it had to be waited for.
    pub was_waited_for: bool,
    /// What was there before.
    pub before: Before,
}

impl ServerLock {
    /// When the one before let it go, if that is known.
    pub fn last_released(&self) -> Option<Stamp> {
        match self.before {
            Before::Released(at) => Some(at),
            Before::Unused | Before::Killed => None,
        }
    }

    /// Whether the run before may still count against the server's rate, so that this one must not
    /// begin with a burst: a burst is whole again `full_after` the last call.
    pub fn begins_empty(&self, now: Stamp, full_after: Duration) -> bool {
        match self.before {
            Before::Unused => self.was_waited_for,
            Before::Killed => true,
            Before::Released(at) => {
                let rested = u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0);
                self.was_waited_for || u128::from(rested) < full_after.as_millis()
            }
        }
    }
}

/// What stands in a lock's file.
#[derive(Serialize, Deserialize)]
struct Note {
    holder: Holder,
    /// When it was let go; `null` while it is held, and for ever if its process was killed.
    released_at: Option<Stamp>,
}

impl Note {
    /// Whole, or `None`: it may be read while it is written.
    fn read(file: &File) -> Option<Note> {
        let mut text = vec![0; 1 << 14];
        let count = file.read_at(&mut text, 0).ok()?;
        let mut note: Note = serde_json::from_slice(&text[..count]).ok()?;
        for word in [&mut note.holder.run_id, &mut note.holder.operator, &mut note.holder.host] {
            *word = clip(&clean(word), 100);
        }
        Some(note)
    }

    fn write(&self, file: &DiskFile) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        file.write_all_at(&text, 0)?;
        file.truncate(text.len() as u64)
    }
}

#[derive(Debug)]
struct Held {
    file: DiskFile,
    holder: Holder,
}

impl Drop for Held {
    fn drop(&mut self) {
        let note = Note { holder: self.holder.clone(), released_at: Some(Stamp::now()) };
        // If it cannot be written, the next one takes this process for killed, which is careful.
        let _ = note.write(&self.file);
        // Closing would do, were there not copies in processes that are just being started.
        let _ = self.file.file().unlock();
    }
}

/// A file that is there and locked, or `None` if somebody else has locked it; it is there to be
/// read in both cases.
fn try_to_hold(disk: &Disk, path: &Path) -> io::Result<(DiskFile, bool)> {
    loop {
        let file = disk.open_lock(path)?;
        match file.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok((file, false)),
            Err(TryLockError::Error(fault)) => return Err(fault),
        }
        // Somebody may have cleared the directory away between the opening and the locking.
        let identity = |facts: &std::fs::Metadata| (facts.dev(), facts.ino());
        match std::fs::metadata(path) {
            Ok(facts) if identity(&facts) == identity(&file.file().metadata()?) => return Ok((file, true)),
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
}

impl StateDir {
    /// Takes the lock of a server, named as `host:port`, if it is free.
    ///
    /// # Errors
    /// If somebody else has it, or it cannot be made, read or written.
    pub fn lock(&self, server: &str, holder: &Holder) -> Result<ServerLock, LockError> {
        let path = self.lock_file(server);
        let (file, is_ours) = try_to_hold(self.disk(), &path).map_err(StateError::io(&path))?;
        let note = Note::read(file.file());
        if !is_ours {
            let holder = note.filter(|note| note.released_at.is_none()).map(|note| note.holder);
            return Err(LockError::InUse(holder));
        }
        let length = file.file().metadata().map_err(StateError::io(&path))?.len();
        let before = match note {
            None if length == 0 => Before::Unused,
            Some(Note { released_at: Some(at), .. }) => Before::Released(at),
            _ => Before::Killed,
        };
        let ours = Note { holder: holder.clone(), released_at: None };
        ours.write(&file).map_err(StateError::io(&path))?;
        let held = Held { file, holder: holder.clone() };
        Ok(ServerLock { _held: Arc::new(held), was_waited_for: false, before })
    }

    /// Takes the locks of several servers, with one result for each, in the order given.
    ///
    /// One that is in use is waited for, as long as `wait` says for all together; `poll` is called
    /// again and again meanwhile and may break the wait off. They are taken one after the other in
    /// the order of their names, whatever order they are given in: so two runs can wait for each
    /// other's servers, but never each for the other.
    pub fn lock_all(
        &self,
        servers: &[&str],
        holder: &Holder,
        wait: Duration,
        mut poll: impl FnMut(&Waiting<'_>) -> ControlFlow<()>,
    ) -> Vec<Result<ServerLock, LockError>> {
        let begun = Instant::now();
        let mut is_broken_off = false;
        // Two names for one address share its lock.
        let by_key: BTreeMap<String, &str> =
            servers.iter().map(|server| (server_key(server), *server)).collect();
        let mut results: HashMap<&str, Result<ServerLock, LockError>> = HashMap::new();
        for (key, server) in &by_key {
            let result = if is_broken_off {
                Err(LockError::Interrupted)
            } else {
                self.wait_for(server, holder, wait.saturating_sub(begun.elapsed()), &mut poll)
            };
            is_broken_off |= matches!(result, Err(LockError::Interrupted));
            results.insert(key, result);
        }
        // Each key is there.
        servers.iter().filter_map(|server| results.get(&*server_key(server)).cloned()).collect()
    }

    fn wait_for(
        &self,
        server: &str,
        holder: &Holder,
        wait: Duration,
        poll: &mut impl FnMut(&Waiting<'_>) -> ControlFlow<()>,
    ) -> Result<ServerLock, LockError> {
        const STEP: Duration = Duration::from_millis(100);
        let begun = Instant::now();
        let mut is_new = true;
        loop {
            let found = match self.lock(server, holder) {
                Err(LockError::InUse(found)) => found,
                Ok(lock) => return Ok(ServerLock { was_waited_for: !is_new, ..lock }),
                Err(fault) => return Err(fault),
            };
            let left = wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(LockError::InUse(found));
            }
            if poll(&Waiting { server, holder: found.as_ref(), is_new }).is_break() {
                return Err(LockError::Interrupted);
            }
            is_new = false;
            std::thread::sleep(left.min(STEP));
        }
    }
}

#[cfg(test)]
mod tests;
