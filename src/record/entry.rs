//! What one line of the journal says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::stamp::Stamp;
use crate::domain::{ErrorClass, State, Status};

/// One thing that happened, as the journal has it. Operations are named by their place among the
/// operations of the job, from 0; servers by their place in the session's list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Entry {
    /// A process began to work on the run.
    Session(Session),
    /// A server was asked which domains it has, or would have been.
    Asked(Asked),
    /// Where mailboxes belong from here on.
    Route {
        /// When it was settled.
        at: Stamp,
        /// The server.
        server: u16,
        /// The account there; empty where only the server is known.
        account: String,
        /// The mailboxes, by their place among those of the job: first and last of each row of them.
        mailboxes: Vec<(u32, u32)>,
    },
    /// These operations are about to be sent, for the first time in this session. Written before
    /// they are: what has no such line was not sent.
    Begin {
        /// When.
        at: Stamp,
        /// Which operations.
        ops: Vec<u32>,
    },
    /// The state of an account's mailboxes was read, or could not be.
    State(StateRead),
    /// These operations ended `unchanged`: their mailboxes were so already, by the last reading.
    Unchanged {
        /// When that was found.
        at: Stamp,
        /// Which operations: first and last of each row of them.
        ops: Vec<(u32, u32)>,
    },
    /// What the last reading says of operations that were begun in an earlier session, whose outcome
    /// that one did not tell.
    Settled {
        /// When that was found.
        at: Stamp,
        /// They had their effect, and ended `ok`: first and last of each row of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        holds: Vec<(u32, u32)>,
        /// They had none; how they ended is in records of their own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lacks: Vec<(u32, u32)>,
        /// It does not tell; how they ended is in records of their own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unclear: Vec<(u32, u32)>,
    },
    /// The sessions of an account's mailboxes are about to be ended.
    EndSessions {
        /// When.
        at: Stamp,
        /// The server.
        server: u16,
        /// The account.
        account: String,
    },
    /// What came of that.
    SessionsEnded(SessionsEnded),
    /// What another run takes back of this one.
    Undone {
        /// When.
        at: Stamp,
        /// That run.
        by: String,
        /// Its directory.
        #[serde(default)]
        dir: String,
        /// Which operations: first and last of each row of them.
        ops: Vec<(u32, u32)>,
    },
    /// A try that did not settle its operation.
    Try(Attempt),
    /// An operation has ended.
    End(Ended),
    /// Nothing more is sent to a server in this session.
    Halt {
        /// When.
        at: Stamp,
        /// Which server.
        server: u16,
        /// The class of what is left undone there.
        class: ErrorClass,
        /// Why, for people.
        reason: String,
    },
    /// The session takes no new work.
    Stop {
        /// When.
        at: Stamp,
        /// The class of what is left undone: `interrupted` or `error_budget`.
        class: ErrorClass,
        /// Why, for people.
        reason: String,
    },
    /// The session has ended in good order and its results are written.
    Close {
        /// When.
        at: Stamp,
        /// Its exit code.
        code: u8,
        /// BLAKE3 of `results.csv`.
        results: String,
        /// BLAKE3 of `unfinished.csv`, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unfinished: Option<String>,
        /// BLAKE3 of `report.html`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<String>,
    },
}

/// See [`Entry::Session`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// When it began.
    pub at: Stamp,
    /// Version of the program.
    pub version: String,
    /// Who started it.
    pub operator: String,
    /// The Unix user that the process belongs to.
    #[serde(default)]
    pub unix_user: String,
    /// Why, if that was said for this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// On which machine.
    pub host: String,
    /// The process's number there.
    pub pid: u32,
    /// The servers that it may speak to.
    pub servers: Vec<String>,
    /// The limits in force, for the record.
    pub limits: serde_json::Value,
}

/// See [`Entry::Asked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// When asking began.
    pub at: Stamp,
    /// The server.
    pub server: u16,
    /// Requests made for it, tries that failed included.
    pub requests: u32,
    /// How long it took in all, in milliseconds.
    pub ms: u32,
    /// How many domains it named.
    pub domains: u32,
    /// What went wrong, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    /// The server's words or the fault, cleaned.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub error: Box<str>,
}

/// When an account's state is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before a call.
    Before,
    /// After the last one.
    After,
}

/// See [`Entry::State`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateRead {
    /// When the reading began.
    pub at: Stamp,
    /// The server.
    pub server: u16,
    /// The account.
    pub account: String,
    /// Before or after the calls.
    pub phase: Phase,
    /// Requests made for it, tries that failed included.
    pub requests: u32,
    /// How long the last of them took, in milliseconds.
    pub ms: u32,
    /// The job's mailboxes there by their state: first and last of each row of them.
    pub states: BTreeMap<State, Vec<(u32, u32)>>,
    /// Operations that hold, if it was read after the calls: first and last of each row of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<(u32, u32)>,
    /// Operations that do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<(u32, u32)>,
    /// Why it could not be read, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    /// The server's words or the fault, cleaned.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub error: Box<str>,
}

/// See [`Entry::SessionsEnded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsEnded {
    /// When the last try began.
    pub at: Stamp,
    /// The server.
    pub server: u16,
    /// The account.
    pub account: String,
    /// Requests made for it, tries that failed included.
    pub requests: u32,
    /// How long the last of them took, in milliseconds.
    pub ms: u32,
    /// Why they were not ended, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    /// The server's words or the fault, cleaned.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub error: Box<str>,
}

impl Entry {
    /// The same as several entries, if it lists more than so many operations or rows.
    pub(super) fn pieces(&self, most: usize) -> Option<Vec<Entry>> {
        let rows = |rows: &[(u32, u32)], piece: &dyn Fn(Vec<(u32, u32)>) -> Entry| {
            (rows.len() > most).then(|| rows.chunks(most).map(|rows| piece(rows.to_vec())).collect())
        };
        match self {
            Entry::Begin { at, ops } if ops.len() > most => {
                Some(ops.chunks(most).map(|ops| Entry::Begin { at: *at, ops: ops.to_vec() }).collect())
            }
            Entry::Route { at, server, account, mailboxes } => rows(mailboxes, &|mailboxes| {
                let account = account.clone();
                Entry::Route { at: *at, server: *server, account, mailboxes }
            }),
            Entry::Unchanged { at, ops } => rows(ops, &|ops| Entry::Unchanged { at: *at, ops }),
            Entry::Undone { at, by, dir, ops } => {
                rows(ops, &|ops| Entry::Undone { at: *at, by: by.clone(), dir: dir.clone(), ops })
            }
            Entry::Settled { at, holds, lacks, unclear } => {
                let (at, none) = (*at, Vec::new);
                let is_long = holds.len() + lacks.len() + unclear.len() > most;
                let each = |rows: &[(u32, u32)], piece: &dyn Fn(Vec<(u32, u32)>) -> Entry| -> Vec<Entry> {
                    rows.chunks(most).map(|rows| piece(rows.to_vec())).collect()
                };
                is_long.then(|| {
                    [
                        each(holds, &|holds| Entry::Settled { at, holds, lacks: none(), unclear: none() }),
                        each(lacks, &|lacks| Entry::Settled { at, holds: none(), lacks, unclear: none() }),
                        each(unclear, &|unclear| Entry::Settled {
                            at,
                            holds: none(),
                            lacks: none(),
                            unclear,
                        }),
                    ]
                    .concat()
                })
            }
            Entry::State(read) if read.rows() > most => Some(read.pieces(most)),
            _ => None,
        }
    }
}

impl StateRead {
    /// How many rows it has.
    fn rows(&self) -> usize {
        self.states.values().map(Vec::len).sum::<usize>() + self.holds.len() + self.lacks.len()
    }

    /// What holds and what does not comes first: if the rest is lost, the mailboxes are read again.
    fn pieces(&self, most: usize) -> Vec<Entry> {
        let empty = || StateRead {
            requests: 0,
            states: BTreeMap::new(),
            holds: Vec::new(),
            lacks: Vec::new(),
            account: self.account.clone(),
            error: self.error.clone(),
            ..*self
        };
        let mut pieces = Vec::new();
        let mut piece = StateRead { requests: self.requests, ..empty() };
        let mut put = |row: (u32, u32), list: &dyn Fn(&mut StateRead) -> &mut Vec<(u32, u32)>| {
            if piece.rows() == most {
                pieces.push(Entry::State(std::mem::replace(&mut piece, empty())));
            }
            list(&mut piece).push(row);
        };
        self.holds.iter().for_each(|row| put(*row, &|piece| &mut piece.holds));
        self.lacks.iter().for_each(|row| put(*row, &|piece| &mut piece.lacks));
        for (state, rows) in &self.states {
            rows.iter().for_each(|row| put(*row, &|piece| piece.states.entry(*state).or_default()));
        }
        pieces.push(Entry::State(piece));
        pieces
    }
}

/// Numbers in rows: first and last of each. `numbers` must ascend.
pub fn in_rows(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match rows.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => rows.push((number, number)),
        }
    }
    rows
}

/// Whether a number is in rows of them, which ascend.
pub fn rows_have(rows: &[(u32, u32)], number: u32) -> bool {
    let next = rows.partition_point(|(first, _)| *first <= number);
    next.checked_sub(1).and_then(|row| rows.get(row)).is_some_and(|(_, last)| number <= *last)
}

/// See [`Entry::Try`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the try began.
    pub at: Stamp,
    /// The operation.
    pub op: u32,
    /// The server.
    pub server: u16,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// What went wrong.
    pub class: ErrorClass,
    /// The HTTP status, where there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// Whether it may have had effect all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// The server's words or the fault, cleaned.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub error: Box<str>,
}

/// See [`Entry::End`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// When the last try began, or when it was decided that there is none.
    pub at: Stamp,
    /// The operation.
    pub op: u32,
    /// The server that was called, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<u16>,
    /// How long the last try took, in milliseconds; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u32>,
    /// How it ended.
    pub status: Status,
    /// Why, if not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    /// The HTTP status of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// The server's words or the fault, cleaned.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub error: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_short_line_and_reads_back() {
        let entry = Entry::End(Ended {
            at: Stamp(1_795_460_400_123),
            op: 7,
            server: Some(0),
            ms: Some(80),
            status: Status::Ok,
            class: None,
            http: Some(200),
            error: "".into(),
        });
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(
            line,
            r#"{"t":"end","at":"2026-11-23T19:00:00.123Z","op":7,"server":0,"ms":80,"status":"ok","http":200}"#
        );
        assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
    }

    #[test]
    fn a_number_is_found_in_its_row() {
        let rows = in_rows([0, 1, 3, 7, 8, 9]);
        assert_eq!(rows, [(0, 1), (3, 3), (7, 9)]);
        let found: Vec<u32> = (0..12).filter(|n| rows_have(&rows, *n)).collect();
        assert_eq!(found, [0, 1, 3, 7, 8, 9]);
        assert!(!rows_have(&[], 0));
    }

    #[test]
    fn a_stamp_always_has_three_decimals() {
        assert_eq!(Stamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Stamp(5).since(Stamp(9)), 0);
        assert_eq!(Stamp(9).since(Stamp(5)), 4);
    }
}
