//! How long it took until a channel was shut, or open again, for all who were asked about: the
//! figures that say for how long a spammer could go on.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::entry::Stamp;
use super::places::Place;
use super::results::Material;
use crate::domain::{Channel, Function};
use crate::job::What;

/// The operations of one channel that ended `ok` or `unchanged`, and when. Times count from the
/// start of the run's first session; each is one that an operation really took, so that «half after
/// `p50_ms`» is exact. What took more than 49 days, which is as far as they count, took 49.
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

impl Material<'_> {
    /// The figures over all servers, and those of each server of the ledger in its order.
    pub(super) fn channels(&self, start: Stamp) -> (Channels, Vec<Channels>) {
        let Some(ledger) = self.ledger() else { return Default::default() };
        let servers = ledger.servers();
        let numbers: HashMap<&str, usize> =
            servers.iter().zip(0..).map(|(server, number)| (server.name.as_str(), number)).collect();
        let home = |place: &Place| numbers.get(place.server.as_str()).copied();
        let homes: Vec<Option<usize>> = ledger.places().list().iter().map(home).collect();
        let ends = || {
            (0u32..).zip(&self.job.operations).filter_map(|(op, operation)| {
                let What::Call(function) = operation.what else { return None };
                let end = ledger.ended_well_at(op)?;
                let place = ledger.places().number_of(operation.mailbox);
                Some((function, end, place.and_then(|place| homes[place as usize])))
            })
        };
        let mut times = ChannelTimes::new(start, servers.len());
        // There may be millions, and a list that grows takes more room than it needs.
        let mut counts = Channel::ALL.map(|_| vec![0; servers.len() + 1]);
        ends().for_each(|(function, _, server)| counts[function.channel() as usize][place(server)] += 1);
        for (lists, counts) in times.lists.iter_mut().zip(counts) {
            lists.iter_mut().zip(counts).for_each(|(list, count)| list.ends_ms.reserve_exact(count));
        }
        ends().for_each(|(function, end, server)| times.note(function, end, server));
        times.figures()
    }
}

/// When operations ended well.
pub(super) struct ChannelTimes {
    start: Stamp,
    /// By channel: number 0 is for what is at no server, then each server.
    lists: [Vec<Ends>; Channel::ALL.len()],
}

#[derive(Clone, Default)]
struct Ends {
    ends_ms: Vec<u32>,
    /// Whether one of them opened the channel.
    opens: bool,
}

impl ChannelTimes {
    /// Nothing has ended yet; times count from `start`.
    pub fn new(start: Stamp, servers: usize) -> ChannelTimes {
        ChannelTimes { start, lists: Channel::ALL.map(|_| vec![Ends::default(); servers + 1]) }
    }

    /// Notes an operation that ended well at one of the servers.
    pub fn note(&mut self, function: Function, end: Stamp, server: Option<usize>) {
        let list = &mut self.lists[function.channel() as usize][place(server)];
        list.ends_ms.push(end.since(self.start));
        list.opens |= !function.target().on;
    }

    /// The figures over all servers, and those of each.
    pub fn figures(self) -> (Channels, Vec<Channels>) {
        let ChannelTimes { start, lists } = self;
        let mut all = Channels::new();
        let mut servers = vec![Channels::new(); lists[0].len() - 1];
        for (channel, mut lists) in Channel::ALL.into_iter().zip(lists) {
            lists.iter_mut().for_each(|list| list.ends_ms.sort_unstable());
            all.extend(figures(start, &lists).map(|figures| (channel, figures)));
            for (server, list) in servers.iter_mut().zip(&lists[1..]) {
                server.extend(figures(start, std::slice::from_ref(list)).map(|figures| (channel, figures)));
            }
        }
        (all, servers)
    }
}

/// Where an operation at this server is noted.
fn place(server: Option<usize>) -> usize {
    server.map_or(0, |server| server + 1)
}

/// The figures over lists that are sorted; `None` if there is nothing in them.
fn figures(start: Stamp, lists: &[Ends]) -> Option<ChannelFigures> {
    let total: usize = lists.iter().map(|list| list.ends_ms.len()).sum();
    let max_ms = lists.iter().filter_map(|list| list.ends_ms.last()).max().copied()?;
    let until = |percent: usize| u64::from(ranked(lists, (total * percent).div_ceil(100)));
    Some(ChannelFigures {
        operations: total as u64,
        contained: !lists.iter().any(|list| list.opens),
        last_ended_at: start.plus(max_ms).to_string(),
        p50_ms: until(50),
        p95_ms: until(95),
        max_ms: max_ms.into(),
    })
}

/// The one that so many are no larger than, in sorted lists together.
fn ranked(lists: &[Ends], rank: usize) -> u32 {
    let up_to = |most: u32| -> usize {
        lists.iter().map(|list| list.ends_ms.partition_point(|ms| *ms <= most)).sum()
    };
    let (mut low, mut high) = (0, u32::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if up_to(middle) < rank { low = middle + 1 } else { high = middle }
    }
    low
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
