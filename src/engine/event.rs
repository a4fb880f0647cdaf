//! What the engine tells the world while it runs. Views see these and nothing else.

use std::time::Duration;

use crate::domain::{ErrorClass, Function, Status};

/// One thing that has happened. Borrowed, so that telling costs nothing where nobody listens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The loop has begun.
    Started {
        /// Operations that this session is to carry out.
        to_do: u64,
        /// Operations of the job that had ended before this session.
        done_before: u64,
        /// The servers, each with how many of them are to be carried out there.
        servers: &'a [(&'a str, u64)],
    },
    /// A try did not settle its operation.
    Tried(Tried<'a>),
    /// An operation has ended, and its record is written.
    Finished(Finished<'a>),
    /// An operation that had ended, and was told of, has ended otherwise: the state was read again.
    Corrected {
        /// How it had ended.
        before: Status,
        /// How it has.
        now: Finished<'a>,
    },
    /// Something that belongs to an account as a whole could not be read or done; its operations go
    /// on.
    Unread {
        /// The server's name.
        server: &'a str,
        /// The account.
        account: &'a str,
        /// What, for people.
        what: &'a str,
        /// Why.
        class: ErrorClass,
        /// In the server's words.
        error: &'a str,
    },
    /// A server asked for a pause, or is given one after repeated failures.
    Paused {
        /// The server's name.
        server: &'a str,
        /// For how long nothing is sent to it.
        pause: Duration,
        /// Why, for people.
        reason: &'a str,
    },
    /// Calls go to a server one by one from here on, because it does not take them together.
    Singly {
        /// The server's name.
        server: &'a str,
        /// Why, for people.
        reason: &'a str,
    },
    /// Nothing more is sent to a server in this session.
    Halted {
        /// The server's name.
        server: &'a str,
        /// The class of what is left undone there.
        class: ErrorClass,
        /// Why, and what the operator can do, for people.
        reason: &'a str,
    },
    /// The run takes no new work: a signal came, or a limit was reached. Calls in flight end.
    Stopping {
        /// Why, for people.
        reason: &'a str,
        /// Calls still in flight.
        in_flight: usize,
    },
    /// A tenth of a second has passed: time to draw.
    Tick {
        /// Calls in flight now.
        in_flight: usize,
        /// The same for each server.
        lanes: &'a [LaneFigures<'a>],
    },
}

/// How much a server is asked at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneFigures<'a> {
    /// The server's name.
    pub server: &'a str,
    /// Calls in flight there now.
    pub in_flight: usize,
    /// How many there may be at once at present, if that is known.
    pub limit: Option<u32>,
}

/// The operation that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its row in the input, from 1.
    pub row: u32,
    /// The mailbox, normalised.
    pub mailbox: &'a str,
    /// What was asked.
    pub function: Function,
    /// The server's name.
    pub server: &'a str,
}

/// See [`Event::Tried`].
#[derive(Clone, Debug)]
pub struct Tried<'a> {
    /// The operation.
    pub subject: Subject<'a>,
    /// Which try this was, from 1.
    pub attempt: u32,
    /// What went wrong.
    pub class: ErrorClass,
    /// The HTTP status, where there was an answer.
    pub http_status: Option<u16>,
    /// The server's words or the fault, cleaned.
    pub error: &'a str,
    /// How long until the next try; `None` if there is none in this session.
    pub wait: Option<Duration>,
}

/// See [`Event::Finished`].
#[derive(Clone, Debug)]
pub struct Finished<'a> {
    /// The operation.
    pub subject: Subject<'a>,
    /// How it ended.
    pub status: Status,
    /// Why, if not well.
    pub class: Option<ErrorClass>,
    /// The HTTP status of the last answer.
    pub http_status: Option<u16>,
    /// The server's words or the fault, cleaned; empty if it ended well.
    pub error: &'a str,
    /// Tries in this session.
    pub attempts: u32,
}

/// Somebody who is told. Must return at once: the engine waits for it.
pub trait Observer {
    /// Called for each event, in order.
    fn on(&mut self, event: &Event<'_>);
}

/// Nobody.
impl Observer for () {
    fn on(&mut self, _: &Event<'_>) {}
}
