//! The one way in which files and directories come into being and change here: private to their
//! owner, or to a team, whole or not at all, and on the disk before anything counts on them.
//!
//! Whatever can fail on a disk is a method of [`Ops`], and nothing else in this program writes, but
//! for the embedded server, which keeps its own state as a server elsewhere would. So a test can let
//! any single step of a run fail, and a run that lives through all of these lives through a disk.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::sync::Arc;

use super::team::{Team, our_uid};

#[cfg(test)]
pub mod testing;

/// Owner may read and write, nobody else anything.
const FILE_MODE: u32 = 0o600;
/// Everybody may read.
const OPEN_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o700;

/// The team may do what the owner may. What is made in a directory of its has its group.
const TEAM_FILE_MODE: u32 = 0o660;
const TEAM_DIR_MODE: u32 = 0o2770;

/// What is asked of the operating system, one thing at a time.
trait Ops: Send + Sync {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(DIR_MODE).create(path)
    }

    fn make_dirs_out(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).create(path)
    }

    fn open(&self, path: &Path, how: &OpenOptions) -> io::Result<File> {
        how.open(path)
    }

    /// Opens a file without a name, which goes with the process.
    fn open_unnamed(&self) -> io::Result<File> {
        tempfile::tempfile()
    }

    fn write_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
        file.write_at(bytes, at)
    }

    /// Writes where the last such write ended: into a pipe nothing can be written elsewhere.
    fn write_on(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    }

    /// Hands a file or directory to a group.
    fn share(&self, file: &File, mode: u32, gid: u32) -> io::Result<()> {
        // In this order: who gives a file away loses what makes its group stick.
        fchown(file, None, Some(gid))?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        let facts = rustix::fs::statvfs(path)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

struct Real;

impl Ops for Real {}

/// The disk, as this program uses it. The default is the real one, and what is made there is its
/// owner's alone.
#[derive(Clone)]
pub struct Disk {
    ops: Arc<dyn Ops>,
    team: Option<Team>,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::over(Real)
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Disk {
    fn over(ops: impl Ops + 'static) -> Disk {
        Disk { ops: Arc::new(ops), team: None }
    }

    /// The same, where what is made is shared with a team.
    pub fn shared_with(&self, team: Option<Team>) -> Disk {
        Disk { ops: Arc::clone(&self.ops), team }
    }

    /// Who shares what is made here.
    pub fn team(&self) -> Option<&Team> {
        self.team.as_ref()
    }

    /// Makes one directory; its parent must be there.
    ///
    /// # Errors
    /// If it is there already or cannot be made.
    pub fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.ops.make_dir(path)?;
        if let Some(team) = &self.team {
            self.ops.share(&File::open(path)?, TEAM_DIR_MODE, team.gid())?;
        }
        self.sync_parent(path)
    }

    /// Makes a directory and all that it stands in; what is there already stays as it is.
    ///
    /// # Errors
    /// If it is not there and cannot be made.
    pub fn create_dirs(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.create_dirs(parent)?;
        }
        match self.create_dir(path) {
            // Another process was quicker.
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    /// Makes a directory outside a run, and all that it stands in, in the way in which the operator's
    /// own come into being.
    ///
    /// # Errors
    /// If it is not there and cannot be made.
    pub fn create_dirs_out(&self, path: &Path) -> io::Result<()> {
        self.ops.make_dirs_out(path)
    }

    /// Closes a directory to everybody but its owner, or the team, if it is open to others.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn close(&self, path: &Path) -> io::Result<()> {
        let found = std::fs::metadata(path)?;
        match &self.team {
            None if found.mode() & 0o077 != 0 => self.ops.set_mode(path, DIR_MODE),
            Some(team) if (found.mode() & 0o7777, found.gid()) != (TEAM_DIR_MODE, team.gid()) => {
                self.ops.share(&File::open(path)?, TEAM_DIR_MODE, team.gid())
            }
            _ => Ok(()),
        }
    }

    /// Opens a file of ours to the team, if there is one.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn share_file(&self, path: &Path) -> io::Result<()> {
        self.share(&File::open(path)?)
    }

    /// Takes a directory away, if it is there and empty.
    ///
    /// # Errors
    /// If it is not empty or cannot be taken away.
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.gone(path, self.ops.remove_dir(path))
    }

    /// Makes a new file that grows; it must not be there yet.
    pub(super) fn create_log(&self, path: &Path) -> io::Result<DiskFile> {
        let file = self.create_new(path)?;
        self.sync_parent(path)?;
        Ok(self.hold(file))
    }

    /// Makes a file that grows, without a name: it goes with the process.
    pub(super) fn unnamed_log(&self) -> io::Result<DiskFile> {
        Ok(self.hold(self.ops.open_unnamed()?))
    }

    /// Opens a file that grows.
    pub(super) fn open_log(&self, path: &Path) -> io::Result<DiskFile> {
        Ok(self.hold(self.ops.open(path, OpenOptions::new().read(true).write(true))?))
    }

    /// Opens a file that is there to be locked, and makes it if need be. It is never taken away: who
    /// locks a file that is gone shares nothing with who locks the next one of its name.
    pub(super) fn open_lock(&self, path: &Path) -> io::Result<DiskFile> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = self.ops.open(path, &how)?;
        self.share(&file)?;
        Ok(self.hold(file))
    }

    /// Puts a file in place whole: whoever looks sees the old one or the new one, and after a crash
    /// there is one of the two. `fill` writes its contents.
    ///
    /// # Errors
    /// If it cannot be written; then the old one is still there.
    pub fn write_whole<T>(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut Out<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.put_in_place(path, None, fill)
    }

    /// The same for a file that everybody is meant to read.
    ///
    /// # Errors
    /// See [`write_whole`](Self::write_whole).
    pub fn write_whole_for_all<T>(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut Out<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.put_in_place(path, Some(OPEN_MODE), fill)
    }

    fn put_in_place<T>(
        &self,
        path: &Path,
        mode: Option<u32>,
        fill: impl FnOnce(&mut Out<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let parent = parent_of(path);
        let (file, temp) = tempfile::Builder::new()
            .prefix(".mailsweep-")
            .make_in(parent, |path| self.create_new(path))?
            .into_parts();
        if let Some(mode) = mode {
            // Said once more, since a process's mask would take from it.
            self.ops.set_mode(&temp, mode)?;
        }
        let mut out = BufWriter::with_capacity(1 << 18, Through { ops: &*self.ops, file: &file, at: 0 });
        let value = fill(&mut out)?;
        out.flush()?;
        drop(out);
        self.ops.sync(&file)?;
        self.ops.rename(&temp, path)?;
        // There is nothing under its first name any more that would have to be taken away.
        let _ = temp.keep();
        self.sync_parent(path)?;
        Ok(value)
    }

    /// Takes a file away, if it is there.
    ///
    /// # Errors
    /// If it cannot be taken away.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.gone(path, self.ops.remove(path))
    }

    /// Writes to a place outside a run, such as a pipe, in the way in which the operator's own files
    /// come into being. `fill` writes its contents.
    ///
    /// # Errors
    /// If it cannot be written; part of it may have been.
    pub fn write_out<T>(
        &self,
        to: &Path,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> io::Result<T> {
        let file = self.ops.open(to, OpenOptions::new().write(true).create(true).truncate(true))?;
        let mut out = BufWriter::with_capacity(1 << 18, Onward { ops: &*self.ops, file: &file });
        let value = fill(&mut out)?;
        out.flush()?;
        Ok(value)
    }

    /// How many bytes are free where a file or directory is, or where it will be.
    pub(super) fn free(&self, path: &Path) -> io::Result<u64> {
        let mut place = path;
        while !place.exists() && place != Path::new(".") {
            place = parent_of(place);
        }
        self.ops.free(place)
    }

    fn create_new(&self, path: &Path) -> io::Result<File> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create_new(true).mode(FILE_MODE);
        let file = self.ops.open(path, &how)?;
        self.share(&file)?;
        Ok(file)
    }

    /// Opens a file to the team. What belongs to another member is open to it already.
    fn share(&self, file: &File) -> io::Result<()> {
        let Some(team) = &self.team else { return Ok(()) };
        let found = file.metadata()?;
        let is_open = (found.mode() & 0o7777, found.gid()) == (TEAM_FILE_MODE, team.gid());
        if is_open || found.uid() != our_uid() {
            return Ok(());
        }
        self.ops.share(file, TEAM_FILE_MODE, team.gid())
    }

    fn hold(&self, file: File) -> DiskFile {
        DiskFile { file, ops: Arc::clone(&self.ops) }
    }

    fn gone(&self, path: &Path, removed: io::Result<()>) -> io::Result<()> {
        match removed {
            Ok(()) => self.sync_parent(path),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        self.ops.sync_dir(parent_of(path))
    }
}

/// A file that is written place by place.
pub(super) struct DiskFile {
    file: File,
    ops: Arc<dyn Ops>,
}

impl std::fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(f)
    }
}

impl DiskFile {
    /// The file itself, for reading and locking.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        Through { ops: &*self.ops, file: &self.file, at }.write_all(bytes)
    }

    pub(super) fn truncate(&self, length: u64) -> io::Result<()> {
        self.ops.truncate(&self.file, length)
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.ops.sync(&self.file)
    }

    pub(super) fn try_clone(&self) -> io::Result<DiskFile> {
        Ok(DiskFile { file: self.file.try_clone()?, ops: Arc::clone(&self.ops) })
    }
}

/// What a file that appears whole is written into.
pub type Out<'a> = BufWriter<Through<'a>>;

/// A place in a file; what is written there goes one piece further.
pub struct Through<'a> {
    ops: &'a dyn Ops,
    file: &'a File,
    at: u64,
}

impl Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.ops.write_at(self.file, bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end of a file, or of a pipe.
struct Onward<'a> {
    ops: &'a dyn Ops,
    file: &'a File,
}

impl Write for Onward<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ops.write_on(self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What to do about a fault that is a lack of room, to stand behind its own words.
pub(super) fn remedy(fault: &io::Error) -> &'static str {
    match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": make room there, then go on",
        io::ErrorKind::FileTooLarge => ": raise the limit on a file's size (ulimit -f), then go on",
        _ => "",
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
