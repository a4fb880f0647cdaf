//! Whether a run has room on its disk, judged before it begins: one that stops half-way because the
//! disk is full has lost nothing, but it has not contained anything either.

use std::path::Path;

use super::disk::Disk;
use super::rundir::{DirError, RunDir};
use crate::job::{Job, Source};

/// What the journal takes for one operation: what is about to be sent, what came of it, its part in a
/// reading of the state, and a try in vain now and then.
const JOURNAL_BYTES: u64 = 400;

/// What the results have of an operation beside the cells of its row.
const RESULT_BYTES: u64 = 200;

/// Others write to the disk too.
const MARGIN_BYTES: u64 = 4 << 20;

/// What a run is likely to take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// For the journal.
    pub journal: u64,
    /// For results, unfinished rows and what else is written at the end.
    pub results: u64,
    /// For the copy of the input.
    pub input: u64,
}

impl Estimate {
    /// For a job of which so many operations are still to be called.
    pub fn new(job: &Job, input: &Source, to_do: usize) -> Estimate {
        let rows = job.operations.iter().map(|operation| operation.row).max().unwrap_or(0);
        let input = input.len();
        let a_row = input / u64::from(rows.max(1));
        let operations = job.operations.len() as u64;
        let results = operations.saturating_mul(RESULT_BYTES.saturating_add(a_row)).saturating_add(input);
        Estimate { journal: (to_do as u64).saturating_mul(JOURNAL_BYTES), results, input }
    }

    /// All of it, with a margin.
    pub fn sum(&self) -> u64 {
        self.journal.saturating_add(self.results).saturating_add(self.input).saturating_add(MARGIN_BYTES)
    }
}

impl RunDir {
    /// Refuses a run that cannot fit where its directory is or will be. Where nobody says how much
    /// is free, it may try.
    ///
    /// # Errors
    /// [`DirError::NoRoom`] with the numbers.
    pub fn check_room(disk: &Disk, place: &Path, needed: Estimate) -> Result<(), DirError> {
        match disk.free(place) {
            Ok(free) if free < needed.sum() => {
                Err(DirError::NoRoom { path: place.display().to_string(), free, needed })
            }
            _ => Ok(()),
        }
    }
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits or three")]
    let mut amount = bytes as f64 / 1000.0;
    let mut unit = 0;
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(amount < 9.95);
    format!("{amount:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Exit;
    use crate::job::{InputOptions, read};

    #[test]
    fn a_run_that_does_not_fit_is_refused_with_the_numbers() {
        let rows: String = (0..10_000).map(|n| format!("user{n:05}@example.com,suspend,login\n")).collect();
        let input = Source::bytes(format!("email,action,channel\n{rows}"));
        let job = read(&input, &InputOptions::default()).unwrap();
        let needed = Estimate::new(&job, &input, 10_000);
        assert_eq!((needed.journal, needed.input), (4_000_000, 360_021));
        // 200 bytes and a row of 36 for each, and all rows once more.
        assert_eq!(needed.results, 2_360_000 + 360_021);
        let root = tempfile::tempdir().unwrap();
        // What is not there yet is judged by what it will stand in.
        let place = root.path().join("runs/one");
        RunDir::check_room(&Disk::with_free(needed.sum()), &place, needed).unwrap();
        let refused = RunDir::check_room(&Disk::with_free(needed.sum() - 1), &place, needed).unwrap_err();
        assert_eq!(refused.exit(), Exit::Unwritable);
        let told = refused.to_string();
        for part in ["runs/one", "needs about 11 MB", "journal 4.0 MB", "results 2.7 MB", "11 MB free"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        RunDir::check_room(&Disk::default(), &place, Estimate::new(&job, &input, 0)).unwrap();
    }

    #[test]
    fn sizes_are_told_with_two_or_three_digits() {
        let told = [0, 1_234, 12_345, 999_499, 999_500, 123_456_789, 7_654_321_000, u64::MAX].map(size);
        assert_eq!(
            told,
            ["0.0 kB", "1.2 kB", "12 kB", "999 kB", "1.0 MB", "123 MB", "7.7 GB", "18446744 TB"]
        );
    }
}
