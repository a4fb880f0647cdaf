//! How many of something there were over time, in so many steps at most, however long it takes.
//!
//! The steps begin short and double in length whenever there would be too many of them: so nothing
//! must be known beforehand about how long a run will have taken.

use super::entry::Stamp;

/// Counts over time; each step has two: those that ended well, and the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    start: Stamp,
    step_ms: u64,
    steps: Vec<[u64; 2]>,
}

/// More steps than this are never kept.
pub const MOST_STEPS: usize = 256;

const FIRST_STEP_MS: u64 = 100;

impl Timeline {
    /// Nothing yet, from here on.
    pub fn new(start: Stamp) -> Timeline {
        Timeline { start, step_ms: FIRST_STEP_MS, steps: Vec::new() }
    }

    /// Counts one. What lies before the start counts as at the start.
    pub fn note(&mut self, at: Stamp, is_well: bool) {
        let after = u64::try_from(at.0.saturating_sub(self.start.0)).unwrap_or(0);
        while after / self.step_ms >= MOST_STEPS as u64 {
            self.double();
        }
        // Less than MOST_STEPS by now.
        let step = usize::try_from(after / self.step_ms).unwrap_or_default();
        if self.steps.len() <= step {
            self.steps.resize(step + 1, [0; 2]);
        }
        self.steps[step][usize::from(!is_well)] += 1;
    }

    /// Makes each step twice as long.
    pub fn double(&mut self) {
        self.step_ms *= 2;
        let pairs = self.steps.chunks(2);
        self.steps = pairs
            .map(|pair| pair.iter().fold([0; 2], |sum, step| [sum[0] + step[0], sum[1] + step[1]]))
            .collect();
    }

    /// When the first step begins.
    pub fn start(&self) -> Stamp {
        self.start
    }

    /// How long a step is, in milliseconds.
    pub fn step_ms(&self) -> u64 {
        self.step_ms
    }

    /// Each step, up to the last that has something.
    pub fn steps(&self) -> &[[u64; 2]] {
        &self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_until_all_fits_and_nothing_is_lost() {
        let mut line = Timeline::new(Stamp(1000));
        line.note(Stamp(0), true);
        line.note(Stamp(1099), true);
        line.note(Stamp(1100), false);
        assert_eq!((line.step_ms(), line.steps()), (100, &[[2, 0], [0, 1]][..]));
        line.note(Stamp(1000 + 100 * 256 - 1), true);
        assert_eq!((line.step_ms(), line.steps().len()), (100, 256));
        line.note(Stamp(1000 + 100 * 256), false);
        assert_eq!((line.step_ms(), line.steps().len()), (200, 129));
        assert_eq!((line.steps()[0], line.steps()[127], line.steps()[128]), ([2, 1], [1, 0], [0, 1]));
        // Ten years later.
        line.note(Stamp(315_360_000_000), true);
        assert!(line.steps().len() <= MOST_STEPS);
        let all = line.steps().iter().fold([0; 2], |sum, step| [sum[0] + step[0], sum[1] + step[1]]);
        assert_eq!(all, [4, 2]);
    }
}
