//! What earlier undos of a run have put back. A later one leaves that alone: what it has become since
//! then is somebody else's doing, and not that run's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

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
    flags: HashSet<Named>,
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

    /// Whether a mailbox's flag was put back.
    pub fn has(&self, run: &Recorded, mailbox: MailboxId, flag: Flag) -> bool {
        !self.flags.is_empty() && self.flags.contains(&named(&run.job, &run.facts, mailbox, flag))
    }

    /// The same for who only looks: what an undo has put back that cannot be read is taken for put
    /// back.
    pub fn is_passed_over(&self, run: &Recorded, ledger: &Ledger, op: u32, flag: Flag) -> bool {
        let Some(undo) = ledger.undone_by(op) else { return false };
        self.unread.iter().any(|(by, _)| *by == undo.by)
            || self.has(run, run.job.operations[op as usize].mailbox, flag)
    }

    /// Undos that have not ended.
    pub fn open(&self) -> &[String] {
        &self.open
    }

    /// What who undoes the rest should know.
    pub fn warnings(&self) -> Vec<String> {
        let unread = self.unread.iter().map(|(by, fault)| {
            format!("what the undo {by} has put back cannot be read, so it is undone again: {fault}")
        });
        unread.chain(self.open.iter().cloned()).collect()
    }

    fn look_at(&mut self, undo: &Undo, run: &Recorded) -> Result<()> {
        let (dir, facts) = open(undo, run).ok_or_else(|| anyhow!("{} is not there", undo.dir))?;
        let job = job::read(&dir.input()?, &facts.input.options).context("input.csv")?;
        let ledger = dir.look(&facts, &job)?.record.ledger;
        let mut is_over = true;
        for (op, operation) in (0u32..).zip(&job.operations) {
            let Some(function) = operation.function() else { continue };
            let ended = ledger.ended(op);
            is_over &= !is_waiting(ended);
            // It may itself have been undone since.
            if matches!(ended, Some((Status::Ok | Status::Unchanged, _))) && !ledger.is_undone(op) {
                self.flags.insert(named(&job, &facts, operation.mailbox, function.target().flag));
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
    let beside = run.dir.path().parent().unwrap_or(Path::new(""));
    let places = [PathBuf::from(&undo.dir), beside.join(&undo.by), runs_dir(&run.config).join(&undo.by)];
    let mut opened = places.iter().filter_map(|place| RunDir::open(&run.disk, place, Path::new("")).ok());
    opened.find(|(_, facts)| facts.run_id == undo.by && facts.undo_of.is_some())
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
