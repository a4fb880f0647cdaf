//! What the results say of one operation, in whatever form they are written: `results.csv`, the
//! report and the workbook are told the same lines, so that they cannot disagree.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::entry::{Entry, Stamp};
use super::journal::HASH_TAIL;
use super::ledger::{Reason, Standing};
use super::results::{Material, Outcomes, each_row};
use crate::domain::{ErrorClass, Function, State, Status};
use crate::job::{MailboxId, Row, What};

/// One operation and what has become of it.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Its place among the operations, from 0.
    pub op: u32,
    /// Its row in the input.
    pub row: u32,
    /// Its mailbox, by number; [`MailboxId::NONE`] for a row that is not an operation.
    pub mailbox: MailboxId,
    /// What it asks for; `None` for a row that is not an operation.
    pub function: Option<Function>,
    /// The mailbox, or the cell as it was.
    pub email: &'a str,
    /// The action, or the cell as it was.
    pub action: &'a str,
    /// The channel, or the cell as it was.
    pub channel: &'a str,
    /// How it ended.
    pub status: Status,
    /// Whether it was seen to hold: `yes`, `no`, or empty where that was not read.
    pub verified: &'static str,
    /// Why, if not well.
    pub class: Option<ErrorClass>,
    /// In the server's words, or what happened.
    pub error: String,
    /// HTTP status of the last answer.
    pub http: Option<u16>,
    /// Tries over all sessions.
    pub attempts: u16,
    /// Start of the first try.
    pub started: Option<Stamp>,
    /// From there to the outcome, in milliseconds.
    pub duration_ms: Option<u32>,
    /// The number of the place where it went.
    pub place: Option<u32>,
    /// The server it went to; empty if none is known.
    pub server: &'a str,
    /// The account there.
    pub account: &'a str,
    /// The channel's state before, where it is known.
    pub state_before: &'static str,
    /// And after.
    pub state_after: &'static str,
    /// What was read of the mailbox after its last call.
    pub after: State,
    /// The run that takes it back, if one does.
    pub undone_by: Option<&'a str>,
    cells: Row<'a>,
}

impl<'a> Line<'a> {
    /// The cells of the input's other columns, in their order.
    pub fn others(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.cells.others()
    }

    /// When its last try ended.
    pub fn ended(&self) -> Option<Stamp> {
        let (started, took) = (self.started?, self.duration_ms?);
        Some(Stamp(started.0.saturating_add(i64::from(took))))
    }
}

impl Material<'_> {
    /// The server and the account of a mailbox; empty where they are not known.
    pub fn place(&self, mailbox: MailboxId) -> (&str, &str) {
        let place = self.places().of(mailbox);
        place.map_or(("", ""), |place| (place.server.as_str(), place.account.as_str()))
    }

    /// Calls `each` for every operation, in input order.
    ///
    /// # Errors
    /// If the input cannot be read again, or what `each` refuses.
    pub fn each_line(&self, mut each: impl FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        each_row(self.job, self.input, |row, ops| ops.into_iter().try_for_each(|op| each(self.line(row, op))))
    }

    fn line<'a>(&'a self, row: &Row<'a>, op: u32) -> Line<'a> {
        let operation = &self.job.operations[op as usize];
        let function = match operation.what {
            What::Call(function) | What::Duplicate(function) => Some(function),
            What::Invalid => None,
        };
        let (email, action, channel) = match function {
            Some(function) => (
                self.job.mailboxes.get(operation.mailbox),
                function.action().word(),
                function.channel().word(),
            ),
            None => (row.email_cell(), row.action_cell(), row.channel_cell()),
        };
        let Standing { status, class, http, attempts, started, duration_ms, verified, before, after, reason } =
            self.standing(op);
        let state = |state: State| function.map_or("", |function| state.of(function.channel()));
        let (server, account) = self.place(operation.mailbox);
        Line {
            op,
            row: operation.row,
            mailbox: operation.mailbox,
            function,
            email,
            action,
            channel,
            status,
            verified: match verified {
                Some(true) => "yes",
                Some(false) => "no",
                None => "",
            },
            class,
            error: self.reason(reason, row),
            http,
            attempts,
            started,
            duration_ms,
            place: self.places().number_of(operation.mailbox),
            server,
            account,
            state_before: state(before),
            state_after: state(after),
            after,
            undone_by: self.ledger().and_then(|ledger| ledger.undone_by(op)).map(|undo| undo.by.as_str()),
            cells: *row,
        }
    }

    fn reason(&self, reason: Reason, row: &Row<'_>) -> String {
        match reason {
            Reason::None => String::new(),
            Reason::Text(text) => text,
            Reason::Row => {
                let fault = row.interpret(self.options, &mut String::new()).err();
                fault.map(|fault| fault.to_string()).unwrap_or_default()
            }
            Reason::Journal(at) => match self.outcomes {
                Outcomes::Done { journal, .. } => reason_at(journal, at).unwrap_or_default(),
                Outcomes::Rehearsed { .. } => String::new(),
            },
        }
    }
}

/// The reason that the journal's line at this byte gives.
pub(super) fn reason_at(file: &File, at: u64) -> Option<String> {
    let mut line = vec![0; 1024];
    let mut filled = 0;
    let end = loop {
        let count = file.read_at(&mut line[filled..], at + filled as u64).ok()?;
        filled += count;
        if let Some(end) = line[..filled].iter().position(|byte| *byte == b'\n') {
            break end;
        }
        if count == 0 {
            return None;
        }
        if filled == line.len() {
            line.resize(filled * 2, 0);
        }
    };
    let mut content = line.get(..end.checked_sub(HASH_TAIL)?)?.to_vec();
    content.push(b'}');
    match serde_json::from_slice(&content).ok()? {
        Entry::Try(attempt) => Some(attempt.error.into()),
        Entry::End(ended) => Some(ended.error.into()),
        _ => None,
    }
}
