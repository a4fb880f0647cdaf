//! What arrived, for tests of order, overlap and rate.
//!
//! A request is noted when its head has been read and completed just before its answer is sent, so
//! that a time in the log lies within the time that the client saw. The log is bounded; what comes
//! after its end is only counted.

use std::time::Duration;

/// One call that arrived. A batch is noted itself, and behind it each of its commands that was
/// called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The number of the HTTP request, from 0; a batch's commands have the number of their batch.
    pub number: u64,
    /// Which command of its batch it is, from 0; `None` for an HTTP request of its own.
    pub command: Option<u32>,
    /// When it arrived, from the start of the sandbox.
    pub started: Duration,
    /// When its answer (or the end of its connection) was ready; `None` while there is none.
    pub ended: Option<Duration>,
    /// The connection that it came on, in the order of their coming.
    pub connection: u64,
    /// The user name it claimed, if any.
    pub user: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// The function of WHM that a call of UAPI came through: `uapi_cpanel` or `cpanel`.
    pub through: Option<&'static str>,
    /// The account that it is for: the one that a call through WHM names, or the one that logs in.
    pub account: Option<String>,
    /// The module (`WHM` for WHM's own functions), or the path of a request that was none of the API's.
    pub module: String,
    /// The function.
    pub function: String,
    /// The `email` parameter.
    pub email: Option<String>,
    /// The `domain` parameter.
    pub domain: Option<String>,
    /// The HTTP status it was answered with; `None` while there is none, and for a connection that
    /// was reset. For [`Fault::Raw`](super::Fault::Raw) 0: who wrote the bytes knows.
    pub status: Option<u16>,
    /// Whether the call was carried out, be it without a change, and whatever was answered.
    pub carried_out: bool,
    /// Whether it changed a mailbox, whatever was answered. For a batch: whether any command did.
    pub had_effect: bool,
    /// The word of the fault it met; `full` if the queue was, see [`Capacity`](super::Capacity).
    pub fault: Option<&'static str>,
}

/// The requests so far.
pub(super) struct Log {
    requests: Vec<Request>,
    limit: usize,
}

/// A request's place in the log; `None` if it is not noted.
pub(super) type LogId = Option<usize>;

const LIMIT: usize = 1 << 20;

impl Log {
    pub fn new(on: bool) -> Log {
        Log { requests: Vec::new(), limit: if on { LIMIT } else { 0 } }
    }

    /// Notes a request, made only if there is room for it.
    pub fn note(&mut self, request: impl FnOnce() -> Request) -> LogId {
        (self.requests.len() < self.limit).then(|| {
            self.requests.push(request());
            self.requests.len() - 1
        })
    }

    pub fn get_mut(&mut self, id: LogId) -> Option<&mut Request> {
        self.requests.get_mut(id?)
    }

    pub fn requests(&self) -> &[Request] {
        &self.requests
    }
}
