//! What a lane is made of: the engine's order form.

use std::collections::HashSet;
use std::time::Duration;

use super::guard::{Changes, MaxChanges};
use super::limiter::Limiter;
use super::limits::Limits;
use crate::domain::{ErrorClass, Status};
use crate::uapi::{Reader, Transport};

/// What a lane is made of.
pub struct LaneSpec<'a> {
    /// The server's name.
    pub name: String,
    /// How to reach it: one for each credential.
    pub doors: Vec<Way<'a>>,
    /// The accounts there and what is to be done in each.
    pub accounts: Vec<AccountSpec<'a>>,
    /// Operations that a try in an earlier session may have carried out.
    pub open: HashSet<u32>,
    /// Operations that wait until all others have ended.
    pub last: HashSet<u32>,
    /// Its limits.
    pub limits: Limits,
    /// What is known of it already.
    pub known: Known,
}

/// One account of a server.
pub struct AccountSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// By which of the lane's doors it is reached.
    pub door: usize,
    /// The operations to carry out there, in file order.
    pub ops: Vec<u32>,
    /// Operations that an earlier session called and whose mailboxes were not read since.
    pub unverified: Vec<Unverified>,
    /// Whether the sessions of its mailboxes are still to be ended, because a login was suspended.
    pub sessions_due: bool,
}

impl<'a> AccountSpec<'a> {
    /// An account in which nothing was done yet.
    pub fn new(name: &'a str, door: usize, ops: Vec<u32>) -> AccountSpec<'a> {
        AccountSpec { name, door, ops, unverified: Vec::new(), sessions_due: false }
    }
}

/// A way into a server, with a credential of its own.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// Through which nothing can be changed: what would be called ends `planned`.
    Look(&'a dyn Reader),
    /// Through which calls can be made.
    Act(&'a dyn Transport),
}

impl<'a> Way<'a> {
    /// What can be read through it.
    pub fn reader(self) -> &'a dyn Reader {
        match self {
            Way::Look(reader) => reader,
            Way::Act(transport) => transport,
        }
    }
}

/// An operation that was called and whose mailbox was not read since.
#[derive(Clone, Debug, PartialEq)]
pub struct Unverified {
    /// The operation.
    pub op: u32,
    /// How it ended.
    pub ended: Status,
    /// What left its outcome open; `None` if the server accepted it.
    pub fault: Option<Fault>,
}

/// What went wrong with a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Its class.
    pub class: ErrorClass,
    /// The HTTP status, where there was an answer.
    pub http: Option<u16>,
    /// In words, cleaned.
    pub error: String,
}

/// What is read, before and after the calls, and what follows from it.
#[derive(Clone, Debug)]
pub struct Checks {
    /// The state of an account's mailboxes is read before its first call.
    pub before: bool,
    /// An account whose state cannot be read is left.
    pub required: bool,
    /// A state that was read longer ago is read again before the account's next call.
    pub max_age: Duration,
    /// The state is read again after an account's last operation, if a call was made.
    pub after: bool,
    /// The sessions of an account's mailboxes are ended after its login suspensions.
    pub end_sessions: bool,
    /// How much may change; all state is then read before the first call.
    pub max_changes: Option<MaxChanges>,
    /// What earlier sessions of the run have changed, and what they found unchanged.
    pub changed_before: Changes,
}

impl Checks {
    /// Nothing is read.
    pub fn blind() -> Checks {
        Checks { before: false, after: false, ..Checks::default() }
    }
}

impl Default for Checks {
    /// The state is read before and after the calls.
    fn default() -> Checks {
        Checks {
            before: true,
            required: false,
            max_age: Duration::from_secs(600),
            after: true,
            end_sessions: false,
            max_changes: None,
            changed_before: Changes::default(),
        }
    }
}

/// What a plan has foreseen for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// It would be called.
    Planned,
    /// Its mailbox was so already.
    Unchanged,
    /// Something else: it could not be done.
    Otherwise,
}

/// What is known of a server when its lane opens, because it was asked something before.
#[derive(Default)]
pub struct Known {
    /// What has been taken of its rate.
    pub limiter: Option<Limiter>,
    /// The doors through which a good answer came.
    pub proven: HashSet<usize>,
    /// Good answers so far.
    pub good_answers: u64,
    /// Why nothing is to be sent to it in this session, if so.
    pub halted: Option<(ErrorClass, String)>,
    /// Whether something may be left undone because of that, though no operation is known to belong
    /// to it.
    pub may_have_work: bool,
}

impl<'a> LaneSpec<'a> {
    /// A server with one account, of which nothing is known, and these operations, none of which was
    /// ever tried or has to wait for the others.
    pub fn new(name: &str, transport: &'a dyn Transport, ops: Vec<u32>, limits: Limits) -> LaneSpec<'a> {
        LaneSpec {
            name: name.to_owned(),
            doors: vec![Way::Act(transport)],
            accounts: vec![AccountSpec::new("", 0, ops)],
            open: HashSet::new(),
            last: HashSet::new(),
            limits,
            known: Known::default(),
        }
    }
}
