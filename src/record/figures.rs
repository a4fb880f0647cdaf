//! What a run came to, in as much detail as people can take in: gathered while its lines go by once,
//! in room that is bounded but for a few bytes a mailbox.

use std::collections::BTreeMap;

use super::entry::Stamp;
use super::line::Line;
use super::mailbox_end::{Extent, MailboxEnd};
use super::places::Places;
use super::timeline::Timeline;
use crate::domain::{Channel, ErrorClass, Function, Status, clean, clip};
use crate::job::MailboxId;

/// A run's lines, added up for people. The default is that of a run without lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    asked: BTreeMap<Function, u64>,
    wanted: BTreeMap<Channel, u64>,
    mailboxes: Vec<MailboxEnd>,
    /// By place; the first one is for what has none.
    counts: Vec<Counts>,
    shares: Vec<Share>,
    failures: Vec<Listed>,
    failures_in_all: u64,
    left: Vec<Listed>,
    left_in_all: u64,
    sessions: Vec<Timeline>,
    channels: BTreeMap<Channel, Timeline>,
}

type Counts = [u64; Status::ALL.len()];

/// What went to one account of one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// The server; empty if none is known.
    pub server: String,
    /// The account; empty if none is known.
    pub account: String,
    /// How many mailboxes it is about.
    pub mailboxes: u64,
    /// How many operations have each status; only statuses that occurred.
    pub counts: BTreeMap<Status, u64>,
}

/// An operation that did not end well, in words fit to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its row in the input.
    pub row: u32,
    /// The mailbox, or the cell as it was.
    pub email: String,
    /// The action, or the cell as it was.
    pub action: String,
    /// The channel, or the cell as it was.
    pub channel: String,
    /// How it ended.
    pub status: Status,
    /// Why.
    pub class: Option<ErrorClass>,
    /// In the server's words, or what happened.
    pub error: String,
    /// HTTP status of the last answer.
    pub http: Option<u16>,
    /// Where it went; empty if that is not known.
    pub server: String,
    /// The account there.
    pub account: String,
    /// When the last try ended.
    pub ended: Option<Stamp>,
}

/// How many mailboxes have been dealt with how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extents {
    /// See [`Extent::Whole`].
    pub whole: u64,
    /// See [`Extent::Partly`].
    pub partly: u64,
    /// See [`Extent::Unclear`].
    pub unclear: u64,
    /// See [`Extent::Nothing`].
    pub nothing: u64,
}

/// No more operations than this are kept one by one; `results.csv` has all.
pub const MOST_LISTED: usize = 10_000;

/// Characters of a listed text.
const MOST_CHARS: usize = 300;

impl Figures {
    /// Nothing yet, of a job with so many mailboxes and sessions that began then.
    pub(super) fn new(mailboxes: usize, starts: &[Stamp]) -> Figures {
        Figures {
            mailboxes: vec![MailboxEnd::default(); mailboxes],
            sessions: starts.iter().copied().map(Timeline::new).collect(),
            ..Figures::default()
        }
    }

    /// Takes in the next line, in input order.
    pub(super) fn add(&mut self, line: &Line<'_>) {
        let place = line.place.map_or(0, |place| place as usize + 1);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, Counts::default());
        }
        self.counts[place][line.status as usize] += 1;
        if let Some(function) = line.function {
            *self.asked.entry(function).or_default() += 1;
            if is_for_itself(line) {
                *self.wanted.entry(function.channel()).or_default() += 1;
            }
            if let Some(end) = self.mailboxes.get_mut(line.mailbox.index()) {
                end.note(function, line);
            }
        }
        self.time(line);
        self.list(line);
    }

    fn time(&mut self, line: &Line<'_>) {
        let Some(start) = self.sessions.first().map(Timeline::start) else { return };
        let ended = line.ended();
        if let Some(ended) = ended {
            let begun = self.sessions.partition_point(|session| session.start() <= ended);
            self.sessions[begun.saturating_sub(1)].note(ended, line.status.is_good());
        }
        // What was so already was so from the start.
        let done = match line.status {
            Status::Ok => ended,
            Status::Unchanged => ended.or(Some(start)),
            _ => None,
        };
        if let (Some(done), Some(function)) = (done, line.function) {
            self.channels.entry(function.channel()).or_insert_with(|| Timeline::new(start)).note(done, true);
        }
    }

    fn list(&mut self, line: &Line<'_>) {
        let is_left = line.status == Status::NotAttempted;
        if line.status.is_good() || is_excluded(line) {
            return;
        }
        let (list, in_all) = match is_left {
            true => (&mut self.left, &mut self.left_in_all),
            false => (&mut self.failures, &mut self.failures_in_all),
        };
        *in_all += 1;
        if list.len() == MOST_LISTED {
            return;
        }
        let text = |text: &str| clip(&clean(text), MOST_CHARS);
        list.push(Listed {
            row: line.row,
            email: text(line.email),
            action: text(line.action),
            channel: text(line.channel),
            status: line.status,
            class: line.class,
            error: text(&line.error),
            http: line.http,
            server: text(line.server),
            account: text(line.account),
            ended: line.ended(),
        });
    }

    /// Says what the numbers of places mean, once all lines have gone by.
    pub(super) fn place(&mut self, places: &Places) {
        self.counts.resize(places.list().len() + 1, Counts::default());
        let mut mailboxes = vec![0; self.counts.len()];
        for id in 0..u32::try_from(places.mailboxes()).unwrap_or(u32::MAX) {
            mailboxes[places.number_of(MailboxId(id)).map_or(0, |place| place as usize + 1)] += 1;
        }
        let names = places.list().iter().map(|place| (place.server.clone(), place.account.clone()));
        let names = std::iter::once(Default::default()).chain(names);
        let shares = names.zip(std::mem::take(&mut self.counts)).zip(mailboxes);
        self.shares = shares
            .map(|(((server, account), counts), mailboxes)| {
                let counts = Status::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0);
                Share { server, account, mailboxes, counts: counts.collect() }
            })
            .filter(|share| !share.counts.is_empty())
            .collect();
    }

    /// How many operations ask for each function.
    pub fn asked(&self) -> &BTreeMap<Function, u64> {
        &self.asked
    }

    /// How many operations of a channel were to be done, each counted once and without those that
    /// were left out on purpose.
    pub fn wanted(&self, channel: Channel) -> u64 {
        self.wanted.get(&channel).copied().unwrap_or(0)
    }

    /// What went to each account, in the order in which they came up; what has no place comes first.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// How many operations at a server have each status.
    pub fn at_server(&self, name: &str) -> BTreeMap<Status, u64> {
        let mut sum = BTreeMap::new();
        for (status, count) in self.shares.iter().filter(|share| share.server == name).flat_map(|s| &s.counts)
        {
            *sum.entry(*status).or_default() += count;
        }
        sum
    }

    /// Where each mailbox stands.
    pub fn mailboxes(&self) -> impl Iterator<Item = (MailboxId, &MailboxEnd)> {
        (0..).map(MailboxId).zip(&self.mailboxes)
    }

    /// How many of the mailboxes that were to be contained, or else opened, are so how far.
    pub fn extents(&self, contained: bool) -> Extents {
        let mut extents = Extents::default();
        for end in self.mailboxes.iter().filter(|end| end.is_to_contain() == contained) {
            match end.extent() {
                Some(Extent::Whole) => extents.whole += 1,
                Some(Extent::Partly) => extents.partly += 1,
                Some(Extent::Unclear) => extents.unclear += 1,
                Some(Extent::Nothing) => extents.nothing += 1,
                None => {}
            }
        }
        extents
    }

    /// The first operations that failed, or of which it is not known, and how many there are.
    pub fn failures(&self) -> (&[Listed], u64) {
        (&self.failures, self.failures_in_all)
    }

    /// The first operations that were not attempted, and how many there are; not those that were
    /// left out on purpose.
    pub fn left(&self) -> (&[Listed], u64) {
        (&self.left, self.left_in_all)
    }

    /// When operations ended, in each session.
    pub fn sessions(&self) -> &[Timeline] {
        &self.sessions
    }

    /// When the operations of each channel ended well, from the start of the run.
    pub fn channels(&self) -> &BTreeMap<Channel, Timeline> {
        &self.channels
    }
}

fn is_excluded(line: &Line<'_>) -> bool {
    (line.status, line.class) == (Status::NotAttempted, Some(ErrorClass::Excluded))
}

/// Whether no other operation speaks for it.
fn is_for_itself(line: &Line<'_>) -> bool {
    !matches!(line.status, Status::Duplicate | Status::Superseded) && !is_excluded(line)
}

impl Extents {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.whole + self.partly + self.unclear + self.nothing
    }
}
