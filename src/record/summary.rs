//! The figures of a run: what `summary.json` holds and the last screen shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channels::Channels;
use crate::domain::{ErrorClass, Status};

/// `summary.json`. Times are RFC 3339 in UTC with milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run's name: that of its directory.
    pub run_id: String,
    /// The exit code of the session that wrote this.
    pub exit_code: u8,
    /// Start of the first session.
    pub started_at: String,
    /// End of the last session.
    pub ended_at: String,
    /// Operations in all: the sum of `counts`.
    pub operations: u64,
    /// How many operations have each status; only statuses that occurred.
    pub counts: BTreeMap<Status, u64>,
    /// How many of the `ok` ones a reading after the account's last call has shown to hold.
    #[serde(default)]
    pub verified: u64,
    /// How many operations that did not end well have each class; only classes that occurred.
    pub error_classes: BTreeMap<ErrorClass, u64>,
    /// How long each channel took, over all servers.
    #[serde(default)]
    pub channels: Channels,
    /// What came of ending the sessions of mailboxes; absent where none were to be ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_ended: Option<SessionsEndedFigures>,
    /// The runs that take operations of this one back, in their order; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<UndoneFigures>,
    /// One entry per server.
    pub servers: Vec<ServerFigures>,
    /// One entry per session, in order.
    pub sessions: Vec<SessionFigures>,
    /// The journal's chain hash when this was written: that of the last session's end, or of what
    /// was noted behind it; `null` if there is no journal.
    #[serde(default)]
    pub chain: Option<String>,
}

impl Summary {
    /// The chain hash that the journal must have, for it had it before.
    pub(super) fn vouched_for(&self) -> Option<&str> {
        self.chain.as_deref().or(self.sessions.last()?.chain.as_deref())
    }
}

/// A run that takes operations of this one back. Whether it came to that, its own record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoneFigures {
    /// The name of that run.
    pub by: String,
    /// How many operations it takes back.
    pub operations: u64,
}

/// What came of `--end-sessions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionsEndedFigures {
    /// Accounts the sessions of whose mailboxes were ended.
    pub accounts: u64,
    /// Accounts of which they could not be ended.
    pub failed: Vec<SessionsNotEnded>,
}

/// An account the sessions of whose mailboxes could not be ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsNotEnded {
    /// The server's name.
    pub server: String,
    /// The account.
    pub account: String,
    /// The class of what went wrong, and the server's words.
    pub error: String,
}

/// What happened at one server, over all sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFigures {
    /// Its name.
    pub name: String,
    /// Tries made there, retries included.
    pub requests: u64,
    /// Why nothing more was sent to it in the last session; `null` if it was not halted.
    pub halted: Option<String>,
    /// How long each channel took there.
    #[serde(default)]
    pub channels: Channels,
    /// How long its tries took; `null` if there was none.
    #[serde(default)]
    pub round_trips: Option<RoundTripFigures>,
}

/// Within how many milliseconds tries were answered, or given up, to within 1.6 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundTripFigures {
    /// Half of them.
    pub p50_ms: u64,
    /// 95 of 100.
    pub p95_ms: u64,
    /// All of them.
    pub max_ms: u64,
}

/// One process that worked on the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionFigures {
    /// Who started it.
    pub operator: String,
    /// The Unix user that the process belonged to.
    #[serde(default)]
    pub unix_user: String,
    /// Why, if that was said for this session.
    #[serde(default)]
    pub ticket: Option<String>,
    /// On which machine.
    pub host: String,
    /// When it began.
    pub started_at: String,
    /// When it ended; `null` if it was killed.
    pub ended_at: Option<String>,
    /// Its exit code; `null` if it was killed.
    pub exit_code: Option<u8>,
    /// The journal's chain hash at its end; `null` if it was killed.
    pub chain: Option<String>,
}
