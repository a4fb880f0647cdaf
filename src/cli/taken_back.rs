//! What earlier undos of a run have put back. A later one leaves that alone: what it has become since
//! then is somebody else's doing, and not that run's.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::recorded::Recorded;
use super::run::runs_dir;
use super::show;
use crate::domain::{Flag, Status};
use crate::job::{self, Job, MailboxId};
use crate::record::{Ledger, RunDir, RunFacts, Undo, is_waiting};

/// A flag of a mailbox, as rows name it: the address, what they say of its place, the flag.
type Named = (String, String, String, u8);

/// What was put back.
#[derive(Default)]
pub struct TakenBack {
    /// By which undos each flag was put back.
    flags: HashMap<Named, HashSet<String>>,
    /// Undos that have not ended, with what to type.
    open: Vec<String>,
    /// Undos that cannot be read, and why.
    unread: Vec<(String, String)>,
}

impl TakenBack {
    /// Looks at each undo that a run's journal names.
    pub fn find(run: &Recorded, ledger: &Ledger) -> TakenBack {
        let mut found = TakenBack::default();
        for undo in ledger.undos() {
            if let Err(fault) = found.look_at(undo, run) {
                found.unread.push((undo.by.clone(), format!("{fault:#}")));
            }
        }
        found
    }

    /// Whether what an operation did to its flag was put back by the undo that it was given to last.
    pub fn has(&self, run: &Recorded, ledger: &Ledger, op: u32, flag: Flag) -> bool {
        let Some(undo) = ledger.undone_by(op) else { return false };
        let mailbox = run.job.operations[op as usize].mailbox;
        let by = self.flags.get(&named(&run.job, &run.facts, mailbox, flag));
        by.is_some_and(|by| by.contains(&undo.by))
    }

    /// The same for who only looks: what an undo has put back that cannot be read is taken for put
    /// back.
    pub fn is_passed_over(&self, run: &Recorded, ledger: &Ledger, op: u32, flag: Flag) -> bool {
        let Some(undo) = ledger.undone_by(op) else { return false };
        self.unread.iter().any(|(by, _)| *by == undo.by) || self.has(run, ledger, op, flag)
    }

    /// What who only looks should know.
    pub fn notes(&self) -> Vec<String> {
        let unread = self.unread.iter().map(|(by, fault)| {
            format!("what the undo {by} has put back cannot be read, and is taken for put back: {fault}")
        });
        unread.chain(self.open.iter().cloned()).collect()
    }

    /// What who undoes the rest should know.
    pub fn warnings(&self) -> Vec<String> {
        let unread = self.unread.iter().map(|(by, fault)| {
            format!("what the undo {by} has put back cannot be read, so it is undone again: {fault}")
        });
        unread.chain(self.open.iter().cloned()).collect()
    }

    fn look_at(&mut self, undo: &Undo, run: &Recorded) -> Result<()> {
        let Some((dir, facts)) = open(undo, run) else {
            // Killed between its note and its first file: it has sent nothing.
            let is_unborn = |place: &PathBuf| place.is_dir() && !place.join("run.json").exists();
            anyhow::ensure!(places(undo, run).iter().any(is_unborn), "{} is not there", undo.dir);
            return Ok(());
        };
        let job = job::read(&dir.input()?, &facts.input.options).context("input.csv")?;
        let ledger = dir.look(&facts, &job)?.record.ledger;
        let mut is_over = true;
        for (op, operation) in (0u32..).zip(&job.operations) {
            let Some(function) = operation.function() else { continue };
            let ended = ledger.ended(op);
            is_over &= !is_waiting(ended);
            // It may itself have been undone since.
            if matches!(ended, Some((Status::Ok | Status::Unchanged, _))) && !ledger.is_undone(op) {
                let flag = named(&job, &facts, operation.mailbox, function.target().flag);
                self.flags.entry(flag).or_default().insert(undo.by.clone());
            }
        }
        if !is_over {
            let resume = show::command(&dir, "resume", &[]);
            self.open.push(format!("an undo of this run has not ended; to go on with it: {resume}"));
        }
        Ok(())
    }
}

/// The undo's run, where it was, or beside the run or among the others if it was moved with them.
fn open(undo: &Undo, run: &Recorded) -> Option<(RunDir, RunFacts)> {
    let places = places(undo, run);
    let mut opened = places.iter().filter_map(|place| RunDir::open(&run.disk, place, Path::new("")).ok());
    opened.find(|(_, facts)| facts.run_id == undo.by && facts.undo_of.is_some())
}

/// Where the undo's run may be.
fn places(undo: &Undo, run: &Recorded) -> [PathBuf; 3] {
    let beside = run.dir.path().parent().unwrap_or(Path::new(""));
    [PathBuf::from(&undo.dir), beside.join(&undo.by), runs_dir(&run.config).join(&undo.by)]
}

/// What the rows of a mailbox say of its place: server and account.
pub fn said_place<'a>(job: &'a Job, facts: &'a RunFacts, mailbox: MailboxId) -> (&'a str, &'a str) {
    let said = &job.destinations[job.mailboxes.destination(mailbox) as usize];
    let servers = facts.input.options.servers.as_deref().unwrap_or_default();
    let server = said.server.and_then(|number| servers.get(number as usize));
    (server.map_or("", String::as_str), &said.account)
}

fn named(job: &Job, facts: &RunFacts, mailbox: MailboxId, flag: Flag) -> Named {
    let (server, account) = said_place(job, facts, mailbox);
    (job.mailboxes.get(mailbox).to_owned(), server.to_owned(), account.to_owned(), flag as u8)
}
