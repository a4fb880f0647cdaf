//! Disks that fail when they are told to.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::*;

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// It writes half of what it is given, once, and says so: no fault, if nobody takes it for the
    /// whole.
    WritesHalf,
    /// From then on it is full: the first write gets half of its bytes in, and nothing that needs
    /// room succeeds after that.
    IsFull,
    /// One operation fails with an I/O error; all others succeed.
    FailsOnce,
    /// From then on every operation fails with an I/O error.
    IsGone,
}

impl Ailment {
    /// Each of them.
    pub const ALL: [Ailment; 4] = [Ailment::WritesHalf, Ailment::IsFull, Ailment::FailsOnce, Ailment::IsGone];
}

/// The real disk, up to operation number `at`, counted from 0.
struct Ill {
    at: u64,
    ailment: Ailment,
    done: Arc<AtomicU64>,
}

/// How many operations an ill disk was asked for.
#[derive(Clone)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// So many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Disk {
    /// A disk that falls ill at this operation.
    pub fn ill(at: u64, ailment: Ailment) -> (Disk, Count) {
        let done = Arc::new(AtomicU64::new(0));
        let disk = Disk::over(Ill { at, ailment, done: Arc::clone(&done) });
        (disk, Count(done))
    }
}

/// A disk with so much room.
struct Free(u64);

impl Ops for Free {
    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0)
    }
}

impl Disk {
    /// A disk that says it has so many bytes free.
    pub fn with_free(bytes: u64) -> Disk {
        Disk::over(Free(bytes))
    }
}

const NO_SPACE: i32 = 28;
const IO: i32 = 5;

fn fault(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl Ill {
    /// Counts one more; an error if it is to fail.
    fn next(&self, needs_room: bool) -> io::Result<()> {
        let number = self.done.fetch_add(1, Ordering::SeqCst);
        match self.ailment {
            Ailment::FailsOnce if number == self.at => Err(fault(IO)),
            Ailment::IsGone if number >= self.at => Err(fault(IO)),
            Ailment::IsFull if number >= self.at && needs_room => Err(fault(NO_SPACE)),
            _ => Ok(()),
        }
    }
}

impl Ill {
    /// What a write gets in that is to get only half in; it is counted then.
    fn half_of<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let is_due = self.done.load(Ordering::SeqCst) == self.at;
        if !is_due || !matches!(self.ailment, Ailment::WritesHalf | Ailment::IsFull) {
            return None;
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        Some(&bytes[..bytes.len().div_ceil(2)])
    }
}

impl Ops for Ill {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.next(true)?;
        Real.make_dir(path)
    }

    fn make_dirs_out(&self, path: &Path) -> io::Result<()> {
        self.next(true)?;
        Real.make_dirs_out(path)
    }

    fn open(&self, path: &Path, how: &OpenOptions) -> io::Result<File> {
        self.next(!path.exists())?;
        Real.open(path, how)
    }

    fn write_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
        match self.half_of(bytes) {
            Some(half) => Real.write_at(file, half, at),
            None => self.next(true).and_then(|()| Real.write_at(file, bytes, at)),
        }
    }

    fn open_unnamed(&self) -> io::Result<File> {
        self.next(true)?;
        Real.open_unnamed()
    }

    fn write_on(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        match self.half_of(bytes) {
            Some(half) => Real.write_on(file, half),
            None => self.next(true).and_then(|()| Real.write_on(file, bytes)),
        }
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.next(false)?;
        Real.truncate(file, length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.next(false)?;
        Real.sync(file)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.next(false)?;
        Real.sync_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.next(true)?;
        Real.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.next(false)?;
        Real.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.next(false)?;
        Real.remove_dir(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.next(false)?;
        Real.set_mode(path, mode)
    }

    fn share(&self, file: &File, mode: u32, gid: u32) -> io::Result<()> {
        self.next(false)?;
        Real.share(file, mode, gid)
    }
}

/// A disk behind a cache, as every real one is: a sync that fails leaves in the cache what it could
/// not write, and lets the system take it for written. Nobody sees that until the power fails.
#[derive(Default)]
pub struct Cache {
    is_broken: AtomicBool,
    /// Written, and not synced since: file and bytes.
    dirty: Mutex<Vec<(u64, Range<u64>)>>,
    /// What a failed sync has left behind.
    lost: Mutex<Vec<(u64, Range<u64>)>>,
}

impl Cache {
    /// A disk, and a hand on what is behind it.
    pub fn new() -> (Disk, Arc<Cache>) {
        let cache = Arc::new(Cache::default());
        (Disk::over(Cached(Arc::clone(&cache))), cache)
    }

    /// Whether syncs fail from now on.
    pub fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::SeqCst);
    }

    /// Takes out of a file what never reached the disk.
    pub fn power_cut(&self, path: &Path) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let number = file.metadata().unwrap().ino();
        for (of, bytes) in held(&self.dirty).iter().chain(held(&self.lost).iter()) {
            if *of == number {
                let nothing = vec![0; (bytes.end - bytes.start) as usize];
                file.write_all_at(&nothing, bytes.start).unwrap();
            }
        }
    }
}

fn held<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap()
}

struct Cached(Arc<Cache>);

impl Ops for Cached {
    fn write_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
        let (number, count) = (file.metadata()?.ino(), Real.write_at(file, bytes, at)?);
        let written = at..at + count as u64;
        let is_over = |old: &Range<u64>| written.start <= old.start && old.end <= written.end;
        held(&self.0.lost).retain(|(of, old)| *of != number || !is_over(old));
        held(&self.0.dirty).push((number, written));
        Ok(count)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let number = file.metadata()?.ino();
        let synced: Vec<_> = held(&self.0.dirty).extract_if(.., |(of, _)| *of == number).collect();
        if self.0.is_broken.load(Ordering::SeqCst) {
            held(&self.0.lost).extend(synced);
            return Err(fault(IO));
        }
        Ok(())
    }
}
