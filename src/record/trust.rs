//! Whether a directory may be taken for a run's.
//!
//! Who can write in a run directory can have its resume run a command of theirs (`token_command` is
//! part of what a run knows) and send the resumer's credential where they like. So it is refused,
//! before anything in it is read, if it belongs to somebody else or is open to others' writing, but
//! for the team. What stands in the place of a run's file and is none (a link, a pipe, a device, a
//! directory) is refused as well: some of these never end when they are read.

use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::rundir::{DirError, FILES};
use super::team::{group, our_uid, user};
use crate::domain::quote;

/// Refuses a directory that exists and cannot be trusted. One that does not exist is for others to
/// miss.
///
/// # Errors
/// [`DirError::NotARun`].
pub(super) fn check(disk: &Disk, dir: &Path) -> Result<(), DirError> {
    let dir = without_slash(dir);
    let found = match std::fs::symlink_metadata(&dir) {
        Ok(found) => found,
        Err(fault) if is_missing(&fault) => return Ok(()),
        Err(fault) => return Err(DirError::NotARun(format!("{} cannot be read: {fault}", dir.display()))),
    };
    let refused = match alien(&dir, &found, true) {
        Some(why) => Some(why),
        None => distrust(disk, &dir, &found),
    };
    if let Some(why) = refused {
        return Err(DirError::NotARun(format!("{} {why}", dir.display())));
    }
    for path in FILES.iter().map(|name| dir.join(name)) {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        if let Some(why) = alien(&path, &found, false) {
            return Err(DirError::NotARun(format!(
                "{} {why}: no run has made this; nothing in {} was read",
                path.display(),
                dir.display()
            )));
        }
    }
    Ok(())
}

/// What a place is that was to be a directory or else a file; `None` if it is one.
pub(super) fn alien(path: &Path, found: &Metadata, is_dir: bool) -> Option<String> {
    let kind = found.file_type();
    if kind.is_symlink() {
        let target = std::fs::read_link(path).unwrap_or_default();
        return Some(format!("is a link; name what it points to, {}", target.display()));
    }
    match is_dir {
        true if !kind.is_dir() => Some("is no directory".to_owned()),
        false if !kind.is_file() => Some(format!("is {}", called(kind))),
        _ => None,
    }
}

fn called(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Why a directory of this owner and mode is not to be trusted, if so, and what to type.
pub(super) fn distrust(disk: &Disk, dir: &Path, found: &Metadata) -> Option<String> {
    const GROUP_MAY_WRITE: u32 = 0o020;
    const OTHERS_MAY_WRITE: u32 = 0o002;
    let is_the_teams = disk.team().is_some_and(|team| team.gid() == found.gid());
    let shown = quote(dir.as_os_str());
    if found.mode() & OTHERS_MAY_WRITE != 0 {
        Some(format!("can be written by everybody: if you trust what is in it, chmod -R o-rwx {shown}"))
    } else if found.uid() != our_uid() && !is_the_teams {
        let (owner, group) = (user(found.uid()), group(found.gid()));
        Some(format!(
            "belongs to {owner}: do this as {owner}, or share runs by `run_group` in the configuration (its \
             group is {group})"
        ))
    } else if found.mode() & GROUP_MAY_WRITE != 0 && !is_the_teams {
        let group = group(found.gid());
        Some(format!(
            "can be written by the group {group}: if you trust what is in it, chmod -R g-w {shown}, or share \
             runs with that group by `run_group` in the configuration"
        ))
    } else {
        None
    }
}

/// A path with a slash behind it names what a link points to.
pub(super) fn without_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

pub(super) fn is_missing(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
