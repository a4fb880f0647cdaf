//! The state directory: what mailsweep keeps beside its runs, for all of them.
//!
//! `$XDG_STATE_HOME/mailsweep`, by default `$HOME/.local/state/mailsweep`: a lock per server, and
//! the memory of refused credentials. Runs that are to know of each other have to share it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use crate::domain::Exit;

const SERVERS: &str = "servers";

/// The state directory, which is there and closed to everybody else.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    disk: Disk,
}

/// Why the state directory cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// Nothing says where it is.
    #[error(
        "neither HOME nor XDG_STATE_HOME is set to an absolute path, so there is no place to note which \
         servers are in use: set XDG_STATE_HOME to a directory that you may write, the same one for every run"
    )]
    NoPlace,
    /// It, or something in it, cannot be made, read or written.
    #[error(
        "{path} cannot be made, read or written: {source}; make it yours, or set XDG_STATE_HOME to a \
         directory that you may write, the same one for every run"
    )]
    Io {
        /// The file or directory.
        path: String,
        /// What is wrong.
        source: Arc<io::Error>,
    },
}

impl StateError {
    /// The exit code that it means.
    pub fn exit(&self) -> Exit {
        match self {
            StateError::NoPlace => Exit::Usage,
            StateError::Io { .. } => Exit::Unwritable,
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> StateError {
        let path = path.display().to_string();
        move |source| StateError::Io { path, source: Arc::new(source) }
    }
}

impl StateDir {
    /// The one that this process's environment names; made if it is not there.
    ///
    /// # Errors
    /// If none is named or it cannot be made.
    pub fn from_environment(disk: &Disk) -> Result<StateDir, StateError> {
        StateDir::at(place(|name| std::env::var_os(name)).ok_or(StateError::NoPlace)?, disk)
    }

    /// The one at this path; made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made or cannot be closed to others.
    pub fn at(path: impl Into<PathBuf>, disk: &Disk) -> Result<StateDir, StateError> {
        let path = path.into();
        for dir in [&path, &path.join(SERVERS)] {
            disk.create_dirs(dir).and_then(|()| disk.close(dir)).map_err(StateError::io(dir))?;
        }
        Ok(StateDir { path, disk: disk.clone() })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the lock of a server stands. A host may be spelled with anything that an address
    /// allows, so the name is told apart by a hash and only made readable by the host.
    pub(super) fn lock_file(&self, server: &str) -> PathBuf {
        const READABLE: usize = 60;
        let key = server_key(server);
        let readable: String = key
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' })
            .take(READABLE)
            .collect();
        let hash = blake3::hash(key.as_bytes()).to_hex();
        self.path.join(SERVERS).join(format!("{readable}-{}.lock", &hash[..16]))
    }
}

/// The name under which all spellings of a server's address are one.
pub(super) fn server_key(server: &str) -> String {
    server.trim().to_lowercase()
}

/// Where the environment puts it. A path that is not absolute is no path, as the XDG base directory
/// specification has it.
fn place(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("mailsweep"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn placed(env: &[(&str, &str)]) -> Option<PathBuf> {
        place(|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)))
    }

    #[test]
    fn the_environment_says_where_it_is_and_a_relative_path_says_nothing() {
        let home = ("HOME", "/home/anna");
        let by_home = Some(PathBuf::from("/home/anna/.local/state/mailsweep"));
        assert_eq!(placed(&[home]), by_home);
        assert_eq!(placed(&[home, ("XDG_STATE_HOME", "/s")]), Some(PathBuf::from("/s/mailsweep")));
        assert_eq!(placed(&[home, ("XDG_STATE_HOME", "s")]), by_home);
        assert_eq!(placed(&[home, ("XDG_STATE_HOME", "")]), by_home);
        assert_eq!(placed(&[("HOME", "")]), None);
        assert_eq!(placed(&[]), None);
    }

    #[test]
    fn it_is_made_with_all_that_it_stands_in_and_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state/mailsweep");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        StateDir::at(&path, &Disk::default()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::at(&path, &Disk::default()).unwrap();
        for made in [path.parent().unwrap(), &path, &path.join(SERVERS)] {
            assert_eq!(mode(made), 0o700, "{}", made.display());
        }
    }

    #[test]
    fn what_cannot_be_made_is_named_with_a_way_out() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        let told = StateDir::at(file.join("mailsweep"), &Disk::default()).unwrap_err().to_string();
        assert!(told.contains("file/mailsweep") && told.contains("set XDG_STATE_HOME"), "{told}");
        assert!(StateError::NoPlace.to_string().contains("set XDG_STATE_HOME"));
    }

    #[test]
    fn every_server_has_a_lock_of_its_own_whatever_it_is_called() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path(), &Disk::default()).unwrap();
        let long = "x".repeat(300);
        let servers = ["web01:2083", "web01:2087", "[::1]:2083", "[__1]:2083", "../up:1", "", ".", &long];
        let files: HashSet<PathBuf> = servers.iter().map(|server| state.lock_file(server)).collect();
        assert_eq!(files.len(), servers.len());
        for file in files {
            assert_eq!(file.parent(), Some(&*root.path().join(SERVERS)));
            std::fs::write(&file, "").unwrap();
        }
        assert_eq!(state.lock_file("WEB01:2083 "), state.lock_file("web01:2083"));
    }
}
