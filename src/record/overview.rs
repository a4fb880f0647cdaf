//! How far a run is: its record, counted for who asks how it goes.
//!
//! A record says what has ended; whether the run goes on says the lock. Everything here is made of
//! these two, so that it is the same for a run at work, one that was stopped or killed, and one that
//! is through.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::entry::{Entry, Stamp};
use super::look::Seen;
use super::summary::{Summary, UndoneFigures};
use crate::domain::{ErrorClass, Exit, Status};
use crate::job::{Job, What};

/// What a run is doing, or how it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// A process works on it.
    Running,
    /// A process works on it and begins nothing new.
    Stopping,
    /// Its last session ended in good order, and there is something left to do.
    Stopped,
    /// Its last session ended without a word.
    Killed,
    /// There is nothing left to do.
    Finished,
    /// It was a dry run.
    Rehearsed,
}

impl RunState {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Stopping => "stopping",
            RunState::Stopped => "stopped",
            RunState::Killed => "killed",
            RunState::Finished => "finished",
            RunState::Rehearsed => "rehearsed",
        }
    }

    /// Whether a process works on it.
    pub const fn is_live(self) -> bool {
        matches!(self, RunState::Running | RunState::Stopping)
    }
}

impl Serialize for RunState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Whether an operation that stands so waits to be taken up: what a run left out on purpose does
/// not.
pub fn is_waiting(ended: Option<(Status, Option<ErrorClass>)>) -> bool {
    match ended {
        None => true,
        Some((Status::NotAttempted, class)) => class != Some(ErrorClass::Excluded),
        Some(_) => false,
    }
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// What it is doing.
    pub state: RunState,
    /// Operations in all.
    pub operations: u64,
    /// Those that have ended: all but `left`.
    pub done: u64,
    /// Those that the session, or a `resume`, still has to do.
    pub left: u64,
    /// Those of them that a halted or silent server holds up: this session will not do them.
    pub held_up: u64,
    /// Those of them that nothing holds up and that have no class of their own.
    pub waiting: u64,
    /// How many of the done ones have each status; only statuses that occurred.
    pub counts: BTreeMap<Status, u64>,
    /// How many of the `ok` ones a reading has shown to hold.
    pub verified: u64,
    /// How many of the done ones that did not end well have each class.
    pub classes: BTreeMap<ErrorClass, u64>,
    /// Why operations were left, where there is a reason of their own.
    pub left_classes: BTreeMap<ErrorClass, u64>,
    /// Operations that end in a second, lately; 0 for a run that is not at work.
    pub rate_per_s: f64,
    /// The time that the rest takes at this rate, if it is at work.
    pub time_left: Option<Duration>,
    /// The last thing that was recorded; `None` if nothing was.
    pub last_sign: Option<Stamp>,
    /// Why the last session took no new work, if that was so.
    pub stopped_because: Option<String>,
    /// The runs that take part of it back.
    pub undone: Vec<UndoneFigures>,
    /// Each server.
    pub servers: Vec<ServerOverview>,
}

/// How far one server is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerOverview {
    /// Its name.
    pub name: String,
    /// Operations that belong there, as far as that is known.
    pub operations: u64,
    /// Those that have ended.
    pub done: u64,
    /// Those of them that ended `failed` or `unknown`.
    pub failed: u64,
    /// Those that have not.
    pub left: u64,
    /// Tries made there.
    pub requests: u64,
    /// Set if the last session sent nothing more to it.
    pub halted: Option<Halt>,
}

/// Why and when a server was halted.
#[derive(Clone, Debug, PartialEq)]
pub struct Halt {
    /// The class of what is left there.
    pub class: ErrorClass,
    /// Why, for people.
    pub reason: String,
    /// When, if that is known.
    pub at: Option<Stamp>,
}

/// What a ledger does not keep of the entries: when things happened in the last session. It is shown
/// each entry while the journal is read.
#[derive(Debug, Default)]
pub struct Pulse {
    /// When operations ended, the last ones.
    ends: VecDeque<Stamp>,
    servers: Vec<String>,
    halted_at: HashMap<String, Stamp>,
    stopped_because: Option<String>,
    last_sign: Option<Stamp>,
}

/// The rate is that of so many seconds.
const WINDOW_MS: i64 = 30_000;

/// Where fewer ended in that time, it is that of so many operations.
const FEWEST: usize = 10;

impl Pulse {
    /// Notes an entry.
    pub fn note(&mut self, entry: &Entry) {
        let after = |at: &Stamp, ms: u32| Stamp(at.0.saturating_add(i64::from(ms)));
        let sign = match entry {
            Entry::Session(session) => {
                *self = Pulse { servers: session.servers.clone(), ..Pulse::default() };
                session.at
            }
            Entry::End(ended) => {
                let end = after(&ended.at, ended.ms.unwrap_or(0));
                if ended.server.is_some() && ended.status != Status::NotAttempted {
                    self.ended(end);
                }
                end
            }
            Entry::Halt { at, server, .. } => {
                if let Some(name) = self.servers.get(usize::from(*server)) {
                    self.halted_at.insert(name.clone(), *at);
                }
                *at
            }
            Entry::Stop { at, reason, .. } => {
                self.stopped_because = Some(reason.clone());
                *at
            }
            Entry::Try(attempt) => after(&attempt.at, attempt.ms),
            Entry::Begin { at, .. } | Entry::Route { at, .. } | Entry::Close { at, .. } => *at,
            _ => return,
        };
        self.last_sign = self.last_sign.max(Some(sign));
    }

    fn ended(&mut self, end: Stamp) {
        self.ends.push_back(end);
        while self.ends.len() > FEWEST && self.ends.front().is_some_and(|first| end.0 - first.0 > WINDOW_MS) {
            self.ends.pop_front();
        }
    }

    /// Operations that ended in a second, up to now: of the last half minute, or of the last few
    /// operations where these took longer.
    fn rate(&self, now: Stamp) -> f64 {
        let lately = self.ends.iter().filter(|end| now.0 - end.0 <= WINDOW_MS).count();
        let count = lately.max(FEWEST.min(self.ends.len()));
        let Some(first) = self.ends.len().checked_sub(count).and_then(|at| self.ends.get(at)) else {
            return 0.0;
        };
        // The first one marks the beginning of the time that the others took.
        let seconds = f64::from(now.since(*first)) / 1000.0;
        if count > 1 && seconds > 0.0 { (count - 1) as f64 / seconds } else { 0.0 }
    }
}

impl Overview {
    /// Counts a run that was looked at. `pulse` was shown its entries.
    pub fn new(job: &Job, seen: &Seen, pulse: &Pulse, now: Stamp) -> Overview {
        let ledger = &seen.record.ledger;
        let mut servers: Vec<ServerOverview> = ledger
            .servers()
            .iter()
            .map(|server| ServerOverview {
                name: server.name.clone(),
                requests: server.requests,
                halted: server.halted.as_ref().map(|(class, reason)| Halt {
                    class: *class,
                    reason: reason.clone(),
                    at: pulse.halted_at.get(&server.name).copied(),
                }),
                ..ServerOverview::default()
            })
            .collect();
        let numbers: HashMap<&str, usize> =
            ledger.servers().iter().zip(0..).map(|(server, number)| (server.name.as_str(), number)).collect();
        // The server of each place: looked up once for each place, not for each operation.
        let places = ledger.places();
        let of_places: Vec<Option<usize>> =
            places.list().iter().map(|place| numbers.get(place.server.as_str()).copied()).collect();
        let mut overview = Overview {
            state: RunState::Finished,
            operations: job.operations.len() as u64,
            done: 0,
            left: 0,
            held_up: 0,
            waiting: 0,
            counts: BTreeMap::new(),
            verified: 0,
            classes: BTreeMap::new(),
            left_classes: BTreeMap::new(),
            rate_per_s: 0.0,
            time_left: None,
            last_sign: pulse.last_sign,
            stopped_because: pulse.stopped_because.clone(),
            undone: ledger.undone(),
            servers: Vec::new(),
        };
        for (op, operation) in (0u32..).zip(&job.operations) {
            let number = places.number_of(operation.mailbox);
            let server = number.and_then(|number| of_places.get(number as usize).copied().flatten());
            let server = server.and_then(|server| servers.get_mut(server));
            let ended = match operation.what {
                // What a resume would say of it.
                What::Call(_) if ledger.is_undone(op) && is_waiting(ledger.ended(op)) => {
                    Some((Status::Blocked, Some(ErrorClass::Undone)))
                }
                What::Call(_) => ledger.ended(op),
                What::Duplicate(_) => Some((Status::Duplicate, None)),
                What::Invalid => Some((Status::Invalid, Some(ErrorClass::InvalidRow))),
            };
            overview.count(ended, server);
            overview.verified += u64::from(ledger.is_verified(op));
        }
        overview.servers = servers;
        overview.state = overview.state_of(seen);
        if overview.state.is_live() {
            overview.rate_per_s = pulse.rate(now);
            overview.time_left = overview.time_for(overview.left - overview.held_up);
        }
        overview
    }

    /// A run that has ended, by what its summary says; `None` if that does not tell.
    pub fn of_summary(summary: &Summary, is_dry_run: bool) -> Option<Overview> {
        let classes = summary.error_classes.clone();
        let excluded = classes.get(&ErrorClass::Excluded).copied().unwrap_or(0);
        let mut counts = summary.counts.clone();
        let not_attempted = counts.remove(&Status::NotAttempted).unwrap_or(0);
        let left = if is_dry_run { 0 } else { not_attempted.saturating_sub(excluded) };
        if not_attempted > left {
            counts.insert(Status::NotAttempted, not_attempted - left);
        }
        let is_whole = [Exit::Ok, Exit::Incomplete].iter().any(|exit| exit.code() == summary.exit_code);
        let is_cut_off = !is_whole || summary.servers.iter().any(|server| server.halted.is_some());
        if !is_dry_run && is_cut_off && counts.contains_key(&Status::Unknown) {
            // Some of these may have been under way, and then they are left too.
            return None;
        }
        let state = match (is_dry_run, left) {
            (true, _) => RunState::Rehearsed,
            (false, 0) => RunState::Finished,
            (false, _) => RunState::Stopped,
        };
        Some(Overview {
            verified: summary.verified,
            undone: summary.undone.clone(),
            state,
            operations: summary.operations,
            done: summary.operations.saturating_sub(left),
            left,
            held_up: 0,
            waiting: left,
            counts,
            classes,
            left_classes: BTreeMap::new(),
            rate_per_s: 0.0,
            time_left: None,
            last_sign: Stamp::try_from(summary.ended_at.clone()).ok(),
            stopped_because: None,
            servers: Vec::new(),
        })
    }

    fn count(&mut self, ended: Option<(Status, Option<ErrorClass>)>, server: Option<&mut ServerOverview>) {
        let is_left = is_waiting(ended);
        // What the servers are asked about again has forgotten that it had none.
        let is_unrouted = matches!(ended, Some((_, Some(ErrorClass::Unrouted))));
        let is_halted = server.as_ref().is_some_and(|server| server.halted.is_some());
        if is_left {
            self.left += 1;
            self.held_up += u64::from(is_unrouted || is_halted);
            match ended {
                Some((_, Some(class))) => *self.left_classes.entry(class).or_default() += 1,
                _ => self.waiting += u64::from(!is_halted),
            }
        } else if let Some((status, class)) = ended {
            self.done += 1;
            *self.counts.entry(status).or_default() += 1;
            if let Some(class) = class.filter(|_| !status.is_good()) {
                *self.classes.entry(class).or_default() += 1;
            }
        }
        let Some(server) = server else { return };
        server.operations += 1;
        if is_left {
            server.left += 1;
        } else {
            server.done += 1;
            server.failed += u64::from(matches!(ended, Some((Status::Failed | Status::Unknown, _))));
        }
    }

    fn state_of(&self, seen: &Seen) -> RunState {
        let is_ended = seen.record.closed;
        match seen.is_in_use {
            // Between its last record and its end a process has little left to do, and one that takes
            // a run up asks the servers before its first record.
            true if is_ended || self.stopped_because.is_none() => RunState::Running,
            true => RunState::Stopping,
            false if !is_ended => RunState::Killed,
            false if self.left > 0 => RunState::Stopped,
            false => RunState::Finished,
        }
    }

    fn time_for(&self, operations: u64) -> Option<Duration> {
        let seconds = operations as f64 / self.rate_per_s;
        // Beyond some months it is no estimate but a standstill.
        (operations > 0 && seconds < 1e7).then(|| Duration::from_secs_f64(seconds))
    }

    /// The share that is done, in percent, rounded down, so that 100 means all.
    pub fn percent(&self) -> u64 {
        let percent = u128::from(self.done) * 100 / u128::from(self.operations.max(1));
        percent.min(100) as u64
    }
}

#[cfg(test)]
mod tests;
