//! The lines below the bar, one per server, where there are several.
//!
//! Trouble comes first: a halted server is what somebody has to get up for, and a paused one is why
//! the whole stands still. Both are also told once as lines of their own, but these scroll away. Of
//! those that go on well, the ones with the most left to do say when the end will come; one that is
//! done says nothing new. So where not all fit, the least of these are left out. Within each kind
//! the servers keep the order in which they were given, so that lines do not jump about.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Status;
use crate::engine::LaneFigures;
use crate::record::Stamp;

use super::progress::Pace;
use super::terminal::Style;
use super::words::{cell, count, rate, shown};

/// One server at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServerLine {
    name: Arc<str>,
    /// Operations of this session.
    total: u64,
    done: u64,
    failed: u64,
    not_attempted: u64,
    in_flight: usize,
    limit: Option<u32>,
    rate: f64,
    /// Nothing is sent to it before that moment.
    paused_until: Option<Stamp>,
    /// Nothing more is sent to it, and why.
    halted: Option<Arc<str>>,
}

/// In the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Halted,
    Paused,
    Going,
    Through,
}

/// Names are cut here.
const MOST_NAME_COLUMNS: usize = 24;

impl ServerLine {
    fn left(&self) -> u64 {
        self.total.saturating_sub(self.done).saturating_sub(self.not_attempted)
    }

    fn kind(&self, now: Stamp) -> Kind {
        if self.halted.is_some() {
            Kind::Halted
        } else if self.left() == 0 {
            Kind::Through
        } else if self.paused_until.is_some_and(|until| until > now) {
            Kind::Paused
        } else {
            Kind::Going
        }
    }

    /// The line, cut to `columns`; the name and the figures take so many.
    fn text(&self, name_columns: usize, figure_columns: usize, columns: usize, now: Stamp) -> String {
        let name = cell(&self.name, MOST_NAME_COLUMNS);
        let mut out = format!("  {name:<name_columns$}  {:>figure_columns$}", self.figures());
        if self.failed > 0 {
            out.push_str(&format!("  {} failed", count(self.failed)));
        }
        match (self.kind(now), &self.halted, self.paused_until) {
            (Kind::Halted, Some(reason), _) => out.push_str(&format!("  halted: {reason}")),
            (Kind::Paused, _, Some(until)) => {
                out.push_str(&format!("  paused until {}", time_of_day(until)));
            }
            (Kind::Through, ..) if self.not_attempted > 0 => {
                out.push_str(&format!("  {} not attempted", count(self.not_attempted)));
            }
            (Kind::Through, ..) => out.push_str("  done"),
            _ => {
                out.push_str(&format!("  {}", rate(self.rate)));
                out.push_str(&match self.limit {
                    Some(limit) => format!("  {} of {limit} in flight", self.in_flight),
                    None => format!("  {} in flight", self.in_flight),
                });
            }
        }
        cell_keeping_blanks(&out, columns)
    }

    fn figures(&self) -> String {
        format!("{}/{}", count(self.done), count(self.total))
    }
}

/// `03:12:45Z`.
fn time_of_day(at: Stamp) -> String {
    let text = at.to_string();
    match text.split_once('T').and_then(|(_, time)| time.get(..8)) {
        Some(time) => format!("{time}Z"),
        None => text,
    }
}

/// Cut to so many characters, the ellipsis among them. What comes in is fit to be shown already.
fn cell_keeping_blanks(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(std::iter::once('…')).take(max).collect()
}

/// The lines for these servers: at most `room`, each of at most `columns`.
pub(super) fn lines(
    servers: &[ServerLine],
    room: usize,
    columns: usize,
    now: Stamp,
    style: Style,
) -> Vec<String> {
    // The last line is to say how many are left out; alone it would say nothing.
    let shown = if servers.len() <= room { servers.len() } else { room.saturating_sub(1) };
    if shown == 0 {
        return Vec::new();
    }
    let mut chosen: Vec<(usize, &ServerLine)> = servers.iter().enumerate().collect();
    chosen.sort_by_key(|(_, server)| (server.kind(now), Reverse(server.left())));
    chosen.truncate(shown);
    chosen.sort_by_key(|(place, server)| (server.kind(now), *place));
    let widest = |of: fn(&ServerLine) -> usize| chosen.iter().map(|(_, s)| of(s)).max().unwrap_or(0);
    let name_columns = widest(|server| server.name.chars().count()).min(MOST_NAME_COLUMNS);
    let figure_columns = widest(|server| server.figures().chars().count());
    let mut lines: Vec<String> = chosen
        .iter()
        .map(|(_, server)| {
            let text = server.text(name_columns, figure_columns, columns, now);
            match server.kind(now) {
                Kind::Halted => style.red(&text),
                Kind::Paused => style.yellow(&text),
                Kind::Going | Kind::Through => text,
            }
        })
        .collect();
    if servers.len() > shown {
        lines.push(cell_keeping_blanks(
            &format!("  and {} more", count((servers.len() - shown) as u64)),
            columns,
        ));
    }
    lines
}

/// Counts what happens at each server.
#[derive(Default)]
pub(super) struct Servers {
    lines: Vec<ServerLine>,
    paces: Vec<Pace>,
    places: HashMap<String, usize>,
}

impl Servers {
    /// Begins with these servers and what is to be done at each. One alone is the whole, of which
    /// the bar tells.
    pub(super) fn begun(servers: &[(&str, u64)]) -> Servers {
        if servers.len() < 2 {
            return Servers::default();
        }
        let line = |(name, total): &(&str, u64)| ServerLine {
            name: shown(name, 100).into(),
            total: *total,
            done: 0,
            failed: 0,
            not_attempted: 0,
            in_flight: 0,
            limit: None,
            rate: 0.0,
            paused_until: None,
            halted: None,
        };
        let mut paces = vec![Pace::default(); servers.len()];
        for pace in &mut paces {
            pace.at(Duration::ZERO, 0);
        }
        Servers {
            lines: servers.iter().map(line).collect(),
            paces,
            places: servers.iter().zip(0..).map(|((name, _), place)| ((*name).to_owned(), place)).collect(),
        }
    }

    /// How they stand.
    pub(super) fn lines(&self) -> &[ServerLine] {
        &self.lines
    }

    fn line(&mut self, server: &str) -> Option<&mut ServerLine> {
        self.lines.get_mut(*self.places.get(server)?)
    }

    /// Counts the end of an operation.
    pub(super) fn ended(&mut self, server: &str, status: Status) {
        let Some(line) = self.line(server) else { return };
        match status {
            Status::NotAttempted => line.not_attempted += 1,
            Status::Failed | Status::Unknown => {
                line.failed += 1;
                line.done += 1;
            }
            _ => line.done += 1,
        }
    }

    /// Counts an operation that had ended otherwise before.
    pub(super) fn corrected(&mut self, server: &str, before: Status, now: Status) {
        let is_failure = |status| matches!(status, Status::Failed | Status::Unknown);
        if let Some(line) = self.line(server) {
            line.failed = line.failed.saturating_sub(is_failure(before).into()) + u64::from(is_failure(now));
        }
    }

    /// Notes a pause. A shorter one does not end a longer one.
    pub(super) fn paused(&mut self, server: &str, until: Stamp) {
        if let Some(line) = self.line(server) {
            line.paused_until = line.paused_until.max(Some(until));
        }
    }

    /// Notes a halt.
    pub(super) fn halted(&mut self, server: &str, reason: &str) {
        if let Some(line) = self.line(server) {
            line.halted = Some(reason.into());
        }
    }

    /// So much time has passed since the beginning, and these calls are in flight.
    pub(super) fn tick(&mut self, now: Duration, lanes: &[LaneFigures<'_>]) {
        for lane in lanes {
            if let Some(line) = self.line(lane.server) {
                (line.in_flight, line.limit) = (lane.in_flight, lane.limit);
            }
        }
        for (line, pace) in self.lines.iter_mut().zip(&mut self.paces) {
            line.rate = pace.at(now, line.done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Stamp = Stamp(1_795_460_400_123);

    fn server(name: &str, total: u64, done: u64) -> ServerLine {
        let mut servers = Servers::begun(&[(name, total), ("other", 0)]);
        servers.tick(Duration::ZERO, &[LaneFigures { server: name, in_flight: 4, limit: Some(8) }]);
        ServerLine { done, rate: 9.84, ..servers.lines[0].clone() }
    }

    fn halted(name: &str) -> ServerLine {
        ServerLine { halted: Some("401: token refused".into()), in_flight: 0, ..server(name, 200, 3) }
    }

    fn paused(name: &str, until: Stamp) -> ServerLine {
        ServerLine { paused_until: Some(until), ..server(name, 300, 12) }
    }

    fn names(servers: &[ServerLine], room: usize) -> Vec<String> {
        let name = |line: &String| line.split_whitespace().next().unwrap_or_default().to_owned();
        lines(servers, room, 80, NOW, Style::PLAIN).iter().map(name).collect()
    }

    #[test]
    fn each_server_has_a_line_and_trouble_stands_first() {
        let servers = [
            server("through", 50, 50),
            ServerLine { not_attempted: 9, ..server("stopped", 10, 1) },
            ServerLine { failed: 3, ..server("web01", 25_000, 1_234) },
            paused("web02", Stamp(NOW.0 + 45_000)),
            halted("web03"),
            ServerLine { limit: None, ..paused("web04", NOW) },
        ];
        let told = lines(&servers, 6, 80, NOW, Style::PLAIN);
        assert_eq!(
            told,
            [
                "  web03           3/200  halted: 401: token refused",
                "  web02          12/300  paused until 19:00:45Z",
                "  web01    1,234/25,000  3 failed  9.8/s  4 of 8 in flight",
                "  web04          12/300  9.8/s  4 in flight",
                "  through         50/50  done",
                "  stopped          1/10  9 not attempted",
            ]
        );
        let coloured = lines(&servers, 6, 80, NOW, Style { colour: true });
        assert!(coloured[0].starts_with("\u{1b}[31m") && coloured[1].starts_with("\u{1b}[33m"));
        assert_eq!(coloured[2..], told[2..]);
    }

    #[test]
    fn where_not_all_fit_those_with_the_least_left_are_left_out() {
        let servers =
            [server("a", 10, 10), server("b", 10, 5), server("c", 99, 0), halted("d"), server("e", 10, 4)];
        assert_eq!(names(&servers, 5), ["d", "b", "c", "e", "a"]);
        assert_eq!(names(&servers, 4), ["d", "c", "e", "and"]);
        assert_eq!(lines(&servers, 4, 80, NOW, Style::PLAIN)[3], "  and 2 more");
        assert_eq!(names(&servers, 2), ["d", "and"]);
        assert_eq!(names(&servers, 1), [""; 0], "a number alone says nothing");
        assert_eq!(names(&servers, 0), [""; 0]);
    }

    #[test]
    fn no_line_is_wider_than_its_place() {
        let servers = [halted(&"long.example.net".repeat(4)), server("web01", u64::MAX, 7)];
        for columns in 0..120 {
            for line in lines(&servers, 9, columns, NOW, Style::PLAIN) {
                assert!(line.chars().count() <= columns, "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn what_happens_is_counted_where_it_happens() {
        let mut servers = Servers::begun(&[("web01", 10), ("web02", 20)]);
        for status in [Status::Ok, Status::Unchanged, Status::Failed, Status::NotAttempted] {
            servers.ended("web02", status);
        }
        servers.ended("nowhere", Status::Ok);
        servers.halted("web01", "401");
        servers.paused("web02", Stamp(7));
        servers.paused("web02", Stamp(5));
        servers.tick(
            Duration::from_secs(1),
            &[
                LaneFigures { server: "web01", in_flight: 1, limit: None },
                LaneFigures { server: "web02", in_flight: 2, limit: Some(4) },
            ],
        );
        let [one, two] = servers.lines() else { panic!() };
        assert_eq!((one.done, one.in_flight, one.halted.as_deref()), (0, 1, Some("401")));
        assert_eq!((two.done, two.failed, two.not_attempted, two.left()), (3, 1, 1, 16));
        assert_eq!((two.in_flight, two.limit, two.paused_until), (2, Some(4), Some(Stamp(7))));
        assert_eq!(rate(two.rate), "3.0/s");
        assert!(Servers::begun(&[("web01", 10)]).lines().is_empty(), "one alone is the whole");
    }
}
