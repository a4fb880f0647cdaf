//! Bytes to raw records: where a record begins and ends, and where its cells do.
//!
//! This is a scanner of its own rather than the `csv` crate's reader (which the tests hold it
//! against), for what decides whether a mailbox is missed without a word:
//!
//! * A quote that is never closed makes the rest of the file one cell. Here that is an error at the
//!   line where the record starts, and so is text behind a closing quote, the usual sign that two
//!   stray quotes far apart were taken for a pair. `csv` accepts both.
//! * No record grows beyond [`MAX_BYTES`] and [`MAX_LINES`], so that a file without line ends, or
//!   one that never stops, ends in an error instead of filling the memory.
//! * A comment ends at any line end, CR included. For `csv` only LF ends it.
//! * The line number is right for LF, CRLF and CR alike.
//!
//! Apart from that the dialect is the usual one: a cell may be quoted with `"`, a doubled quote
//! inside is one quote, and a quote elsewhere is itself.

use std::io::{self, Read};

use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

use super::options::trim;

/// Most bytes in the cells of one record, counting one for each cell.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// Most lines that one record may span.
pub(super) const MAX_LINES: u64 = 100;

const BUFFER_BYTES: usize = 64 * 1024;

/// Why the records cannot be told apart from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The input ends inside quotes.
    #[error("a quote is opened in this row and never closed, so that the rest of the input is part of it")]
    OpenQuote,
    /// More lines than a record may have.
    #[error("the row that starts here runs over more than {MAX_LINES} lines: is a quote missing?")]
    ManyLines,
    /// More bytes than a record may have.
    #[error("the row that starts here is longer than {} KiB: is a quote or a line end missing?", MAX_BYTES / 1024)]
    Long,
    /// Text behind a closing quote in a record of several lines: it may have swallowed rows.
    #[error(
        "the row that starts here runs over several lines and has text behind a closing quote: is a quote missing?"
    )]
    Misquoted,
}

/// Why no further record can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes could not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The records cannot be told apart.
    #[error("line {line}: {what}")]
    Broken {
        /// The line where the record starts.
        line: u64,
        /// What is wrong with it.
        what: Broken,
    },
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        match error {
            ReadError::Io(error) => error,
            broken @ ReadError::Broken { .. } => {
                io::Error::new(io::ErrorKind::InvalidData, broken.to_string())
            }
        }
    }
}

/// UTF-8 without a mark, from UTF-8 with or without one or UTF-16 with one. What is not UTF-8 passes
/// unchanged: it is the fault of its row alone.
pub(super) fn decode<R: Read>(raw: R) -> DecodeReaderBytes<R, Vec<u8>> {
    DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(raw)
}

/// One record's cells, in buffers that the next record reuses.
#[derive(Debug, Default)]
pub(super) struct Record {
    text: String,
    ends: Vec<usize>,
    line: u64,
    last_line: u64,
    /// Whether all of it was UTF-8. If not, `text` has marks where it was not.
    pub(super) utf8: bool,
    /// Whether text stands behind a closing quote.
    pub(super) misquoted: bool,
}

impl Record {
    /// The line on which it starts, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// How many cells it has.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell as it is in the file, without its quotes; blank where the record has none.
    pub(super) fn cell(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(0) };
        self.ends.get(index).and_then(|end| self.text.get(start..*end)).unwrap_or("")
    }

    /// All cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.cell(index))
    }

    /// Whether there is nothing in any cell.
    fn is_blank(&self) -> bool {
        trim(&self.text).is_empty()
    }

    /// Takes the bytes of the cells. Bytes that are not UTF-8 are replaced cell by cell, since two
    /// halves of a character in neighbouring cells would seem whole together.
    fn fill(&mut self, bytes: Vec<u8>) {
        self.utf8 = true;
        match String::from_utf8(bytes) {
            Ok(text) if self.ends.iter().all(|end| text.is_char_boundary(*end)) => self.text = text,
            Ok(text) => self.fill_lossily(text.as_bytes()),
            Err(error) => self.fill_lossily(error.as_bytes()),
        }
    }

    fn fill_lossily(&mut self, bytes: &[u8]) {
        self.utf8 = false;
        self.text.clear();
        let mut start = 0;
        for end in &mut self.ends {
            self.text.push_str(&String::from_utf8_lossy(&bytes[start..*end]));
            start = *end;
            *end = self.text.len();
        }
    }
}

/// Finds records in UTF-8 text.
pub(super) struct Scanner<R> {
    input: R,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    delimiter: u8,
    /// Whether a byte ends a cell without quotes. A table, since this is asked of every byte.
    ends_cell: [bool; 256],
    line: u64,
}

/// Whether a byte needs a look inside quotes.
const ENDS_QUOTED: [bool; 256] = marked(b'"');

/// The line ends and one more byte.
const fn marked(byte: u8) -> [bool; 256] {
    let mut marked = [false; 256];
    marked[b'\n' as usize] = true;
    marked[b'\r' as usize] = true;
    marked[byte as usize] = true;
    marked
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Scanner<R> {
        let buffer = vec![0; BUFFER_BYTES].into();
        Scanner { input, buffer, at: 0, end: 0, delimiter, ends_cell: marked(delimiter), line: 1 }
    }

    /// The next record that is neither blank nor a comment; false at the end. After an error there
    /// is nothing sensible to go on with.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        loop {
            match self.peek()? {
                None => return Ok(false),
                Some(b'\r' | b'\n') => self.line_end(|_| ())?,
                Some(b'#') => self.skip_line()?,
                Some(_) => {
                    self.record(record)?;
                    if !record.is_blank() {
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn record(&mut self, record: &mut Record) -> Result<(), ReadError> {
        let line = self.line;
        let mut bytes = std::mem::take(&mut record.text).into_bytes();
        bytes.clear();
        record.ends.clear();
        record.line = line;
        record.misquoted = false;
        let outcome = self.cells(record, &mut bytes);
        record.fill(bytes);
        if outcome.is_ok() && record.misquoted && record.last_line > line {
            return Err(ReadError::Broken { line, what: Broken::Misquoted });
        }
        outcome
    }

    fn cells(&mut self, record: &mut Record, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
        loop {
            if self.peek()? == Some(b'"') {
                self.quoted(record, bytes)?;
                let rest = bytes.len();
                self.plain(record, bytes)?;
                record.misquoted |= !bytes[rest..].trim_ascii().is_empty();
            } else {
                self.plain(record, bytes)?;
            }
            record.ends.push(bytes.len());
            check_size(record, bytes.len())?;
            record.last_line = self.line;
            match self.peek()? {
                Some(byte) if byte == self.delimiter => self.at += 1,
                Some(_) => return Ok(self.line_end(|_| ())?),
                None => return Ok(()),
            }
        }
    }

    /// Copies up to the delimiter or the line end.
    fn plain(&mut self, record: &Record, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
        // The usual case first: the whole cell is in the buffer.
        let ahead = self.buffer.get(self.at..self.end).unwrap_or_default();
        if let Some(count) = ahead.iter().position(|byte| self.ends_cell[*byte as usize]) {
            check_size(record, bytes.len() + count)?;
            bytes.extend_from_slice(&ahead[..count]);
            self.at += count;
            return Ok(());
        }
        let ends_cell = self.ends_cell;
        self.copy_until(record, bytes, &ends_cell)
    }

    /// Copies what stands between quotes, the opening one being next.
    fn quoted(&mut self, record: &Record, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
        self.at += 1;
        loop {
            self.copy_until(record, bytes, &ENDS_QUOTED)?;
            match self.peek()? {
                None => return Err(ReadError::Broken { line: record.line, what: Broken::OpenQuote }),
                Some(b'"') => {
                    self.at += 1;
                    if self.peek()? != Some(b'"') {
                        return Ok(());
                    }
                    self.at += 1;
                    bytes.push(b'"');
                }
                Some(_) => {
                    self.line_end(|byte| bytes.push(byte))?;
                    if self.line - record.line >= MAX_LINES {
                        return Err(ReadError::Broken { line: record.line, what: Broken::ManyLines });
                    }
                }
            }
        }
    }

    fn copy_until(
        &mut self,
        record: &Record,
        bytes: &mut Vec<u8>,
        stop: &[bool; 256],
    ) -> Result<(), ReadError> {
        while self.peek()?.is_some() {
            let ahead = &self.buffer[self.at..self.end];
            let count = ahead.iter().position(|byte| stop[*byte as usize]).unwrap_or(ahead.len());
            // Checked before copying, so that what is held never exceeds the limit.
            check_size(record, bytes.len() + count)?;
            bytes.extend_from_slice(&ahead[..count]);
            self.at += count;
            if self.at < self.end {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Passes over the line end that is next: LF, CR, or both as one.
    fn line_end(&mut self, mut keep: impl FnMut(u8)) -> io::Result<()> {
        let Some(first) = self.peek()? else { return Ok(()) };
        keep(first);
        self.at += 1;
        self.line += 1;
        if first == b'\r' && self.peek()? == Some(b'\n') {
            keep(b'\n');
            self.at += 1;
        }
        Ok(())
    }

    fn skip_line(&mut self) -> io::Result<()> {
        while self.peek()?.is_some() {
            let ahead = &self.buffer[self.at..self.end];
            match ahead.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                None => self.at = self.end,
                Some(count) => {
                    self.at += count;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at >= self.end && !self.refill()? {
            return Ok(None);
        }
        Ok(self.buffer.get(self.at).copied())
    }

    #[cold]
    fn refill(&mut self) -> io::Result<bool> {
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(count) => {
                    (self.at, self.end) = (0, count.min(self.buffer.len()));
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn check_size(record: &Record, bytes: usize) -> Result<(), ReadError> {
    if bytes + record.ends.len() <= MAX_BYTES {
        Ok(())
    } else {
        Err(ReadError::Broken { line: record.line, what: Broken::Long })
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
