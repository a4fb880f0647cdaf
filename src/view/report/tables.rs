//! The page's long tables: servers, accounts, failures, mailboxes that are only partly dealt with.
//! Each has a bound, and what is beyond it is counted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::text::{channel, moment, share, stamp, tone, took};
use crate::domain::{Channel, ErrorClass, Flag, Status};
use crate::record::{Extent, Listed, MOST_LISTED, MailboxEnd, Report, Stage};
use crate::view::guidance::guidance;
use crate::view::words::{count, shown};

/// A table that may have been cut.
#[derive(Debug, Serialize)]
pub struct Table<T> {
    pub rows: Vec<T>,
    /// How many there are in all.
    pub in_all: String,
    /// How many are not here; empty if all are.
    pub more: String,
}

impl<T> Table<T> {
    fn new(rows: Vec<T>, in_all: u64) -> Table<T> {
        let more = in_all.saturating_sub(rows.len() as u64);
        Table { rows, in_all: count(in_all), more: if more > 0 { count(more) } else { String::new() } }
    }
}

#[derive(Debug, Serialize)]
pub struct ServerRow {
    name: String,
    operations: String,
    good: String,
    share: String,
    other: String,
    requests: String,
    half: String,
    most: String,
    longest: String,
    halted: String,
    channels: Vec<ChannelRow>,
}

/// When a channel was dealt with.
#[derive(Debug, Serialize)]
pub struct ChannelRow {
    pub channel: Channel,
    /// `contained`, or `done` if something of it was opened.
    pub what: &'static str,
    pub operations: String,
    pub of: String,
    pub half: String,
    pub most: String,
    pub longest: String,
    pub last: String,
}

/// More servers than this are not told one by one.
const MOST_SERVERS: usize = 500;

pub fn channels(figures: &crate::record::Channels, wanted: impl Fn(Channel) -> u64) -> Vec<ChannelRow> {
    let row = |(channel, figures): (&Channel, &crate::record::ChannelFigures)| ChannelRow {
        channel: *channel,
        what: if figures.contained { "contained" } else { "done" },
        operations: count(figures.operations),
        of: count(wanted(*channel)),
        half: took(figures.p50_ms),
        most: took(figures.p95_ms),
        longest: took(figures.max_ms),
        last: moment(&figures.last_ended_at),
    };
    figures.iter().map(row).collect()
}

pub fn servers(report: &Report<'_>) -> Table<ServerRow> {
    let figures = &report.tally.figures;
    let rows = report.summary.servers.iter().take(MOST_SERVERS).map(|server| {
        let counts = figures.at_server(&server.name);
        let (good, all) = (well(&counts), counts.values().sum());
        let times = server.round_trips.map(|times| [times.p50_ms, times.p95_ms, times.max_ms].map(took));
        let [half, most, longest] = times.unwrap_or_else(|| ["–"; 3].map(str::to_owned));
        ServerRow {
            name: shown(&server.name, 100),
            operations: count(all),
            good: count(good),
            share: share(good, all),
            other: count(all - good),
            requests: count(server.requests),
            half,
            most,
            longest,
            halted: server.halted.as_deref().map(|why| shown(why, 500)).unwrap_or_default(),
            channels: channels(&server.channels, |_| 0),
        }
    });
    Table::new(rows.collect(), report.summary.servers.len() as u64)
}

fn well(counts: &BTreeMap<Status, u64>) -> u64 {
    counts.iter().filter(|(status, _)| status.is_good()).map(|(_, number)| number).sum()
}

#[derive(Debug, Serialize)]
pub struct AccountRow {
    server: String,
    account: String,
    mailboxes: String,
    operations: String,
    good: String,
    share: String,
    other: String,
}

/// More accounts than this are not told one by one.
const MOST_ACCOUNTS: usize = 500;

/// Those where most did not end well come first.
pub fn accounts(report: &Report<'_>) -> Table<AccountRow> {
    let shares = report.tally.figures.shares();
    let mut order: Vec<_> = shares
        .iter()
        .map(|share| {
            let all: u64 = share.counts.values().sum();
            let good = well(&share.counts);
            (std::cmp::Reverse(all - good), &share.server, &share.account, good, all, share.mailboxes)
        })
        .collect();
    order.sort_unstable();
    let named = |name: &str| if name.is_empty() { "not placed".to_owned() } else { shown(name, 100) };
    let rows =
        order.into_iter().take(MOST_ACCOUNTS).map(|(_, server, account, good, all, mailboxes)| AccountRow {
            server: named(server),
            account: named(account),
            mailboxes: count(mailboxes),
            operations: count(all),
            good: count(good),
            share: share(good, all),
            other: count(all - good),
        });
    Table::new(rows.collect(), shares.len() as u64)
}

#[derive(Debug, Serialize)]
pub struct FailureRow {
    row: u32,
    /// The mailbox, so that it can be broken before its @.
    local: String,
    domain: String,
    what: String,
    status: &'static str,
    tone: &'static str,
    class: &'static str,
    reason: String,
    place: String,
    when: String,
}

/// What failed comes first, then what was not attempted.
pub fn failures(report: &Report<'_>) -> Table<FailureRow> {
    let (failed, failed_in_all) = report.tally.figures.failures();
    let (left, left_in_all) = report.tally.figures.left();
    let rows = failed.iter().chain(left).take(MOST_LISTED).map(failure);
    Table::new(rows.collect(), failed_in_all + left_in_all)
}

fn failure(listed: &Listed) -> FailureRow {
    let meaning = || listed.class.map(|class| guidance(class).meaning.to_owned()).unwrap_or_default();
    let both = [listed.server.as_str(), listed.account.as_str()];
    let both: Vec<&str> = both.into_iter().filter(|name| !name.is_empty()).collect();
    let (local, domain) = listed.email.rsplit_once('@').unwrap_or((&listed.email, ""));
    FailureRow {
        row: listed.row,
        local: local.to_owned(),
        domain: domain.to_owned(),
        what: format!("{} {}", listed.action, listed.channel).trim().to_owned(),
        status: listed.status.word(),
        tone: tone(listed.status),
        class: listed.class.map_or("", ErrorClass::word),
        reason: if listed.error.is_empty() { meaning() } else { listed.error.clone() },
        place: both.join(" / "),
        when: listed.ended.map(stamp).unwrap_or_default(),
    }
}

#[derive(Debug, Serialize)]
pub struct MailboxRow {
    email: String,
    login: FlagCell,
    incoming: FlagCell,
    outgoing: FlagCell,
}

/// How a channel of a mailbox stands.
#[derive(Debug, Default, Serialize)]
struct FlagCell {
    words: String,
    tone: &'static str,
}

/// More mailboxes than this are not told one by one.
const MOST_MAILBOXES: usize = 2000;

/// Mailboxes of which some is as wanted and some is not, or may not be.
pub fn partly(report: &Report<'_>) -> Table<MailboxRow> {
    let mut rows = Vec::new();
    let mut in_all = 0;
    for (id, end) in report.tally.figures.mailboxes() {
        if end.extent() != Some(Extent::Partly) {
            continue;
        }
        in_all += 1;
        if rows.len() < MOST_MAILBOXES {
            let cell = |wanted| cell(end, wanted);
            rows.push(MailboxRow {
                email: shown(report.mailboxes.get(id), 300),
                login: cell(Channel::Login),
                incoming: cell(Channel::Incoming),
                outgoing: cell(Channel::Outgoing),
            });
        }
    }
    Table::new(rows, in_all)
}

fn cell(end: &MailboxEnd, wanted: Channel) -> FlagCell {
    let mut cell = FlagCell { words: String::new(), tone: "left" };
    for (flag, mark) in end.marks().filter(|(flag, _)| channel(*flag) == wanted) {
        let done = match (flag, mark.on) {
            (Flag::Held, true) => "held",
            (Flag::Held, false) => "released",
            (_, true) => "shut",
            (_, false) => "opened",
        };
        let (words, tone) = match mark.stage {
            Stage::Done => (done.to_owned(), "good"),
            Stage::Undone => (format!("not {done}"), "bad"),
            Stage::Unclear => (format!("{done} or not: not known"), "unclear"),
        };
        let why = mark.class.filter(|_| mark.stage != Stage::Done);
        let why = why.map(|class| format!(" ({class})")).unwrap_or_default();
        if !cell.words.is_empty() {
            cell.words.push_str(", ");
        }
        cell.words.push_str(&words);
        cell.words.push_str(&why);
        if cell.tone != "bad" {
            cell.tone = tone;
        }
    }
    if cell.words.is_empty() {
        cell.words.push_str("not asked");
    }
    cell
}
