//! A run over its sessions: killed, interrupted, gone on with; and what must hold in each of them,
//! whatever the servers do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::panel::{Panel, Seen, What, address, place};
use crate::domain::{ErrorClass, Function, Status};
use crate::engine::{
    AccountSpec, Changes, Checks, Event, Fault, LaneSpec, Limits, Observer, Session, SessionEnd, Signal,
    Unverified, Way, run,
};
use crate::job::{InputOptions, Job, Source, What as Meant, read};
use crate::record::{Entry, Ledger, Phase, Recorder, Safe, SessionEntry, Stamp, Standing, WriteFault};

/// A run.
pub struct Tale {
    pub job: Job,
    /// Its journal, and when each line of it was on the disk.
    pub entries: Vec<Entry>,
    on_disk: Vec<Instant>,
    begun: Instant,
    sessions: usize,
}

/// How a session goes.
pub struct How {
    pub checks: Checks,
    pub limits: Limits,
    /// How long the disk takes.
    pub disk: Duration,
    pub killed_after: Option<Duration>,
    pub signals: Option<mpsc::UnboundedReceiver<Signal>>,
    /// Takes up what ended `failed` or `unknown` too.
    pub retry_failed: bool,
    /// Each account has a credential of its own.
    pub own_doors: bool,
    pub seed: u64,
}

impl Default for How {
    fn default() -> How {
        How {
            checks: Checks::default(),
            limits: limits("none", 4),
            disk: Duration::from_millis(50),
            killed_after: None,
            signals: None,
            retry_failed: false,
            own_doors: false,
            seed: 1,
        }
    }
}

impl How {
    pub fn checks(checks: Checks) -> How {
        How { checks, ..How::default() }
    }

    pub fn limits(self, rate: &str, jobs: u32) -> How {
        How { limits: limits(rate, jobs), ..self }
    }

    pub fn killed_after(self, ms: u64) -> How {
        How { killed_after: Some(Duration::from_millis(ms)), ..self }
    }
}

pub fn limits(rate: &str, jobs: u32) -> Limits {
    Limits { rate: rate.parse().unwrap(), jobs: jobs.try_into().unwrap(), ..Limits::default() }
}

/// What was told of a session.
#[derive(Default)]
pub struct Told {
    /// How it ended; `None` if it was killed.
    pub end: Option<SessionEnd>,
    /// What was told of each operation: how it ended, and how it was corrected.
    pub finished: BTreeMap<u32, Vec<Status>>,
    /// Accounts of which something could not be read or done.
    pub warnings: Vec<String>,
    pub took: Duration,
}

impl Told {
    pub fn end(&self) -> &SessionEnd {
        self.end.as_ref().expect("it was killed")
    }

    pub fn halted(&self, server: usize) -> Option<ErrorClass> {
        self.end().servers[server].halted.as_ref().map(|(class, _)| *class)
    }
}

struct Listener<'t> {
    told: &'t mut Told,
    ops: HashMap<(u32, Function), u32>,
}

impl Observer for Listener<'_> {
    fn on(&mut self, event: &Event<'_>) {
        let (finished, is_correction) = match event {
            Event::Finished(finished) => (finished, false),
            Event::Corrected { now, .. } => (now, true),
            Event::Unread { account, what, .. } => {
                self.told.warnings.push(format!("{account}: {what}"));
                return;
            }
            _ => return,
        };
        let op = self.ops[&(finished.subject.row, finished.subject.function)];
        let ends = self.told.finished.entry(op).or_default();
        if let (Event::Corrected { before, .. }, Some(known)) = (event, ends.last()) {
            assert_eq!(known, before, "corrected from what it was not");
        }
        assert!(is_correction || ends.is_empty(), "told twice of operation {op}");
        ends.push(finished.status);
    }
}

/// A record whose disk takes its time.
struct Disk<'t> {
    entries: &'t mut Vec<Entry>,
    on_disk: &'t mut Vec<Instant>,
    takes: Duration,
    before: usize,
    due: VecDeque<(Instant, u64)>,
    safe: u64,
}

impl Recorder for Disk<'_> {
    fn submit(&mut self, batch: Vec<Entry>, _: bool) -> u64 {
        let at = Instant::now() + self.takes;
        self.on_disk.extend(batch.iter().map(|_| at));
        self.entries.extend(batch);
        let count = (self.entries.len() - self.before) as u64;
        self.due.push_back((at, count));
        count
    }

    async fn progress(&mut self, seen: Safe) -> Result<Safe, WriteFault> {
        loop {
            while let Some((_, count)) = self.due.pop_front_if(|(at, _)| *at <= Instant::now()) {
                self.safe = count;
            }
            let written = (self.entries.len() - self.before) as u64;
            let safe = Safe { written, on_disk: self.safe };
            if safe != seen {
                return Ok(safe);
            }
            match self.due.front() {
                Some((at, _)) => tokio::time::sleep_until(*at).await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Tale {
    /// A run of these rows, in which a mailbox may be named shortly; see [`address`].
    pub fn new(rows: &str) -> Tale {
        let rows: String = rows
            .lines()
            .map(|row| {
                let (name, rest) = row.trim().split_once(',').unwrap();
                format!("{},{rest}\n", address(name))
            })
            .collect();
        let options = InputOptions { allow_conflicts: true, ..InputOptions::default() };
        let job = read(&Source::bytes(format!("email,action,channel\n{rows}")), &options).unwrap();
        Tale { job, entries: Vec::new(), on_disk: Vec::new(), begun: Instant::now(), sessions: 0 }
    }

    pub fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new(&self.job);
        for (at, entry) in (0u64..).zip(&self.entries) {
            ledger.apply(entry, at);
        }
        ledger
    }

    pub fn standings(&self) -> Vec<Standing> {
        let ledger = self.ledger();
        (0..self.job.operations.len() as u32).map(|op| ledger.standing(&self.job, op)).collect()
    }

    /// Each operation as `STATUS`, or `STATUS/CLASS`.
    pub fn ends(&self) -> Vec<String> {
        let end = |standing: Standing| match standing.class {
            None => standing.status.to_string(),
            Some(class) => format!("{}/{class}", standing.status),
        };
        self.standings().into_iter().map(end).collect()
    }

    /// How many operations ended so.
    pub fn count(&self, end: &str) -> usize {
        self.ends().iter().filter(|other| *other == end).count()
    }

    /// What is said of an operation: its state before, whether it was verified, its state after.
    pub fn states(&self, op: usize) -> (String, Option<bool>, String) {
        let standing = self.standings().swap_remove(op);
        let channel = self.job.operations[op].function().unwrap().channel();
        (standing.before.of(channel).into(), standing.verified, standing.after.of(channel).into())
    }

    /// The readings that were recorded, each as its phase and account.
    pub fn readings(&self) -> Vec<(Phase, String)> {
        let of = |entry: &Entry| match entry {
            Entry::State(read) => Some((read.phase, read.account.clone())),
            _ => None,
        };
        self.entries.iter().filter_map(of).collect()
    }

    pub fn readings_after(&self) -> usize {
        self.readings().iter().filter(|(phase, _)| *phase == Phase::After).count()
    }

    fn mailbox(&self, op: u32) -> &str {
        self.job.mailboxes.get(self.job.operations[op as usize].mailbox)
    }

    /// What is taken up, and what is only read.
    fn plan(&self, ledger: &Ledger, how: &How) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let overtaken = ledger.overtaken(&self.job);
        let (mut to_do, mut unverified, mut superseded) = (Vec::new(), Vec::new(), Vec::new());
        for op in 0..self.job.operations.len() as u32 {
            if matches!(self.job.operations[op as usize].what, Meant::Duplicate(_)) {
                continue;
            }
            let is_taken_up = match ledger.ended(op) {
                None | Some((Status::NotAttempted, _)) => true,
                Some((Status::Failed | Status::Unknown, _)) => how.retry_failed,
                Some(_) => false,
            };
            if !is_taken_up {
                if how.checks.after && ledger.is_unverified(op) {
                    unverified.push(op);
                }
            } else if overtaken.contains(&op) {
                superseded.push(op);
            } else {
                to_do.push(op);
            }
        }
        (to_do, ledger.provable(&self.job, unverified), superseded)
    }

    /// What a session would take up, be it only to look.
    pub fn is_through(&self, how: &How) -> bool {
        let ledger = self.ledger();
        let (to_do, unverified, _) = self.plan(&ledger, how);
        let owes_sessions = how.checks.end_sessions && ledger.sessions_owed().next().is_some();
        to_do.is_empty() && unverified.is_empty() && !owes_sessions
    }

    fn lanes<'p>(
        &'p self,
        panels: &[&'p Panel],
        ledger: &Ledger,
        how: &How,
        to_do: &[u32],
        unverified: &[u32],
    ) -> Vec<LaneSpec<'p>> {
        let mut lanes = Vec::new();
        for panel in panels {
            let here = |op: &&u32| place(self.mailbox(**op)).1 == panel.name;
            let mut accounts: BTreeMap<&str, AccountSpec<'p>> = BTreeMap::new();
            let all = 0..self.job.operations.len() as u32;
            for op in all.collect::<Vec<_>>().iter().filter(here) {
                let name = place(self.mailbox(*op)).0;
                let is_due =
                    how.checks.end_sessions && ledger.sessions_owed().any(|place| place.account == name);
                let account = accounts.entry(name).or_insert_with(|| AccountSpec::new(name, 0, Vec::new()));
                account.sessions_due |= is_due;
            }
            for op in to_do.iter().filter(here) {
                accounts.get_mut(place(self.mailbox(*op)).0).unwrap().ops.push(*op);
            }
            for op in unverified.iter().filter(here) {
                let account = accounts.get_mut(place(self.mailbox(*op)).0).unwrap();
                let standing = ledger.standing(&self.job, *op);
                let fault = (standing.status != Status::Ok).then(|| Fault {
                    class: standing.class.unwrap(),
                    http: None,
                    error: "open".into(),
                });
                account.unverified.push(Unverified { op: *op, ended: standing.status, fault });
            }
            let mut accounts: Vec<_> = accounts.into_values().collect();
            let mut doors = vec![Way::Act(*panel)];
            if how.own_doors {
                doors = vec![Way::Act(*panel); accounts.len()];
                accounts.iter_mut().enumerate().for_each(|(door, account)| account.door = door);
            }
            lanes.push(LaneSpec {
                doors,
                accounts,
                open: to_do
                    .iter()
                    .filter(here)
                    .filter(|op| ledger.may_have_had_effect(**op))
                    .copied()
                    .collect(),
                ..LaneSpec::new(&panel.name, *panel, Vec::new(), how.limits.clone())
            });
        }
        lanes
    }

    /// Opens a session in the journal.
    fn open(&mut self, panels: &[&Panel], superseded: &[u32]) {
        let mut entries = vec![Entry::Session(SessionEntry {
            servers: panels.iter().map(|panel| panel.name.clone()).collect(),
            ..SessionEntry::default()
        })];
        for (id, mailbox) in self.job.mailboxes.iter().filter(|_| self.sessions == 0) {
            let (account, server) = place(mailbox);
            let server = panels.iter().position(|panel| panel.name == server).unwrap() as u16;
            let (account, mailboxes) = (account.to_owned(), vec![(id.0, id.0)]);
            entries.push(Entry::Route { at: Stamp(0), server, account, mailboxes });
        }
        entries.extend(superseded.iter().map(|op| {
            Entry::End(crate::record::Ended {
                at: Stamp(0),
                op: *op,
                server: None,
                ms: None,
                status: Status::Superseded,
                class: None,
                http: None,
                error: "".into(),
            })
        }));
        self.on_disk.extend(entries.iter().map(|_| Instant::now()));
        self.entries.extend(entries);
        self.sessions += 1;
    }

    /// One session, with nothing said about how.
    pub async fn play(&mut self, panel: &Panel) -> Told {
        self.session(&[panel], How::default()).await
    }

    /// One session. What must hold in any is checked.
    pub async fn session(&mut self, panels: &[&Panel], mut how: How) -> Told {
        let ledger = self.ledger();
        let (to_do, unverified, superseded) = self.plan(&ledger, &how);
        self.open(panels, &superseded);
        let first = self.entries.len();
        let seen_before: Vec<usize> = panels.iter().map(|panel| panel.seen().len()).collect();
        let mut told = Told::default();
        how.checks.changed_before = changed_before(&ledger, &to_do);
        let (begun, start) = (self.begun, Instant::now());
        let clock = move || Stamp(i64::try_from(begun.elapsed().as_millis()).unwrap());
        let (keep, silence) = mpsc::unbounded_channel();
        let signals = how.signals.take().unwrap_or(silence);
        let numbered = (0u32..).zip(&self.job.operations);
        let ops = numbered.filter_map(|(op, operation)| Some(((operation.row, operation.function()?), op)));
        let ops: HashMap<_, _> = ops.collect();
        let (mut entries, mut on_disk) =
            (std::mem::take(&mut self.entries), std::mem::take(&mut self.on_disk));
        {
            let lanes = self.lanes(panels, &ledger, &how, &to_do, &unverified);
            let session = Session {
                checks: how.checks.clone(),
                seed: how.seed,
                ..Session::new(&self.job, lanes, &clock)
            };
            let mut disk = Disk {
                before: entries.len(),
                entries: &mut entries,
                on_disk: &mut on_disk,
                takes: how.disk,
                due: VecDeque::new(),
                safe: 0,
            };
            let mut listener = Listener { told: &mut told, ops };
            let kill = async {
                match how.killed_after {
                    Some(after) => tokio::time::sleep(after).await,
                    None => std::future::pending().await,
                }
            };
            let end = tokio::select! {
                biased;
                () = kill => None,
                end = run(session, &mut disk, &mut listener, signals) => Some(end),
            };
            told.end = end;
        }
        drop(keep);
        (self.entries, self.on_disk) = (entries, on_disk);
        told.took = start.elapsed();
        for (panel, before) in panels.iter().zip(seen_before) {
            self.check(panel, &panel.seen()[before..], first, &how);
        }
        if told.end.is_some() {
            let (code, results) = (0, String::new());
            self.entries.push(Entry::Close { at: Stamp(0), code, results, unfinished: None, report: None });
            self.on_disk.push(Instant::now());
        }
        told
    }

    /// What must hold in any session, whatever happened in it.
    fn check(&self, panel: &Panel, seen: &[Seen], first: usize, how: &How) {
        let entries = || (first..self.entries.len()).map(|at| (&self.entries[at], self.on_disk[at]));
        let began = |one: &Seen, other: &Seen| {
            other.until.is_none_or(|until| until > one.from) && other.from <= one.from
        };
        for (number, one) in seen.iter().enumerate() {
            let before = &seen[..number];
            let refusal = before.iter().find(|other| {
                let is_refusal = matches!(other.verdict, crate::uapi::Verdict::Refused { .. });
                is_refusal && other.until.is_some_and(|until| until < one.from)
            });
            assert!(refusal.is_none(), "asked after a refusal: {one:?}");
            let same_door = |other: &&Seen| !how.own_doors || other.account == one.account;
            let good = before
                .iter()
                .filter(same_door)
                .find(|other| other.is_good() && other.until.is_some_and(|until| until <= one.from));
            let beside = before.iter().filter(|other| began(one, other)).count();
            assert!(
                good.is_some() || beside == 0,
                "beside another before the credential was proven: {one:?}"
            );
            for other in before.iter().filter(|other| other.account == one.account && began(one, other)) {
                let (a, b) = (&one.what, &other.what);
                let is_apart = match (a, b) {
                    (What::Call(_, a), What::Call(_, b)) => a != b,
                    _ => false,
                };
                assert!(is_apart, "{a:?} while {b:?} was on its way");
            }
            if let What::Call(function, mailbox) = &one.what {
                self.check_call(one, *function, mailbox, how, &entries().collect::<Vec<_>>());
            }
        }
        let after: Vec<&str> = entries()
            .filter_map(|(entry, _)| match entry {
                Entry::State(read) if read.phase == Phase::After => Some(read),
                _ => None,
            })
            .filter(|read| self.server_of(&read.account) == panel.name)
            .map(|read| read.account.as_str())
            .collect();
        let different: BTreeSet<&str> = after.iter().copied().collect();
        assert_eq!(after.len(), different.len(), "an account was read twice after its calls");
    }

    fn server_of(&self, account: &str) -> &str {
        let mut mailboxes = self.job.mailboxes.iter().map(|(_, mailbox)| place(mailbox));
        mailboxes.find(|(known, _)| *known == account).unwrap().1
    }

    fn check_call(
        &self,
        call: &Seen,
        function: Function,
        mailbox: &str,
        how: &How,
        entries: &[(&Entry, Instant)],
    ) {
        let is_it = |op: &u32| {
            self.mailbox(*op) == mailbox && self.job.operations[*op as usize].function() == Some(function)
        };
        let is_begun = entries.iter().any(|(entry, on_disk)| match entry {
            Entry::Begin { ops, .. } => ops.iter().any(is_it) && *on_disk <= call.from + how.disk,
            _ => false,
        });
        assert!(is_begun, "no record was written before {call:?}");
        let is_read = entries.iter().any(|(entry, on_disk)| match entry {
            Entry::State(read) => {
                read.phase == Phase::Before && read.account == call.account && *on_disk <= call.from
            }
            _ => false,
        });
        assert!(is_read || !how.checks.before, "no state on the disk before {call:?}");
    }
}

/// What earlier sessions have changed.
fn changed_before(ledger: &Ledger, to_do: &[u32]) -> Changes {
    let taken_up: HashSet<u32> = to_do.iter().copied().collect();
    let mut changes = Changes::default();
    for op in (0..ledger.len() as u32).filter(|op| !taken_up.contains(op)) {
        match ledger.ended(op) {
            Some((Status::Unchanged, _)) => changes.unchanged += 1,
            Some((Status::Ok | Status::Unknown, _)) => changes.changed += 1,
            _ => {}
        }
    }
    changes
}
