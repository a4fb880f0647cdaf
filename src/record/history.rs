//! What a run has done to one mailbox, read without disturbing the run.
//!
//! Most runs never had to do with it. That is seen by the input alone, whose hash is checked all the
//! same: an input from which a row was taken would else hide what was done.

use std::path::PathBuf;

use serde::Serialize;

use super::entry::{Entry, Stamp};
use super::facts::{RunFacts, who};
use super::ledger::Reason;
use super::line::reason_at;
use super::look::Seen;
use super::rundir::{DirError, INPUT, RunDir};
use super::summary::SessionFigures;
use crate::domain::{Action, Channel, ErrorClass, Mailbox, Status};
use crate::job::{self, Job};

/// One operation on a mailbox.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deed {
    /// When its last try began, or it was settled without one; the end of the last session where the
    /// journal says nothing of it.
    pub at: String,
    /// The run.
    pub run: String,
    /// Its directory.
    pub run_dir: PathBuf,
    /// Who worked on it last.
    pub operator: String,
    /// The Unix user behind that name.
    pub unix_user: String,
    /// Why, if that was said.
    pub ticket: Option<String>,
    /// What was asked.
    pub action: Action,
    /// Of which channel.
    pub channel: Channel,
    /// How it ended; none as long as the run is at work on it.
    pub status: Option<Status>,
    /// Whether the flag was read to be as wanted, if it was read.
    pub verified: Option<bool>,
    /// Why it did not end well.
    pub error_class: Option<ErrorClass>,
    /// The server's words, or what happened.
    pub error: String,
    /// The server, as far as it is known.
    pub server: Option<String>,
    /// The account there.
    pub account: Option<String>,
    /// What the channel was before, if it was read.
    pub state_before: Option<&'static str>,
    /// What it was after.
    pub state_after: Option<&'static str>,
    /// The run that took it back.
    pub undone_by: Option<String>,
}

impl RunDir {
    /// Everything that the run was to do to a mailbox, in the order of its input. Of a dry run there
    /// is nothing.
    ///
    /// # Errors
    /// If the run cannot be read, or is not as it was written.
    pub fn deeds(&self, facts: &RunFacts, mailbox: &Mailbox) -> Result<Vec<Deed>, DirError> {
        if facts.dry_run {
            return Ok(Vec::new());
        }
        let input = self.input()?;
        let shown = self.path().display();
        let unreadable =
            |fault: job::InputError| DirError::NotARun(format!("{shown}: {INPUT} cannot be read: {fault}"));
        let mentions = job::mentions(&input, &facts.input.options, mailbox).map_err(unreadable)?;
        if mentions.sha256 != facts.input.sha256 {
            return Err(DirError::NotARun(format!("{shown}/{INPUT} was altered since the run began")));
        }
        if !mentions.found {
            return Ok(Vec::new());
        }
        let job = job::read(&input, &facts.input.options).map_err(unreadable)?;
        let mut trail = Trail::new(&job, mailbox);
        let seen = self.look_through(facts, &job, |entry| trail.note(entry))?;
        Ok(trail.steps.iter().map(|step| step.told(self, facts, &job, &seen)).collect())
    }
}

/// The operations on a mailbox, and what was last said of each.
struct Trail {
    steps: Vec<Step>,
    /// How many sessions have begun.
    sessions: usize,
}

struct Step {
    op: u32,
    /// When something was last said of it, and in which session, from 1.
    last: Option<(Stamp, usize)>,
    undone_by: Option<String>,
}

impl Trail {
    fn new(job: &Job, mailbox: &Mailbox) -> Trail {
        // The address is several mailboxes where rows send it to several servers.
        let ids: Vec<_> = job.mailboxes.iter().filter(|(_, address)| *address == mailbox.as_str()).collect();
        let is_his = |id| ids.iter().any(|(his, _)| *his == id);
        let ops = (0u32..).zip(&job.operations).filter(|(_, operation)| is_his(operation.mailbox));
        let steps = ops.map(|(op, _)| Step { op, last: None, undone_by: None }).collect();
        Trail { steps, sessions: 0 }
    }

    fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Session(_) => self.sessions += 1,
            Entry::Begin { at, ops } => self.touch(*at, |op| ops.contains(&op)),
            Entry::Try(attempt) => self.touch(attempt.at, |op| attempt.op == op),
            Entry::End(ended) => self.touch(ended.at, |op| ended.op == op),
            Entry::Unchanged { at, ops } => self.touch(*at, |op| has(ops, op)),
            Entry::Undone { by, ops, .. } => {
                for step in self.steps.iter_mut().filter(|step| has(ops, step.op)) {
                    step.undone_by = Some(by.clone());
                }
            }
            _ => {}
        }
    }

    fn touch(&mut self, at: Stamp, is_meant: impl Fn(u32) -> bool) {
        let session = self.sessions;
        for step in self.steps.iter_mut().filter(|step| is_meant(step.op)) {
            step.last = Some((at, session));
        }
    }
}

fn has(rows: &[(u32, u32)], op: u32) -> bool {
    rows.iter().any(|(first, last)| (*first..=*last).contains(&op))
}

impl Step {
    fn told(&self, dir: &RunDir, facts: &RunFacts, job: &Job, seen: &Seen) -> Deed {
        let ledger = &seen.record.ledger;
        let operation = &job.operations[self.op as usize];
        // Every operation with a mailbox has one.
        let function = operation.function();
        let (action, channel) = function
            .map_or((Action::Suspend, Channel::Login), |function| (function.action(), function.channel()));
        let standing = ledger.standing(job, self.op);
        let is_under_way = seen.is_in_use && !seen.record.closed && ledger.ended(self.op).is_none();
        let sessions = &seen.record.sessions;
        let session = match self.last {
            Some((_, session)) => sessions.get(session.saturating_sub(1)),
            None => sessions.last(),
        };
        let ended = |session: &SessionFigures| session.ended_at.clone();
        let at = self.last.map(|(at, _)| at.to_string()).or_else(|| session.and_then(ended));
        let place = ledger.places().of(operation.mailbox);
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let state = |state: &'static str| (!state.is_empty()).then_some(state);
        Deed {
            at: at.unwrap_or_else(|| facts.started_at.to_string()),
            run: facts.run_id.clone(),
            run_dir: dir.path().to_owned(),
            operator: session.map_or(&facts.operator, |session| &session.operator).clone(),
            unix_user: session.map_or(&facts.unix_user, |session| &session.unix_user).clone(),
            ticket: session.and_then(|session| session.ticket.clone()).or_else(|| facts.ticket.clone()),
            action,
            channel,
            status: (!is_under_way).then_some(standing.status),
            verified: standing.verified,
            error_class: standing.class.filter(|_| !is_under_way),
            error: match standing.reason {
                Reason::Text(text) if !is_under_way => text,
                Reason::Journal(at) => reason_at(&seen.journal, at).unwrap_or_default(),
                _ => String::new(),
            },
            server: place.and_then(|place| known(&place.server)),
            account: place.and_then(|place| known(&place.account)),
            state_before: state(standing.before.of(channel)),
            state_after: state(standing.after.of(channel)),
            undone_by: self.undone_by.clone(),
        }
    }
}

impl Deed {
    /// Who worked on it, for people.
    pub fn who(&self) -> String {
        who(&self.operator, &self.unix_user)
    }
}
