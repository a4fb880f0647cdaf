//! The memory of refused credentials, over all runs and commands.
//!
//! A server blocks an address after a few bad logins, so a credential that it has refused twice is
//! not tried a third time by somebody who only types the command again. Nothing that is kept tells
//! what the credential is: it is hashed with a key that never leaves the state directory.

use std::fs::TryLockError;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskFile};
use super::entry::Stamp;
use super::state_dir::{StateDir, StateError, server_key};
use crate::domain::Secret;

const REFUSALS: &str = "refusals.json";
const KEY: &str = "refusals.key";
const LOCK: &str = "refusals.lock";

/// How long a refusal counts.
const WINDOW_MS: i64 = 15 * 60 * 1000;

/// How far ahead of us the clock of another process may be.
const CLOCK_DRIFT_MS: i64 = 60 * 1000;

/// In how many sessions a credential must have been refused.
const BARRED_AFTER: usize = 2;

/// A credential that is not to be sent to a server for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barred {
    /// In how many sessions the server refused it in the last 15 minutes.
    pub refusals: u32,
    /// From when on it may be tried again.
    pub until: Stamp,
}

#[derive(Default, Serialize, Deserialize)]
struct Memory {
    refusals: Vec<Refusal>,
}

#[derive(Serialize, Deserialize)]
struct Refusal {
    /// Keyed hash of server, user and secret.
    credential: String,
    session: String,
    at: Stamp,
}

impl Refusal {
    /// Whether it still counts. One from the future was noted under a clock that was wrong, and
    /// must not count for ever.
    fn counts(&self, now: Stamp) -> bool {
        let age = now.0.saturating_sub(self.at.0);
        (-CLOCK_DRIFT_MS..WINDOW_MS).contains(&age)
    }
}

impl Memory {
    /// A memory that cannot be read is no reason to hold a run up: it is as if nothing had been.
    fn read(state: &StateDir) -> Memory {
        let text = std::fs::read(state.file(REFUSALS)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

impl StateDir {
    /// Notes that a server, named as `host:port`, refused a credential in this session.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn note_refusal(
        &self,
        server: &str,
        user: &str,
        secret: &Secret,
        session: &str,
        at: Stamp,
    ) -> Result<(), StateError> {
        let path = self.file(LOCK);
        // Nobody else may write between our reading and our writing.
        let _alone = hold(self.disk(), &path).map_err(StateError::io(&path))?;
        let key = match self.read_key() {
            Some(key) => key,
            None => self.make_key()?,
        };
        let credential = fingerprint(&key, server, user, secret);
        let mut memory = Memory::read(self);
        let is_same = |noted: &Refusal| noted.credential == credential && noted.session == session;
        memory.refusals.retain(|noted| noted.counts(at) && !is_same(noted));
        memory.refusals.push(Refusal { credential, session: session.to_owned(), at });
        let path = self.file(REFUSALS);
        self.disk()
            .write_whole(&path, |out| {
                serde_json::to_writer(&mut *out, &memory)?;
                out.write_all(b"\n")
            })
            .map_err(StateError::io(&path))
    }

    /// Whether a server has refused this very credential so often of late that it must not be sent
    /// there now.
    pub fn is_barred(&self, server: &str, user: &str, secret: &Secret, now: Stamp) -> Option<Barred> {
        // Without a key nothing has been noted.
        let credential = fingerprint(&self.read_key()?, server, user, secret);
        // There is one for each session.
        let mut times: Vec<Stamp> = Memory::read(self)
            .refusals
            .iter()
            .filter(|noted| noted.credential == credential && noted.counts(now))
            .map(|noted| noted.at)
            .collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        // Once this one no longer counts, too few are left.
        let decisive = times.get(BARRED_AFTER - 1)?;
        let refusals = u32::try_from(times.len()).unwrap_or(u32::MAX);
        Some(Barred { refusals, until: Stamp(decisive.0.saturating_add(WINDOW_MS)) })
    }

    fn read_key(&self) -> Option<[u8; 32]> {
        std::fs::read(self.file(KEY)).ok()?.try_into().ok()
    }

    /// Makes the key, also in place of one that was damaged: what was hashed with that is lost.
    fn make_key(&self) -> Result<[u8; 32], StateError> {
        let path = self.file(KEY);
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other).map_err(StateError::io(&path))?;
        self.disk().write_whole(&path, |out| out.write_all(&key)).map_err(StateError::io(&path))?;
        Ok(key)
    }
}

fn fingerprint(key: &[u8; 32], server: &str, user: &str, secret: &Secret) -> String {
    secret.fingerprint(key, &[&server_key(server), user])
}

/// Takes the lock of the memory. It is held for a moment only, so whoever holds it for longer hangs,
/// and is not waited for.
fn hold(disk: &Disk, path: &std::path::Path) -> io::Result<DiskFile> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let file = disk.open_lock(path)?;
    let begun = Instant::now();
    loop {
        match file.file().try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another mailsweep holds it and hangs"));
            }
            Err(TryLockError::Error(fault)) => return Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SERVER: &str = "web01:2083";
    const MINUTE: i64 = 60_000;
    const START: i64 = 1_795_460_400_000;

    fn state() -> (tempfile::TempDir, StateDir) {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path(), &Disk::default()).unwrap();
        (root, state)
    }

    fn secret() -> Secret {
        Secret::new("S3CRET".into())
    }

    fn refuse(state: &StateDir, session: &str, minute: i64) {
        state.note_refusal(SERVER, "anna", &secret(), session, Stamp(START + minute * MINUTE)).unwrap();
    }

    /// Barred in that minute: after how many refusals, and until which minute.
    fn barred(state: &StateDir, minute: i64) -> Option<(u32, i64)> {
        let barred = state.is_barred(SERVER, "anna", &secret(), Stamp(START + minute * MINUTE))?;
        Some((barred.refusals, (barred.until.0 - START) / MINUTE))
    }

    #[test]
    fn a_credential_refused_in_two_sessions_is_barred_until_the_first_of_them_is_old() {
        let (_root, state) = state();
        assert_eq!(barred(&state, 0), None);
        refuse(&state, "one", 0);
        refuse(&state, "one", 1);
        assert_eq!(barred(&state, 1), None, "one session is one refusal");
        refuse(&state, "two", 10);
        assert_eq!(barred(&state, 10), Some((2, 16)));
        assert_eq!(barred(&state, 15), Some((2, 16)));
        assert_eq!(barred(&state, 16), None);
        refuse(&state, "three", 16);
        assert_eq!(barred(&state, 16), Some((2, 25)));
    }

    #[test]
    fn only_the_same_credential_at_the_same_server_is_barred() {
        let (_root, state) = state();
        refuse(&state, "one", 0);
        refuse(&state, "two", 0);
        let is_barred = |server, user, secret: &str| {
            state.is_barred(server, user, &Secret::new(secret.into()), Stamp(START)).is_some()
        };
        assert!(is_barred("WEB01:2083", "anna", "S3CRET"));
        assert!(!is_barred(SERVER, "anna", "another token"));
        assert!(!is_barred(SERVER, "ben", "S3CRET"));
        assert!(!is_barred("web02:2083", "anna", "S3CRET"));
    }

    #[test]
    fn a_clock_that_was_set_back_bars_nobody() {
        let (_root, state) = state();
        refuse(&state, "one", 600);
        refuse(&state, "two", 600);
        assert_eq!(barred(&state, 0), None);
        assert!(barred(&state, 599).is_some(), "a minute is within what clocks differ");
        assert_eq!(barred(&state, 598), None);
    }

    #[test]
    fn what_is_old_is_forgotten_at_the_next_write() {
        let (_root, state) = state();
        refuse(&state, "one", 0);
        refuse(&state, "two", 600);
        refuse(&state, "three", 15);
        let kept: Vec<String> = Memory::read(&state).refusals.into_iter().map(|r| r.session).collect();
        assert_eq!(kept, ["three"]);
    }

    #[test]
    fn a_damaged_memory_is_an_empty_one_and_is_mended_by_the_next_write() {
        for (file, damage) in
            [(REFUSALS, "{\"refusals\":[{\"cred"), (REFUSALS, "[]"), (KEY, "short"), (KEY, "")]
        {
            let (_root, state) = state();
            refuse(&state, "one", 0);
            refuse(&state, "two", 0);
            assert!(barred(&state, 0).is_some());
            std::fs::write(state.file(file), damage).unwrap();
            assert_eq!(barred(&state, 0), None, "{file} {damage}");
            refuse(&state, "three", 0);
            refuse(&state, "four", 0);
            assert_eq!(barred(&state, 0), Some((2, 15)), "{file} {damage}");
        }
    }

    #[test]
    fn of_many_that_write_at_once_from_the_start_none_is_lost() {
        let (_root, state) = state();
        std::thread::scope(|scope| {
            for n in 0..12 {
                let state = &state;
                scope.spawn(move || refuse(state, &n.to_string(), 0));
            }
        });
        assert_eq!(barred(&state, 0), Some((12, 15)));
    }

    #[test]
    fn neither_user_nor_secret_is_written_down_and_nobody_else_can_read_the_rest() {
        let (root, state) = state();
        refuse(&state, "one", 0);
        for entry in std::fs::read_dir(root.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains("S3CRET") && !text.contains("anna"), "{}", path.display());
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
        let (_other, elsewhere) = self::state();
        refuse(&elsewhere, "one", 0);
        assert_ne!(state.read_key(), elsewhere.read_key());
    }
}
