//! What there is to put back of a run, as a job of its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, anyhow};

use crate::cli::Failure;
use crate::cli::ground::names;
use crate::cli::prepare;
use crate::cli::recorded::Recorded;
use crate::cli::route::{Routed, Routing};
use crate::cli::select::Lists;
use crate::cli::survey::Survey;
use crate::cli::taken_back::{TakenBack, said_place};
use crate::domain::{ErrorClass, Flag, Function, Status};
use crate::job::{self, Job, MailboxId, Source};
use crate::record::{Entry, Ledger, Opened, Places, RunDir, Settled, Stamp, in_rows, is_waiting};

/// The part of a run that is to be taken back.
pub struct Part<'a> {
    pub run: &'a Recorded,
    pub ledger: &'a Ledger,
    pub lists: &'a Lists,
    pub left_out: &'a [bool],
    /// What earlier undos have put back.
    pub before: TakenBack,
}

/// A flag of a mailbox, in the order of the operations.
type Key = (MailboxId, u8);

/// One flag that is to be put back.
pub struct Row {
    mailbox: MailboxId,
    function: Function,
    /// Why it is left as it is, if it is.
    blocked: Option<(ErrorClass, &'static str)>,
    /// The first operation of the run on it.
    op: u32,
}

/// What an undo comes to.
pub struct Undoing {
    pub rows: Vec<Row>,
    /// Operations of the run that it takes back, ascending.
    taken_back: Vec<u32>,
    /// Operations of the run that have not ended, and are not to be.
    pub left: Vec<u32>,
    /// Flags that earlier undos have put back.
    pub before: usize,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// What the run did to one flag.
struct Touched {
    flag: Flag,
    /// What was read before the first call on it.
    before: Option<bool>,
    /// What the last call was to make of it.
    now: bool,
    /// Whether it is open what one of the calls came to.
    is_open: bool,
    ops: Vec<u32>,
}

/// `3 changes were`.
pub fn changes_were(many: usize) -> String {
    if many == 1 { "1 change was".to_owned() } else { format!("{many} changes were") }
}

impl Part<'_> {
    /// What there is to take back.
    pub fn undoing(&self, release_held: bool) -> Undoing {
        let mut touched: BTreeMap<u32, Touched> = BTreeMap::new();
        let mut first: HashMap<Key, u32> = HashMap::new();
        let mut left = Vec::new();
        for (op, operation) in (0u32..).zip(&self.run.job.operations) {
            let Some(function) = operation.function() else { continue };
            let is_call = matches!(operation.what, job::What::Call(_));
            if !is_call || !self.is_wanted(operation.mailbox, function) {
                continue;
            }
            let ended = self.ledger.ended(op);
            if is_waiting(ended) && !self.ledger.is_undone(op) {
                left.push(op);
            }
            let Some(is_open) = self.effect(op, ended) else { continue };
            let target = function.target();
            let key = *first.entry((operation.mailbox, target.flag as u8)).or_insert(op);
            let before = self.ledger.standing(&self.run.job, op).before.get(target.flag);
            let flag = touched.entry(key).or_insert_with(|| Touched {
                flag: target.flag,
                before,
                now: target.on,
                is_open: false,
                ops: Vec::new(),
            });
            flag.now = target.on;
            flag.is_open |= is_open;
            flag.ops.push(op);
        }
        let mut undoing = Undoing {
            rows: Vec::new(),
            taken_back: Vec::new(),
            left,
            before: 0,
            warnings: self.before.warnings(),
        };
        let mut holds_again = 0;
        for (op, flag) in touched {
            let mailbox = self.run.job.operations[op as usize].mailbox;
            // It is as it was, whatever was done to it meanwhile.
            if flag.before == Some(flag.now) && !flag.is_open {
                continue;
            }
            let is_undone = flag.ops.iter().all(|op| self.ledger.is_undone(*op));
            let last = flag.ops.last().copied().unwrap_or(op);
            if is_undone && self.before.has(self.run, self.ledger, last, flag.flag) {
                undoing.before += 1;
                continue;
            }
            let function = putting_back(flag.flag, flag.before.unwrap_or(!flag.now));
            let blocked = match (flag.before, function) {
                (None, _) => Some((
                    ErrorClass::NoPriorState,
                    "what it was before the run was not read, so it is left as it is",
                )),
                (_, Function::ReleaseOutgoing) if !release_held => Some((
                    ErrorClass::NeedsRelease,
                    "to undo the hold would send the queued mail: look at it, then undo with --release-held",
                )),
                _ => None,
            };
            holds_again += u64::from(function == Function::HoldOutgoing && blocked.is_none());
            if blocked.is_none() {
                undoing.taken_back.extend(flag.ops);
            }
            undoing.rows.push(Row { mailbox, function, blocked, op });
        }
        undoing.taken_back.sort_unstable();
        if undoing.before > 0 && !undoing.rows.is_empty() {
            let were = changes_were(undoing.before);
            undoing.warnings.push(format!("{were} put back by an earlier undo already, and left alone here"));
        }
        if holds_again > 0 {
            let many =
                if holds_again == 1 { "1 mailbox".to_owned() } else { format!("{holds_again} mailboxes") };
            undoing
                .warnings
                .push(format!("outgoing mail of {many} is held again; mail that was sent stays sent"));
        }
        undoing
    }

    /// Whether the selection has an operation.
    fn is_wanted(&self, mailbox: MailboxId, function: Function) -> bool {
        let address = self.run.job.mailboxes.get(mailbox);
        if self.lists.leave_out(address, function.channel()).is_some() {
            return false;
        }
        if self.left_out.iter().all(|out| !out) {
            return true;
        }
        // Where it goes is not known: then it is not of a server that was named.
        let place = self.ledger.places().of(mailbox);
        let server =
            place.and_then(|place| self.run.fleet.servers.iter().position(|s| s.name == place.server));
        server.is_some_and(|number| !self.left_out[number])
    }

    /// Whether an operation had effect, or may have: `Some(true)` if that is open.
    fn effect(&self, op: u32, ended: Option<(Status, Option<ErrorClass>)>) -> Option<bool> {
        if !self.ledger.was_begun(op) {
            return None;
        }
        match ended {
            Some((Status::Ok, _)) => Some(false),
            Some((Status::Unknown, _)) => Some(true),
            // The server accepted it, and may be slow to do it.
            Some((Status::Failed, Some(ErrorClass::NotApplied))) => Some(true),
            None | Some((Status::NotAttempted | Status::Failed | Status::Blocked, _))
                if self.ledger.may_have_had_effect(op) =>
            {
                Some(true)
            }
            _ => None,
        }
    }
}

/// The function that gives a flag this value.
fn putting_back(flag: Flag, on: bool) -> Function {
    match (flag, on) {
        (Flag::Login, true) => Function::SuspendLogin,
        (Flag::Login, false) => Function::UnsuspendLogin,
        (Flag::Incoming, true) => Function::SuspendIncoming,
        (Flag::Incoming, false) => Function::UnsuspendIncoming,
        (Flag::Outgoing, true) => Function::SuspendOutgoing,
        (Flag::Outgoing, false) => Function::UnsuspendOutgoing,
        (Flag::Held, true) => Function::HoldOutgoing,
        (Flag::Held, false) => Function::ReleaseOutgoing,
    }
}

impl Undoing {
    /// It as a job's input, which can be read by itself.
    pub fn source(&self, run: &Recorded) -> Result<Source, Failure> {
        let has_places = run.facts.input.options.servers.is_some();
        let mut csv = csv::Writer::from_writer(Vec::new());
        let mut write = || -> std::io::Result<()> {
            let places = if has_places { &["server", "account"][..] } else { &[] };
            let columns = ["email", "action", "channel", "undo_of_row"];
            csv.write_record(columns.iter().chain(places))?;
            for row in &self.rows {
                let number = run.job.operations[row.op as usize].row.to_string();
                let (action, channel) = (row.function.action(), row.function.channel());
                let address = run.job.mailboxes.get(row.mailbox);
                for cell in [address, action.word(), channel.word(), &number] {
                    csv.write_field(cell)?;
                }
                if has_places {
                    let (server, account) = said_place(&run.job, &run.facts, row.mailbox);
                    csv.write_field(server)?;
                    csv.write_field(account)?;
                }
                csv.write_record(None::<&[u8]>)?;
            }
            csv.flush()
        };
        write().context("the job cannot be put together")?;
        let bytes = csv.into_inner().map_err(|fault| anyhow!("the job cannot be put together: {fault}"))?;
        Ok(Source::named_bytes(&format!("undo-{}.csv", run.dir.run_id()), bytes))
    }

    /// Where the mailboxes of the new job are: where they were.
    pub fn places(&self, job: &Job, before: &Places) -> Places {
        let mut places = Places::new(job.mailboxes.len());
        for (operation, row) in job.operations.iter().zip(&self.rows) {
            if let Some(place) = before.of(row.mailbox) {
                let number = places.number(&place.server, &place.account);
                places.put(operation.mailbox, number);
            }
        }
        places
    }

    /// For each server whether something is to be put back there.
    pub fn needed(&self, run: &Recorded, places: &Places) -> Vec<bool> {
        let mut needed = vec![false; run.fleet.servers.len()];
        for row in self.rows.iter().filter(|row| row.blocked.is_none()) {
            let place = places.of(row.mailbox);
            let server =
                place.and_then(|place| run.fleet.servers.iter().position(|s| s.name == place.server));
            if let Some(number) = server {
                needed[number] = true;
            }
        }
        needed
    }

    pub fn route(&self, run: &Recorded, job: &Job, survey: &Survey, places: &Places) -> Routed {
        let everything = Lists::default();
        let known = names(&run.fleet);
        let routing = Routing {
            job,
            fleet: &run.fleet,
            heard: &survey.heard,
            lists: &everything,
            names: run.facts.input.options.servers.as_deref().unwrap_or(&known),
            recorded: Some(places),
            is_rehearsal: false,
        };
        let mut routed = routing.route(prepare::callable(job), &HashSet::new());
        for (op, row) in (0u32..).zip(&self.rows) {
            if let Some((class, why)) = row.blocked {
                let settled = Settled { status: Status::Blocked, class: Some(class), error: why.into() };
                routed.settled.insert(op, settled);
            }
        }
        routed.warnings.extend(self.warnings.iter().cloned());
        routed
    }

    /// Tells the run's journal what is taken back, and waits until that is on the disk.
    pub fn note(&self, run: &RunDir, opened: &mut Opened, dir: &RunDir) -> Result<(), Failure> {
        let mut ops: Vec<u32> = self.taken_back.iter().chain(&self.left).copied().collect();
        ops.sort_unstable();
        ops.dedup();
        if ops.is_empty() {
            return Ok(());
        }
        let whole = std::path::absolute(dir.path()).unwrap_or_else(|_| dir.path().to_owned());
        let (at, by, dir) = (Stamp::now(), dir.run_id(), whole.display().to_string());
        let entry = Entry::Undone { at, by, dir, ops: in_rows(ops) };
        Ok(run.note(&mut opened.journal, &mut opened.ledger, &entry)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Action;

    #[test]
    fn every_flag_can_be_put_back_to_either_value() {
        for flag in Flag::ALL {
            for on in [true, false] {
                let target = putting_back(flag, on).target();
                assert_eq!((target.flag, target.on), (flag, on));
            }
        }
        assert_eq!(putting_back(Flag::Held, false).action(), Action::Release);
    }
}
