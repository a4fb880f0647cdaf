//! The page's pictures, as numbers: where each line and bar lies in a box of 1000 by 100. The words
//! around them are text of the page, which stays legible on a telephone, and every picture says in
//! words as well what it shows.

use std::fmt::Write;

use serde::Serialize;

use super::text::{share, stamp, took};
use crate::domain::Channel;
use crate::record::{Figures, RoundTrips, Timeline};
use crate::view::words::{count, rate};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// How many operations ended when: bars, one session after the other without the time between.
#[derive(Debug, Serialize)]
pub struct OverTime {
    /// Bars of those that ended well.
    good: String,
    /// Bars of the others, on top.
    bad: String,
    /// Where a new session begins.
    dividers: Vec<String>,
    /// What the top of the box stands for.
    top: String,
    half: String,
    start: String,
    end: String,
    /// When each session after the first began.
    later_sessions: Vec<String>,
    step: String,
    busiest: String,
}

/// No more bars than this, unless there are more sessions.
const MOST_BARS: usize = 120;
/// What takes less than a second is drawn in no more bars than this.
const FEW_BARS: usize = 24;

/// Draws it; `None` if nothing ended by a call.
pub fn over_time(figures: &Figures) -> Option<OverTime> {
    let mut sessions: Vec<Timeline> =
        figures.sessions().iter().filter(|session| !session.steps().is_empty()).cloned().collect();
    let bars = |sessions: &[Timeline]| sessions.iter().map(|session| session.steps().len()).sum::<usize>();
    let mut step_ms = sessions.iter().map(Timeline::step_ms).max()?;
    loop {
        for session in &mut sessions {
            while session.step_ms() < step_ms {
                session.double();
            }
        }
        let (bars, fewest) = (bars(&sessions), sessions.len());
        let most = if step_ms < 1000 { FEW_BARS } else { MOST_BARS };
        if bars <= most.max(fewest) {
            break;
        }
        step_ms *= 2;
    }
    let per_second = |number: u64| number as f64 * 1000.0 / step_ms as f64;
    let steps = || sessions.iter().flat_map(Timeline::steps);
    let busiest = per_second(steps().map(|step| step[0] + step[1]).max().unwrap_or(0));
    let top = round_up(busiest);
    let width = WIDTH / bars(&sessions) as f64;
    let (mut good, mut bad) = (String::new(), String::new());
    for (number, step) in steps().enumerate() {
        let x = number as f64 * width;
        let well = per_second(step[0]) / top * HEIGHT;
        let other = per_second(step[1]) / top * HEIGHT;
        bar(&mut good, x, HEIGHT - well, width, well);
        bar(&mut bad, x, HEIGHT - well - other, width, other);
    }
    let mut before = 0;
    let mut dividers = Vec::new();
    for session in &sessions[..sessions.len() - 1] {
        before += session.steps().len();
        dividers.push(format!("{:.2}", before as f64 * width));
    }
    let (first, last) = (sessions.first()?, sessions.last()?);
    let last_ms = last.step_ms().saturating_mul(last.steps().len() as u64);
    Some(OverTime {
        good,
        bad,
        dividers,
        top: rate(top),
        half: rate(top / 2.0),
        start: stamp(first.start()),
        end: stamp(crate::record::Stamp(last.start().0.saturating_add_unsigned(last_ms))),
        later_sessions: sessions[1..].iter().map(|session| stamp(session.start())).collect(),
        step: took(step_ms),
        busiest: rate(busiest),
    })
}

fn bar(path: &mut String, x: f64, y: f64, width: f64, height: f64) {
    if height > 0.0 {
        // Writing into a string cannot fail.
        let _ = write!(path, "M{x:.2} {y:.2}h{width:.2}v{height:.2}h-{width:.2}z");
    }
}

/// The next round number that is not smaller.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(0.01).log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// How much of each channel was done when.
#[derive(Debug, Serialize)]
pub struct Progress {
    lines: Vec<Line>,
    half: String,
    end: String,
}

#[derive(Debug, Serialize)]
struct Line {
    channel: Channel,
    path: String,
    reached: String,
}

/// Draws it; `None` if nothing was done.
pub fn progress(figures: &Figures) -> Option<Progress> {
    let length = |line: &Timeline| line.step_ms().saturating_mul(line.steps().len() as u64);
    let all_ms = figures.channels().values().map(length).max()?;
    let lines = figures.channels().iter().map(|(channel, line)| {
        let wanted = figures.wanted(*channel);
        let mut path = format!("M0 {HEIGHT}");
        let mut done = 0;
        for (number, step) in (1u64..).zip(line.steps()) {
            if step[0] == 0 {
                continue;
            }
            done += step[0];
            let x = (line.step_ms() * number) as f64 / all_ms as f64 * WIDTH;
            let y = HEIGHT - done as f64 / wanted.max(1) as f64 * HEIGHT;
            let _ = write!(path, "H{x:.2}V{y:.2}");
        }
        let _ = write!(path, "H{WIDTH}");
        Line { channel: *channel, path, reached: share(done, wanted) }
    });
    Some(Progress { lines: lines.collect(), half: took(all_ms / 2), end: took(all_ms) })
}

/// One bar of a table.
#[derive(Debug, Serialize)]
pub struct Bin {
    label: String,
    count: String,
    share: String,
    /// How long its bar is, of 1000.
    length: u64,
}

/// The longest time of each bar, in milliseconds.
const BINS_MS: [u64; 16] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000];

/// How many tries took how long, from the shortest to the longest that there were.
pub fn round_trips(times: &RoundTrips) -> Vec<Bin> {
    let mut counts = [0u64; BINS_MS.len() + 1];
    for (ms, number) in times.counts() {
        // A count stands for all times up to a sixty-fourth below it.
        let shortest = ms - ms / 64;
        counts[BINS_MS.partition_point(|most| *most < shortest)] += number;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let used = |count: &u64| *count > 0;
    let (Some(first), Some(last)) = (counts.iter().position(used), counts.iter().rposition(used)) else {
        return Vec::new();
    };
    (first..=last)
        .map(|bin| Bin {
            label: match BINS_MS.get(bin) {
                Some(most) => format!("up to {}", took(*most)),
                None => format!("over {}", took(BINS_MS[BINS_MS.len() - 1])),
            },
            count: count(counts[bin]),
            share: share(counts[bin], times.count()),
            length: length(counts[bin], most),
        })
        .collect()
}

/// A part of a whole as a length of 1000; what is there can be seen.
pub fn length(part: u64, whole: u64) -> u64 {
    let length = u128::from(part) * 1000 / u128::from(whole.max(1));
    u64::try_from(length).unwrap_or(1000).max(if part > 0 { 4 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (value, top) in [(0.0, 0.01), (0.31, 0.4), (1.0, 1.0), (7.2, 8.0), (11.0, 15.0), (245.0, 250.0)] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn times_fall_into_their_bins_and_none_is_lost() {
        let mut times = RoundTrips::default();
        [3, 5, 6, 500, 501, 90_000].into_iter().for_each(|ms| times.note(ms));
        let bins = round_trips(&times);
        let told: Vec<_> =
            bins.iter().filter(|bin| bin.length > 0).map(|b| (b.label.as_str(), b.count.as_str())).collect();
        // 501 cannot be told from 500.
        assert_eq!(
            told,
            [("up to 5 ms", "2"), ("up to 10 ms", "1"), ("up to 500 ms", "2"), ("over 1m 00s", "1")]
        );
        assert_eq!((bins[0].label.as_str(), bins[0].length), ("up to 5 ms", 1000));
        assert!(round_trips(&RoundTrips::default()).is_empty());
    }
}
