//! The one way in which files and directories come into being here: private to their owner, whole
//! or not at all, and on the disk before anything counts on them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Owner may read and write, nobody else anything.
const FILE_MODE: u32 = 0o600;
/// Everybody may read.
const OPEN_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o700;

/// Makes one directory for its owner alone; its parent must be there.
pub fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(DIR_MODE).create(path)?;
    sync_parent(path)
}

/// Makes a directory and all that it stands in, for its owner alone, and closes it if it was there
/// and open to others.
pub fn create_dirs(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)?;
    let is_open = std::fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    if is_open { make_private(path) } else { Ok(()) }
}

/// Closes a directory to everybody but its owner.
pub fn make_private(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(DIR_MODE))
}

/// Makes a new file that grows by appending; it must not be there yet.
pub fn create_log(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).read(true).create_new(true).mode(FILE_MODE).open(path)?;
    sync_parent(path)?;
    Ok(file)
}

/// A file that grows by appending, without a name: it goes with the process.
pub fn unnamed_log() -> io::Result<File> {
    tempfile::tempfile()
}

/// Opens a file that grows by appending.
pub fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).open(path)
}

/// Opens a file that is there to be locked, and makes it if need be. It is never taken away: who
/// locks a file that is gone shares nothing with who locks the next one of its name.
pub fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// Puts a file in place whole: whoever looks sees the old one or the new one, and after a crash
/// there is one of the two. `fill` writes its contents.
pub fn write_whole<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<T>,
) -> io::Result<T> {
    put_in_place(path, FILE_MODE, fill)
}

/// The same for a file that others are meant to read.
pub fn write_whole_for_all<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<T>,
) -> io::Result<T> {
    put_in_place(path, OPEN_MODE, fill)
}

fn put_in_place<T>(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<T>,
) -> io::Result<T> {
    let parent = parent_of(path);
    let temp = tempfile::Builder::new()
        .prefix(".mailsweep-")
        .permissions(std::fs::Permissions::from_mode(FILE_MODE))
        .tempfile_in(parent)?;
    if mode != FILE_MODE {
        // Said once more, since a process's mask would take from it.
        temp.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    let mut out = BufWriter::with_capacity(1 << 18, temp.as_file());
    let value = fill(&mut out)?;
    out.flush()?;
    drop(out);
    temp.as_file().sync_all()?;
    temp.persist(path).map_err(|e| e.error)?;
    sync_parent(path)?;
    Ok(value)
}

/// Takes a file away, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(fault),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent_of(path))?.sync_all()
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_fails_half_way_leaves_the_old_one_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.csv");
        write_whole(&path, |out| out.write_all(b"old")).unwrap();
        let failed: io::Result<()> = write_whole(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::other("no room"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn everything_is_private_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let inner = dir.path().join("run");
        create_dir(&inner).unwrap();
        assert_eq!(mode(&inner), 0o700);
        let log = inner.join("journal.jsonl");
        create_log(&log).unwrap();
        write_whole(&inner.join("run.json"), |out| out.write_all(b"{}")).unwrap();
        assert_eq!(mode(&log), 0o600);
        assert_eq!(mode(&inner.join("run.json")), 0o600);
        write_whole_for_all(&inner.join("sweep.prom"), |out| out.write_all(b"x 1\n")).unwrap();
        assert_eq!(mode(&inner.join("sweep.prom")), 0o644);
    }
}
