//! The tables that a session's end vouches for: made anew, hashed, compared, written again.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::super::closing::hashed;
use super::super::disk;
use super::super::results::{Material, Tally};
use super::super::rundir::{DirError, RESULTS, RunDir, UNFINISHED};
use super::follow::End;
use super::table::{self, Comparison};
use super::{Finding, Verdict};

/// The hash of a file, if there is one.
pub(super) fn hash_of(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(Some(hasher.finalize().to_hex().to_string()))
}

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Results,
    Unfinished,
}

/// The hashes of the tables that the journal comes to.
pub(super) struct Anew {
    pub(super) tally: Tally,
    results: String,
    unfinished: Option<String>,
}

impl Anew {
    /// Makes the tables anew, to their hashes.
    pub(super) fn new(material: &Material<'_>) -> io::Result<Anew> {
        let nowhere = &mut io::sink();
        let (tally, results) = hashed(nowhere, |out| material.write_results(out))?;
        let unfinished = match tally.has_unfinished {
            true => Some(hashed(nowhere, |out| material.write_unfinished(out))?.1),
            false => None,
        };
        Ok(Anew { tally, results, unfinished })
    }

    /// The hash of a table; none if there is to be no such file.
    pub(super) fn of(&self, table: Table) -> Option<&str> {
        match table {
            Table::Results => Some(&self.results),
            Table::Unfinished => self.unfinished.as_deref(),
        }
    }
}

impl End {
    /// The hash that it has of a table.
    pub(super) fn of(&self, table: Table) -> Option<&str> {
        match table {
            Table::Results => Some(&self.results),
            Table::Unfinished => self.unfinished.as_deref(),
        }
    }
}

impl Table {
    pub(super) const ALL: [Table; 2] = [Table::Results, Table::Unfinished];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Table::Results => RESULTS,
            Table::Unfinished => UNFINISHED,
        }
    }

    fn write(self, material: &Material<'_>, out: impl Write) -> io::Result<()> {
        match self {
            Table::Results => material.write_results(out).map(|_| ()),
            Table::Unfinished => material.write_unfinished(out),
        }
    }

    /// The hash of the file that is there, if there is one.
    pub(super) fn found(self, dir: &RunDir) -> io::Result<Option<String>> {
        hash_of(&dir.file(self.name()))
    }

    /// What is to be said of a file that has another hash than the journal, held against what the
    /// journal comes to.
    pub(super) fn compared(self, dir: &RunDir, material: &Material<'_>) -> io::Result<Finding> {
        let found = BufReader::new(File::open(dir.file(self.name()))?);
        let finding = |verdict, says: String| Finding::new(self.name(), verdict, says);
        Ok(match self.compare(material, found)? {
            Comparison::SavedAgain(form) => {
                let marks = form.marks.join(", ");
                let mut says = format!("the same content, saved again with {marks}");
                if let Some(first) = form.first {
                    let n = form.reformatted;
                    says += &format!(
                        "; {n} cells in another form, the first in line {}: {}",
                        first.line, first.what
                    );
                }
                finding(Verdict::SavedAgain, says)
            }
            Comparison::Sorted => finding(Verdict::SavedAgain, "the same lines in another order".to_owned()),
            Comparison::Differs(first) => finding(Verdict::Altered, first.what).at(first.line),
        })
    }

    /// Holds a file against what is made anew. One thread makes, the other compares, so that neither
    /// needs more memory than a pipe has.
    fn compare(self, material: &Material<'_>, found: impl Read) -> io::Result<Comparison> {
        let delimiter = match self {
            Table::Results => b',',
            Table::Unfinished => material.job.layout.delimiter(),
        };
        let (written, pipe) = io::pipe()?;
        std::thread::scope(|scope| {
            let maker = scope.spawn(move || self.write(material, BufWriter::new(pipe)));
            let compared = table::compare(BufReader::new(written), delimiter, found)?;
            match maker.join() {
                Ok(made) => made.map(|()| compared),
                Err(_) => Err(io::Error::other("the table could not be made anew")),
            }
        })
    }

    /// Writes the file again, if it comes out with this hash; takes it away if there is to be none.
    pub(super) fn rewrite(
        self,
        dir: &RunDir,
        material: &Material<'_>,
        wanted: Option<&str>,
    ) -> Result<(), DirError> {
        let path = dir.file(self.name());
        let done = match wanted {
            None => disk::remove(&path),
            Some(wanted) => disk::write_whole(&path, |out| {
                let ((), hash) = hashed(out, |out| self.write(material, out))?;
                let is_it = hash == wanted;
                is_it.then_some(()).ok_or_else(|| io::Error::other("it does not come out as it was"))
            }),
        };
        done.map_err(DirError::io(&path))
    }
}
