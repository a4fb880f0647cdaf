//! How long a server took to answer, in so little room that every try can be counted.
//!
//! Times up to 127 ms have a count each; longer ones share one with those that differ from them by
//! less than a sixty-fourth. So a share of the tries is told to within 1.6 %, and all of it takes
//! 14 KB a server, however many tries there are.

use super::summary::RoundTripFigures;

/// Times of tries, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundTrips {
    /// Grows up to [`index`] of the longest time.
    counts: Vec<u64>,
    total: u64,
}

/// Times below this have a count each; above, every doubling has half as many.
const EXACT: u32 = 128;
const HALF: u32 = EXACT / 2;

fn index(ms: u32) -> usize {
    if ms < EXACT {
        return ms as usize;
    }
    // How often it must be halved to lie between HALF and EXACT.
    let halvings = EXACT.leading_zeros() + 1 - ms.leading_zeros();
    (EXACT + (halvings - 1) * HALF + (ms >> halvings) - HALF) as usize
}

/// The longest time that is counted at this place.
fn longest(index: usize) -> u64 {
    let index = index as u64;
    let (exact, half) = (u64::from(EXACT), u64::from(HALF));
    let Some(above) = index.checked_sub(exact) else { return index };
    ((above % half + half + 1) << (above / half + 1)) - 1
}

impl RoundTrips {
    /// Counts one.
    pub fn note(&mut self, ms: u32) {
        let index = index(ms);
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.total += 1;
    }

    /// Counts another's too.
    pub fn add(&mut self, other: &RoundTrips) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The time in milliseconds within which so many of a thousand were answered; `None` if there
    /// was none.
    pub fn within(&self, per_mille: u32) -> Option<u64> {
        let rank = (u128::from(self.total) * u128::from(per_mille)).div_ceil(1000).max(1);
        let mut seen = 0u128;
        let reached = |count: &u64| {
            seen += u128::from(*count);
            seen >= rank
        };
        self.counts.iter().position(reached).map(longest)
    }

    /// The figures of a summary; `None` if there was no try.
    pub fn figures(&self) -> Option<RoundTripFigures> {
        let (p50_ms, p95_ms, max_ms) = (self.within(500)?, self.within(950)?, self.within(1000)?);
        Some(RoundTripFigures { p50_ms, p95_ms, max_ms })
    }

    /// The counts that are not nothing, each with the longest time that it stands for.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(index, count)| (longest(index), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_within_a_sixty_fourth_and_never_too_short() {
        let times = (0..5000).chain([1 << 20, u32::MAX / 3, u32::MAX - 1, u32::MAX]);
        let mut before = 0;
        for ms in times {
            let at = index(ms);
            assert!(at >= before && at - before <= 1 || ms > 5000, "{ms} follows its neighbour");
            before = at;
            let told = longest(at);
            assert!(told >= ms.into(), "{ms}: {told}");
            assert!(told - u64::from(ms) <= u64::from(ms) / 64, "{ms}: {told}");
        }
        assert!(index(u32::MAX) < 2000);
    }

    #[test]
    fn shares_are_those_of_all_that_was_noted() {
        let mut first = RoundTrips::default();
        assert_eq!(first.within(500), None);
        let mut second = RoundTrips::default();
        (1..=50).for_each(|ms| first.note(ms));
        (51..=100).for_each(|ms| second.note(ms));
        first.add(&second);
        assert_eq!(first.count(), 100);
        let told: Vec<_> = [0, 10, 500, 950, 1000].map(|share| first.within(share).unwrap()).to_vec();
        assert_eq!(told, [1, 1, 50, 95, 100]);
        assert_eq!(first.counts().map(|(_, count)| count).sum::<u64>(), 100);
    }
}
