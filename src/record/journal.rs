//! The journal: one JSON object a line, each chained to all before it.
//!
//! A line is the entry's object with two more members: `synced`, if a sync has ended since the line
//! before (all up to that byte was on the disk), and last `h`, a hash over the chain so far and
//! everything in the line before it. So a torn tail, a changed byte, a lost or swapped line all
//! show, and it shows from where on nothing can be vouched for.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::disk::{Disk, DiskFile};
use super::entry::Entry;

/// The hash of everything up to some line: the first 128 bits of BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain([u8; 16]);

impl Chain {
    /// The chain's beginning: bound to the run's settings and its input.
    pub fn seed(run_json: &[u8], input_sha256: &str) -> Chain {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"mailsweep journal 1\n").update(blake3::hash(run_json).as_bytes());
        hasher.update(input_sha256.as_bytes());
        Chain::cut(hasher.finalize())
    }

    fn next(self, line: &[u8]) -> Chain {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(line);
        Chain::cut(hasher.finalize())
    }

    /// In hexadecimal. By hand, since it is done for every line.
    fn digits(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }

    /// Reads what a chain hash is written as, in any case and with blanks around it.
    pub fn read(text: &str) -> Option<Chain> {
        let text = text.trim();
        let is_hash = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes = u128::from_str_radix(text, 16).ok().filter(|_| is_hash)?;
        Some(Chain(bytes.to_be_bytes()))
    }

    fn cut(hash: blake3::Hash) -> Chain {
        let mut short = [0; 16];
        short.copy_from_slice(&hash.as_bytes()[..16]);
        Chain(short)
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.digits();
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

/// `,"h":"` + 32 digits + `"}`
pub(super) const HASH_TAIL: usize = 6 + 32 + 2;
const SYNCED: &str = ",\"synced\":";
/// Every line begins so. Neither stands inside a text, where quotes are escaped.
const BEGINNING: &str = "{\"t\":";

/// A line is no longer than this, in bytes: what is longer was not written here.
const MAX_LINE: usize = 4 << 20;

/// A line has no more operations or rows of them than this; what has more takes several.
const MAX_LIST: usize = 10_000;

/// The journal's end: where the next line goes and what it is chained to.
pub struct Journal {
    log: DiskFile,
    /// What was appended and not yet written, line upon line.
    buffer: Vec<u8>,
    /// Where the next line will stand, what is still in the buffer included.
    offset: u64,
    chain: Chain,
    /// The highest sync that a line has noted.
    noted: u64,
    synced: u64,
    /// An entry that makes no line.
    misfit: Option<String>,
}

impl Journal {
    /// A new journal, locked for this process.
    ///
    /// # Errors
    /// If the file is there already or cannot be made.
    pub fn create(disk: &Disk, path: &Path, seed: Chain) -> io::Result<Journal> {
        let log = disk.create_log(path)?;
        lock(log.file())?;
        let buffer = Vec::new();
        Ok(Journal { log, buffer, offset: 0, chain: seed, noted: 0, synced: 0, misfit: None })
    }

    /// A journal that goes with the process.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn unnamed(disk: &Disk) -> io::Result<Journal> {
        let (log, chain) = (disk.unnamed_log()?, Chain([0; 16]));
        Ok(Journal { log, buffer: Vec::new(), offset: 0, chain, noted: 0, synced: 0, misfit: None })
    }

    /// Goes on with a journal that was read up to `tail`; what stands behind it is cut off.
    ///
    /// # Errors
    /// If it cannot be cut.
    pub(super) fn go_on(log: DiskFile, tail: Tail) -> io::Result<Journal> {
        if log.file().metadata()?.len() > tail.offset {
            log.truncate(tail.offset)?;
        }
        // What was read may be in the page cache alone, and what follows builds on it. After a sync
        // that failed the system even takes such pages for written: so they are, once more.
        rewrite(&log, tail.noted, tail.offset)?;
        log.sync()?;
        Ok(Journal {
            log,
            buffer: Vec::new(),
            offset: tail.offset,
            chain: tail.chain,
            noted: tail.noted,
            synced: tail.offset,
            misfit: None,
        })
    }

    /// Puts one entry at the end of what the next [`flush`](Self::flush) writes, and returns the
    /// byte at which its line begins. `synced` is how far the file is known to be on the disk.
    ///
    /// A long list becomes several lines, so that none is longer than is read.
    pub fn append(&mut self, entry: &Entry, synced: u64) -> u64 {
        let line_at = self.offset;
        match entry.pieces(MAX_LIST) {
            Some(pieces) => pieces.iter().for_each(|piece| self.line(piece, synced)),
            None => self.line(entry, synced),
        }
        line_at
    }

    fn line(&mut self, entry: &Entry, synced: u64) {
        let start = self.buffer.len();
        if let Err(fault) = serde_json::to_writer(&mut self.buffer, entry) {
            self.buffer.truncate(start);
            self.misfit = Some(fault.to_string());
            return;
        }
        self.buffer.pop();
        if synced > self.noted {
            self.noted = synced;
            let _ = write!(self.buffer, "{SYNCED}{synced}");
        }
        let length = self.buffer.len() - start + HASH_TAIL + 1;
        if length > MAX_LINE {
            self.buffer.truncate(start);
            self.misfit = Some(format!("{length} bytes in one line, and {MAX_LINE} are the most"));
            return;
        }
        self.chain = self.chain.next(&self.buffer[start..]);
        self.buffer.extend_from_slice(b",\"h\":\"");
        self.buffer.extend_from_slice(&self.chain.digits());
        self.buffer.extend_from_slice(b"\"}\n");
        self.offset += length as u64;
    }

    /// Hands what was appended to the operating system: it then survives the end of the process.
    ///
    /// # Errors
    /// If it cannot be written; part of it may have been. Called again, it writes the same again, in
    /// the same place.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(why) = &self.misfit {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why.clone()));
        }
        self.log.write_all_at(&self.buffer, self.offset - self.buffer.len() as u64)?;
        self.buffer.clear();
        Ok(())
    }

    /// The same, and waits until it is on the disk; the next line notes that.
    ///
    /// # Errors
    /// If it cannot be written or synced.
    pub fn flush_to_disk(&mut self) -> io::Result<()> {
        self.flush()?;
        self.log.sync()?;
        self.synced = self.offset;
        Ok(())
    }

    /// The file, for reading in it.
    ///
    /// # Errors
    /// If the system has no more file handles.
    pub fn handle(&self) -> io::Result<File> {
        self.log.file().try_clone()
    }

    /// The file, for syncing it from elsewhere.
    pub(super) fn log(&self) -> io::Result<DiskFile> {
        self.log.try_clone()
    }

    /// How much of it is on the disk, as far as it knows itself.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Where the next line goes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The hash of all that was appended.
    pub fn chain(&self) -> Chain {
        self.chain
    }
}

/// Writes what stands between two bytes of a file into the same place again.
fn rewrite(log: &DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    const PIECE: u64 = 1 << 20;
    let mut piece = Vec::new();
    while from < to {
        piece.resize(usize::try_from(PIECE.min(to - from)).unwrap_or_default(), 0);
        log.file().read_exact_at(&mut piece, from)?;
        log.write_all_at(&piece, from)?;
        from += piece.len() as u64;
    }
    Ok(())
}

/// Whether a journal's end says that its last session has ended in good order; what an undo has noted
/// behind that changes nothing about it. Reads the end alone and vouches for nothing.
pub fn looks_closed(file: &File) -> io::Result<bool> {
    const TAIL: u64 = 4096;
    let length = file.metadata()?.len();
    let mut taken = TAIL;
    loop {
        let (mut from, mut tail) = (file, Vec::new());
        from.seek(SeekFrom::Start(length.saturating_sub(taken)))?;
        from.take(taken).read_to_end(&mut tail)?;
        let Some(whole) = tail.strip_suffix(b"\n") else { return Ok(false) };
        let mut lines = whole.rsplit(|byte| *byte == b'\n');
        let last = lines.find(|line| !line.starts_with(b"{\"t\":\"undone\"")).unwrap_or_default();
        let is_whole = lines.next().is_some() || taken >= length;
        if is_whole {
            return Ok(last.starts_with(b"{\"t\":\"close\""));
        }
        taken = taken.saturating_mul(2);
    }
}

/// Locks a journal for this process. Who only looks whether it is locked ([`is_locked`]) has a lock
/// on it for a moment, so it is tried for a moment too.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if another one has it.
pub fn lock(file: &File) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut tries = 50;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if tries > 1 => {
                tries -= 1;
                std::thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(fault)) => return Err(fault),
        }
    }
}

/// Whether a process has a journal locked. There is no way to ask but to take the lock, which is
/// shared with others who ask and given back at once.
///
/// # Errors
/// If the file system has no locks.
pub fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(fault)) => Err(fault),
    }
}

/// The end of what could be read.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    /// The byte behind the last sound line.
    pub offset: u64,
    /// The hash of all up to there.
    pub chain: Chain,
    noted: u64,
    lines: u64,
    /// Whether a session has begun and not ended.
    is_open: bool,
}

impl Tail {
    /// Nothing has been read yet.
    pub fn start(seed: Chain) -> Tail {
        Tail { offset: 0, chain: seed, noted: 0, lines: 0, is_open: false }
    }
}

/// What stands behind the last sound line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// How many lines, whole or not.
    pub lines: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is not what was written, and not because a kill tore it.
    #[error(
        "line {line} of the journal is damaged or was altered ({why}), and that is no torn end such as a kill leaves; take what is known from its results, and start a new run for the rest"
    )]
    Damaged {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A sound line that does not fit the job.
    #[error("line {line} of the journal does not fit the run: {why}")]
    Misfit {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads a journal from `tail` to where its end is now, and hands each entry on, with the byte its
/// line begins at and the chain behind it. Stops at the first line that is not sound: behind the
/// last sync that was noted it is a torn tail, which is told and not an error; before it, it is
/// damage. So is a whole line where no session is open: what begins a session is on the disk before
/// anything is sent, and whatever tears it leaves a fragment. `tail` moves with every sound line, so
/// that more can be read from there later.
///
/// # Errors
/// See [`ReadError`]; also whatever `each` refuses.
pub fn read(
    file: &File,
    tail: &mut Tail,
    mut each: impl FnMut(Entry, u64, Chain) -> Result<(), String>,
) -> Result<Option<Torn>, ReadError> {
    // It may be growing: what is half written when it is reached must not be taken for a line that
    // others follow, so nothing is read that was not there at the beginning.
    let end = file.metadata()?.len();
    let mut file = file;
    file.seek(SeekFrom::Start(tail.offset))?;
    let mut reader = BufReader::with_capacity(1 << 18, file.take(end.saturating_sub(tail.offset)));
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(None);
        }
        let number = tail.lines + 1;
        match parse(&line, tail.chain) {
            Ok((entry, chain, synced)) => {
                let is_open = match entry {
                    Entry::Session(_) => true,
                    Entry::Close { .. } => false,
                    _ => tail.is_open,
                };
                each(entry, tail.offset, chain).map_err(|why| ReadError::Misfit { line: number, why })?;
                let (offset, noted) = (tail.offset + length, synced.unwrap_or(tail.noted));
                *tail = Tail { offset, chain, noted, lines: number, is_open };
            }
            Err(Unsound::Unknown(why)) => return Err(ReadError::Misfit { line: number, why }),
            Err(Unsound::Torn(why)) => {
                let (torn, synced) = look_behind(&line, tail.offset, &mut reader)?;
                let is_whole = line.ends_with(b"\n");
                if (is_whole && !tail.is_open) || tail.noted.max(synced) > tail.offset {
                    return Err(ReadError::Damaged { line: number, why });
                }
                return Ok(Some(torn));
            }
        }
    }
}

/// Why a line is not taken.
enum Unsound {
    /// It is not what was written.
    Torn(&'static str),
    /// It is what was written, and by a program that knew more than this one.
    Unknown(String),
}

fn parse(line: &[u8], before: Chain) -> Result<(Entry, Chain, Option<u64>), Unsound> {
    let line = line.strip_suffix(b"\n").ok_or(Unsound::Torn("it has no end"))?;
    let text = std::str::from_utf8(line).map_err(|_| Unsound::Torn("it is not text"))?;
    let split = text.len().checked_sub(HASH_TAIL).filter(|at| text.is_char_boundary(*at));
    let (content, tail) = text.split_at(split.ok_or(Unsound::Torn("it is too short"))?);
    let chain = before.next(content.as_bytes());
    if tail != format!(",\"h\":\"{chain}\"}}") {
        return Err(Unsound::Torn("its hash does not fit"));
    }
    let synced = content.rfind(SYNCED).and_then(|at| content[at + SYNCED.len()..].parse().ok());
    let entry = serde_json::from_str(&format!("{content}}}"))
        .map_err(|fault| Unsound::Unknown(format!("an entry that this version does not know ({fault})")))?;
    Ok((entry, chain, synced))
}

/// Counts what stands from an unsound line on, which begins at byte `at`, and finds the highest sync
/// noted in it. A line that fits the one before it is as it was written, wherever it has come to stand,
/// such as behind a line that was taken out.
fn look_behind(first: &[u8], at: u64, reader: &mut impl BufRead) -> io::Result<(Torn, u64)> {
    let mut torn = Torn { lines: 0, bytes: 0 };
    let mut synced = 0;
    let mut line = first.to_vec();
    let mut before = None;
    while !line.is_empty() {
        let sound = before.and_then(|before| parse(&line, before).ok());
        let noted = sound.and_then(|(_, _, noted)| noted);
        synced = synced.max(noted.unwrap_or_else(|| noted_in(&line, at + torn.bytes)));
        before = stated(&line);
        torn.lines += 1;
        torn.bytes += line.len() as u64;
        line.clear();
        reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
    }
    Ok((torn, synced))
}

/// The hash that a line ends with.
fn stated(line: &[u8]) -> Option<Chain> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\"}\n")?;
    Chain::read(text.get(text.len().checked_sub(32)?..)?)
}

/// The sync that an unsound line notes, which begins at byte `at`; 0 if it notes none, or one that
/// cannot be: when a line is written, no more than what stands before it is on the disk.
fn noted_in(line: &[u8], at: u64) -> u64 {
    let last = |text: &[u8], word: &str| text.windows(word.len()).rposition(|part| part == word.as_bytes());
    let Some(place) = last(line, SYNCED) else { return 0 };
    let digits = line[place + SYNCED.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let noted =
        digits.fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    // Where the line break before it is what was damaged, it begins further on.
    let begins = at + last(&line[..place], BEGINNING).unwrap_or(0) as u64;
    if noted <= begins { noted } else { 0 }
}

#[cfg(test)]
mod tests;
