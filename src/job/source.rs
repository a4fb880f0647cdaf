//! An input that can be read more than once.
//!
//! The first record is looked at to find the delimiter, the whole is read to check it, parts of it
//! are read again to name lines, and all of it once more for results. A file is opened once and kept
//! open, so that all passes see the same file even if another is moved to its place. What cannot be
//! rewound (standard input, a pipe, a terminal) is copied to a temporary file without a name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::InputError;
use crate::domain::clean;

/// An input that can be read from its start as often as needed.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    File(Arc<Mutex<File>>),
    Bytes(Arc<[u8]>),
}

impl Source {
    /// A file. A pipe or a device, such as the shell's `<(…)`, is copied first.
    ///
    /// # Errors
    /// It is missing, a directory, or may not be read.
    pub fn file(path: impl AsRef<Path>) -> Result<Source, InputError> {
        let path = path.as_ref();
        let name = clean(&path.display().to_string());
        let failed = |error| InputError::Unreadable { name: name.clone(), error };
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        if !about.is_file() {
            return Source::spool(&name, file);
        }
        Ok(Source { name, kind: Kind::File(Arc::new(Mutex::new(file))) })
    }

    /// Standard input, copied to a temporary file.
    ///
    /// # Errors
    /// It cannot be read, or the copy cannot be written.
    pub fn stdin() -> Result<Source, InputError> {
        Source::spool("standard input", io::stdin().lock())
    }

    /// Anything that can be read only once, copied to a temporary file.
    ///
    /// # Errors
    /// It cannot be read, or the copy cannot be written.
    pub fn spool(name: &str, mut from: impl Read) -> Result<Source, InputError> {
        let spooled = tempfile::tempfile().and_then(|mut file| io::copy(&mut from, &mut file).map(|_| file));
        let file = spooled.map_err(|error| InputError::Spool { name: name.to_owned(), error })?;
        Ok(Source { name: name.to_owned(), kind: Kind::File(Arc::new(Mutex::new(file))) })
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Source {
        Source::named_bytes("input", bytes)
    }

    /// Bytes in memory, under a name.
    pub fn named_bytes(name: &str, bytes: impl Into<Vec<u8>>) -> Source {
        Source { name: name.to_owned(), kind: Kind::Bytes(bytes.into().into()) }
    }

    /// What to call it in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has, as far as can be told.
    pub(super) fn len(&self) -> u64 {
        match &self.kind {
            Kind::File(file) => {
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.metadata().map_or(0, |about| about.len())
            }
            Kind::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Reads it from the start. Several readers do not disturb one another.
    ///
    /// # Errors
    /// None today; a source may come that has to be opened anew.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.kind {
            Kind::File(file) => Box::new(Pass { file: Arc::clone(file), at: 0 }),
            Kind::Bytes(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
        })
    }
}

/// One pass over a file that others may be reading too: it knows its own place.
struct Pass {
    file: Arc<Mutex<File>>,
    at: u64,
}

impl Read for Pass {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.at))?;
        let count = file.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mut reader: impl Read) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_kind_is_read_from_the_start_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.csv");
        std::fs::write(&path, "email\na@example.com\n").unwrap();
        for source in [
            Source::file(&path).unwrap(),
            Source::spool("pipe", &b"email\na@example.com\n"[..]).unwrap(),
            Source::bytes("email\na@example.com\n"),
        ] {
            let mut first = source.open().unwrap();
            first.read_exact(&mut [0; 3]).unwrap();
            assert_eq!(text(source.open().unwrap()), "email\na@example.com\n");
            assert_eq!(text(first), "il\na@example.com\n", "another reader moved this one");
        }
    }

    #[test]
    fn a_file_that_is_replaced_meanwhile_is_still_the_one_that_was_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.csv");
        std::fs::write(&path, "old").unwrap();
        let source = Source::file(&path).unwrap();
        std::fs::write(directory.path().join("new"), "new").unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
        assert_eq!(text(source.open().unwrap()), "old");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_copied_so_that_it_can_be_read_again() {
        assert_eq!(text(Source::file("/dev/null").unwrap().open().unwrap()), "");
    }

    #[test]
    fn what_cannot_be_opened_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no\nsuch.csv");
        let error = Source::file(missing).unwrap_err().to_string();
        assert!(error.contains("no such.csv") && error.contains("does not exist"), "{error}");
        let error = Source::file(directory.path()).unwrap_err().to_string();
        assert!(error.contains("is a directory"), "{error}");
    }

    #[test]
    fn a_pipe_that_breaks_is_an_error_not_a_shorter_input() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("torn"))
            }
        }
        let input = (&b"email\n"[..]).chain(Broken);
        assert!(Source::spool("standard input", input).unwrap_err().to_string().contains("torn"));
    }
}
