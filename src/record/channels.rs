//! How long it took until a channel was shut, or open again, for all who were asked about: the
//! figures that say for how long a spammer could go on.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::entry::Stamp;
use super::results::Material;
use crate::domain::{Channel, Function};
use crate::job::What;

/// The operations of one channel that ended `ok` or `unchanged`, and when. Times count from the
/// start of the run's first session; each is one that an operation really took, so that «half after
/// `p50_ms`» is exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelFigures {
    /// How many there are.
    pub operations: u64,
    /// Whether all of them shut the channel, by `suspend` or `hold`.
    pub contained: bool,
    /// When the last of them ended.
    pub last_ended_at: String,
    /// Until half of them had ended.
    pub p50_ms: u64,
    /// Until 95 of 100 had ended.
    pub p95_ms: u64,
    /// Until all of them had ended.
    pub max_ms: u64,
}

/// Figures per channel; only channels of which an operation ended well.
pub type Channels = BTreeMap<Channel, ChannelFigures>;

/// The numbers of servers take this many bits of what is sorted.
const SERVER_BITS: u32 = 16;
const SERVER_MASK: u64 = (1 << SERVER_BITS) - 1;

impl Material<'_> {
    /// The figures over all servers, and those of each server of the ledger in its order.
    pub(super) fn channels(&self, start: Stamp) -> (Channels, Vec<Channels>) {
        let Some(ledger) = self.ledger() else { return Default::default() };
        let servers = ledger.servers();
        let numbers: HashMap<&str, usize> =
            servers.iter().zip(0..).map(|(server, number)| (server.name.as_str(), number)).collect();
        let mut times = ChannelTimes::new(start, servers.len());
        for (op, operation) in (0u32..).zip(&self.job.operations) {
            let What::Call(function) = operation.what else { continue };
            let Some(end) = ledger.ended_well_at(op) else { continue };
            let server = ledger.places().of(operation.mailbox);
            let server = server.and_then(|place| numbers.get(place.server.as_str())).copied();
            times.note(function, end, server);
        }
        times.figures()
    }
}

/// When operations ended well.
pub(super) struct ChannelTimes {
    start: Stamp,
    /// By channel: time and server in one number, since a run may have millions of operations. The
    /// server's is 0 for none.
    ends: [Vec<u64>; Channel::ALL.len()],
    /// By channel: number 0 is all of them, then each server.
    counts: [Vec<Count>; Channel::ALL.len()],
}

impl ChannelTimes {
    /// Nothing has ended yet; times count from `start`.
    pub fn new(start: Stamp, servers: usize) -> ChannelTimes {
        let counts = Channel::ALL.map(|_| vec![Count::default(); servers + 1]);
        ChannelTimes { start, ends: Default::default(), counts }
    }

    /// Notes an operation that ended well at one of the servers.
    pub fn note(&mut self, function: Function, end: Stamp, server: Option<usize>) {
        let channel = function.channel() as usize;
        let server = server.map_or(0, |server| server as u64 + 1);
        let ms = u64::try_from(end.0.saturating_sub(self.start.0)).unwrap_or(0);
        self.ends[channel].push(ms << SERVER_BITS | server);
        for number in places(server) {
            let count = &mut self.counts[channel][number];
            count.total += 1;
            count.opens |= !function.target().on;
        }
    }

    /// The figures over all servers, and those of each.
    pub fn figures(self) -> (Channels, Vec<Channels>) {
        let ChannelTimes { start, ends, counts } = self;
        let mut found: Vec<Channels> = counts[0].iter().map(|_| Channels::new()).collect();
        for ((channel, mut ends), mut counts) in Channel::ALL.into_iter().zip(ends).zip(counts) {
            ends.sort_unstable();
            for end in ends {
                for number in places(end & SERVER_MASK) {
                    counts[number].note(end >> SERVER_BITS);
                }
            }
            for (channels, count) in found.iter_mut().zip(counts).filter(|(_, count)| count.total > 0) {
                channels.insert(channel, count.figures(start));
            }
        }
        let all = found.remove(0);
        (all, found)
    }
}

/// Where an operation at this server counts: among all, and among the server's.
#[allow(clippy::cast_possible_truncation)]
fn places(server: u64) -> impl Iterator<Item = usize> {
    [0, server as usize].into_iter().take(if server == 0 { 1 } else { 2 })
}

#[derive(Clone, Default)]
struct Count {
    total: u64,
    /// Whether one of them opened the channel.
    opens: bool,
    seen: u64,
    p50_ms: u64,
    p95_ms: u64,
    max_ms: u64,
}

impl Count {
    /// Notes the next one in the order of time.
    fn note(&mut self, ms: u64) {
        self.seen += 1;
        let rank = |percent: u64| (self.total * percent).div_ceil(100);
        if self.seen == rank(50) {
            self.p50_ms = ms;
        }
        if self.seen == rank(95) {
            self.p95_ms = ms;
        }
        self.max_ms = ms;
    }

    fn figures(&self, start: Stamp) -> ChannelFigures {
        let last = start.0.saturating_add_unsigned(self.max_ms);
        ChannelFigures {
            operations: self.total,
            contained: !self.opens,
            last_ended_at: Stamp(last).to_string(),
            p50_ms: self.p50_ms,
            p95_ms: self.p95_ms,
            max_ms: self.max_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Attempt, Ended, Entry, Session};
    use super::super::ledger::Ledger;
    use super::super::results::Outcomes;
    use super::*;
    use crate::domain::{Classes, ErrorClass, Status};
    use crate::job::{InputOptions, Source, read};

    const START: i64 = 1_795_460_400_000;

    fn session(at: i64) -> Entry {
        let servers = vec!["web01".into(), "web02".into()];
        Entry::Session(Session { at: Stamp(START + at), servers, ..Session::default() })
    }

    /// An operation that was called at this time and took 5 ms.
    fn ended(op: u32, at: i64, status: Status) -> Entry {
        Entry::End(Ended {
            at: Stamp(START + at),
            op,
            server: Some(server(op) as u16),
            ms: Some(5),
            status,
            class: None,
            http: Some(200),
            error: "".into(),
        })
    }

    /// Every fourth operation is at the second server.
    fn server(op: u32) -> usize {
        usize::from(op % 4 == 3)
    }

    /// The figures of a job with these rows, of which these entries tell.
    fn figures(rows: &str, entries: &[Entry]) -> (Channels, Vec<Channels>) {
        let source = Source::bytes(format!("email,action,channel\n{rows}"));
        let options = InputOptions::default();
        let job = read(&source, &options).unwrap();
        let mut ledger = Ledger::new(&job);
        entries.iter().for_each(|entry| ledger.apply(entry, 0));
        for (op, operation) in (0u32..).zip(&job.operations) {
            let mailboxes = vec![(operation.mailbox.0, operation.mailbox.0)];
            let account = "anna".to_owned();
            ledger
                .apply(&Entry::Route { at: Stamp(START), server: server(op) as u16, account, mailboxes }, 0);
        }
        let journal = tempfile::tempfile().unwrap();
        let material = Material {
            job: &job,
            input: &source,
            options: &options,
            tolerated: Classes::NONE,
            outcomes: Outcomes::Done { ledger: &ledger, journal: &journal },
        };
        material.channels(Stamp(START))
    }

    fn times(figures: &ChannelFigures) -> (u64, u64, u64, u64) {
        (figures.operations, figures.p50_ms, figures.p95_ms, figures.max_ms)
    }

    #[test]
    fn a_channel_has_the_times_that_its_operations_took_over_all_and_at_each_server() {
        let rows: String = (0..40).map(|n| format!("u{n}@example.com,hold,outgoing\n")).collect();
        // Not in the order of time.
        let entries: Vec<Entry> = std::iter::once(session(0))
            .chain((0..40).rev().map(|op| ended(op, i64::from(op) * 1000, Status::Ok)))
            .collect();
        let (all, servers) = figures(&rows, &entries);
        assert_eq!(all.keys().collect::<Vec<_>>(), [&Channel::Outgoing]);
        let outgoing = &all[&Channel::Outgoing];
        assert_eq!(times(outgoing), (40, 19_005, 37_005, 39_005));
        assert_eq!(outgoing.last_ended_at, "2026-11-23T19:00:39.005Z");
        assert!(outgoing.contained);
        assert_eq!(times(&servers[0][&Channel::Outgoing]), (30, 18_005, 37_005, 38_005));
        assert_eq!(times(&servers[1][&Channel::Outgoing]), (10, 19_005, 39_005, 39_005));
    }

    #[test]
    fn only_what_ended_well_counts_and_a_channel_that_is_opened_is_not_contained() {
        let rows = "a@x.de,suspend,login\nb@x.de,unsuspend,login\nc@x.de,suspend,login\n\
                    d@x.de,suspend,login\ne@x.de,suspend,incoming\nf@x.de,suspend,incoming\n";
        let Entry::End(end) = ended(5, 60, Status::Unchanged) else { panic!() };
        let without_a_call = Entry::End(Ended { server: None, ms: None, ..end });
        let entries = [
            session(0),
            ended(0, 10, Status::Ok),
            ended(1, 20, Status::Unchanged),
            ended(2, 30, Status::Failed),
            ended(3, 40, Status::Ok),
            ended(4, 50, Status::Unknown),
            without_a_call,
        ];
        let (all, servers) = figures(rows, &entries);
        assert_eq!(
            all.keys().collect::<Vec<_>>(),
            [&Channel::Login],
            "of incoming nothing ended well by a call"
        );
        assert_eq!((times(&all[&Channel::Login]), all[&Channel::Login].contained), ((3, 25, 45, 45), false));
        assert!(!servers[0][&Channel::Login].contained);
        assert!(servers[1][&Channel::Login].contained);
    }

    #[test]
    fn what_a_later_session_did_counts_from_the_start_of_the_first() {
        let in_vain = Entry::Try(Attempt {
            at: Stamp(START + 10),
            op: 0,
            server: 0,
            ms: 5,
            class: ErrorClass::Timeout,
            http: None,
            open: true,
            error: "e".into(),
        });
        let entries = [session(0), in_vain, session(60_000), ended(0, 61_000, Status::Ok)];
        let (all, _) = figures("a@x.de,suspend,login\n", &entries);
        assert_eq!(times(&all[&Channel::Login]), (1, 61_005, 61_005, 61_005));
    }
}
