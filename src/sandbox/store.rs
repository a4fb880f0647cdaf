//! Where a world is kept so that it outlives the process, however the process ends.
//!
//! The file's first line is the whole world; each line behind it is one mailbox's new state. A
//! change is one `write` before its answer is sent, so a killed process loses nothing that anybody
//! was told. (A power cut may take the last lines: this is a rehearsal, not a journal.) What a kill
//! leaves half-written has no line end; nobody was told of it, and it is cut off.
//!
//! When a file with changes is opened it is written anew as a snapshot, in a file beside it that is
//! then renamed, so that there is never a moment without a whole one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::saved::SavedMailbox;
use super::world::{MailboxState, World};

impl World {
    /// Reads the world that a sandbox keeps in this file, without changing the file.
    ///
    /// # Errors
    /// The file cannot be read, or a whole line of it is not what a sandbox writes.
    pub fn load(path: &Path) -> io::Result<World> {
        read(path).map(|(world, _)| world)
    }
}

/// An open file with a world in it.
pub(super) struct Store {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// Whether a line that failed halfway may stand behind them.
    torn: bool,
    line: Vec<u8>,
}

impl Store {
    /// Opens the file and reads its world; if there is no file, makes one of `world`.
    pub fn open(path: &Path, world: World) -> io::Result<(Store, World)> {
        let (world, tail) = match read(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (world, Tail::Changed),
            Err(error) => return Err(error),
        };
        let (file, len) = match tail {
            Tail::Changed => write_snapshot(path, &world)?,
            Tail::Clean(len) => {
                let file = OpenOptions::new().append(true).open(path)?;
                file.set_len(len)?;
                (file, len)
            }
        };
        Ok((Store { path: path.to_owned(), file, len, torn: false, line: Vec::new() }, world))
    }

    /// Writes down that a mailbox has a new state.
    pub fn append(&mut self, address: &str, state: MailboxState) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, &SavedMailbox::new(address, state))?;
        self.line.push(b'\n');
        let written = self.file.write_all(&self.line);
        match written {
            Ok(()) => self.len += self.line.len() as u64,
            Err(_) => self.torn = true,
        }
        written
    }

    /// Writes the whole world anew.
    pub fn rewrite(&mut self, world: &World) -> io::Result<()> {
        (self.file, self.len) = write_snapshot(&self.path, world)?;
        self.torn = false;
        Ok(())
    }
}

/// What follows the snapshot in a file.
enum Tail {
    /// Changes.
    Changed,
    /// Nothing whole: the file is to be cut to this length.
    Clean(u64),
}

fn read(path: &Path) -> io::Result<(World, Tail)> {
    let bytes = std::fs::read(path)?;
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let mut lines = bytes[..whole].split_inclusive(|&b| b == b'\n');
    let snapshot = lines.next().ok_or_else(|| damaged(path, 1, "there is no whole line"))?;
    let mut world: World = serde_json::from_slice(snapshot).map_err(|e| damaged(path, 1, e))?;
    for (number, line) in (2..).zip(lines) {
        let change: SavedMailbox<'_> = serde_json::from_slice(line).map_err(|e| damaged(path, number, e))?;
        if !world.set_mailbox(&change.name, change.state()) {
            return Err(damaged(path, number, format!("there is no mailbox “{}”", change.name)));
        }
    }
    let tail = if whole > snapshot.len() { Tail::Changed } else { Tail::Clean(whole as u64) };
    Ok((world, tail))
}

fn damaged(path: &Path, line: usize, why: impl std::fmt::Display) -> io::Error {
    let text = format!("{}, line {line}: not the state of a sandbox: {why}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn write_snapshot(path: &Path, world: &World) -> io::Result<(File, u64)> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made readable for its owner alone: it holds the accounts' tokens.
    let file = tempfile::Builder::new().prefix(".sandbox-").tempfile_in(dir)?;
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(&mut writer, world)?;
    writer.write_all(b"\n")?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    let file = OpenOptions::new().append(true).open(path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::Flags;

    fn small() -> World {
        World::for_mailboxes("u", "t", ["a@example.com", "b@example.com"])
    }

    fn state(login: bool, sent_messages: u32) -> MailboxState {
        MailboxState { flags: Flags { login, ..Flags::default() }, held_messages: 0, sent_messages }
    }

    #[test]
    fn changes_are_there_without_any_closing_and_the_last_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sandbox.json");
        let (mut store, world) = Store::open(&path, small()).unwrap();
        assert_eq!(world, small());
        store.append("a@example.com", state(true, 0)).unwrap();
        store.append("a@example.com", state(false, 4)).unwrap();
        store.append("b@example.com", state(true, 0)).unwrap();
        let found = World::load(&path).unwrap();
        assert_eq!(found.mailbox("a@example.com"), Some(state(false, 4)));
        assert_eq!(found.mailbox("b@example.com"), Some(state(true, 0)));
        std::mem::forget(store);
    }

    #[test]
    fn opening_makes_a_snapshot_of_the_changes_and_takes_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sandbox.json");
        let (mut store, _) = Store::open(&path, small()).unwrap();
        store.append("a@example.com", state(true, 1)).unwrap();
        drop(store);
        let (mut store, world) = Store::open(&path, World::new()).unwrap();
        assert_eq!(world.mailbox("a@example.com"), Some(state(true, 1)));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        store.append("b@example.com", state(true, 2)).unwrap();
        assert_eq!(World::load(&path).unwrap().mailbox("b@example.com"), Some(state(true, 2)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_line_torn_at_any_byte_is_ignored_and_cut_before_the_next_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sandbox.json");
        let (mut store, _) = Store::open(&path, small()).unwrap();
        let start = store.len;
        store.append("a@example.com", state(true, 0)).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in start as usize..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(World::load(&path).unwrap(), small(), "cut at {cut}");
            let (mut store, world) = Store::open(&path, World::new()).unwrap();
            assert_eq!(world, small());
            store.append("b@example.com", state(true, 0)).unwrap();
            let found = World::load(&path).unwrap();
            assert_eq!(found.mailbox("a@example.com"), Some(state(false, 0)));
            assert_eq!(found.mailbox("b@example.com"), Some(state(true, 0)));
        }
    }

    #[test]
    fn damage_that_no_kill_makes_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sandbox.json");
        let (mut store, _) = Store::open(&path, small()).unwrap();
        store.append("a@example.com", state(true, 0)).unwrap();
        let sound = fs::read_to_string(&path).unwrap();
        for (text, line) in [
            (sound.replace("{\"name\":\"a@example.com\"", "{\"name\":"), "line 2"),
            (sound.replace("a@example.com", "c@example.com"), "line 2"),
            (sound.replacen('{', "", 1), "line 1"),
            (String::new(), "line 1"),
        ] {
            fs::write(&path, text).unwrap();
            let error = World::load(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(line), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sandbox.json");
        let (mut store, world) = Store::open(&path, small()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        store.rewrite(&world).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
