//! How an operation ended, in the contract's words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Spells an enum's variants once, for files, flags and serde alike.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$inner])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every value, in the contract's order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word for it in files and flags.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<$name, String> {
                $name::ALL.iter().copied().find(|v| v.word() == word).ok_or_else(|| {
                    let known: Vec<_> = $name::ALL.iter().map(|v| v.word()).collect();
                    format!("“{}” is not one of {}", super::clip(&super::clean(word), 60), known.join(", "))
                })
            }
        }
    };
}

words! {
    /// How an operation ended, or where it stands.
    Status {
        /// Called, and the server accepted it.
        Ok = "ok",
        /// The mailbox was so already; no call was made.
        Unchanged = "unchanged",
        /// Called, and it did not succeed.
        Failed = "failed",
        /// Called, and whether it had effect is not known.
        Unknown = "unknown",
        /// The row cannot be read as an operation.
        Invalid = "invalid",
        /// Not called, because a rule or the routing forbids it.
        Blocked = "blocked",
        /// The same as an earlier operation of the input.
        Duplicate = "duplicate",
        /// A later operation on the same flag has ended well.
        Superseded = "superseded",
        /// Not called, or only in vain; `resume` takes it up.
        NotAttempted = "not_attempted",
        /// Would be called: the result of a rehearsal.
        Planned = "planned",
    }
}

words! {
    /// Why an operation did not end well.
    ErrorClass {
        /// The row is not an operation: see the error's text.
        InvalidRow = "invalid_row",
        /// The configuration says that this mailbox is never touched.
        Protected = "protected",
        /// No configured server has the mailbox's domain.
        NoServer = "no_server",
        /// More than one server has the mailbox's domain.
        AmbiguousServer = "ambiguous_server",
        /// A server that may have the domain did not tell.
        Unrouted = "unrouted",
        /// The recorded account no longer has the domain.
        Moved = "moved",
        /// Another run is using the server.
        ServerInUse = "server_in_use",
        /// Left out by the operator's own selection.
        Excluded = "excluded",
        /// The server knows no such mailbox.
        NoSuchMailbox = "no_such_mailbox",
        /// The account or credential lacks the feature or right.
        NotPermitted = "not_permitted",
        /// The API said no, for a reason of its own.
        Api = "api",
        /// The server accepted the call and the flag did not change.
        NotApplied = "not_applied",
        /// The state could not be read and was required.
        NoState = "no_state",
        /// What the flag was before is not known.
        NoPriorState = "no_prior_state",
        /// Undoing would send queued mail.
        NeedsRelease = "needs_release",
        /// More would change than the operator allowed.
        MaxChanges = "max_changes",
        /// The state is no longer what the plan saw.
        Drifted = "drifted",
        /// Taken back by a later undo.
        Undone = "undone",
        /// The server refused the credential (401 or 403).
        Auth = "auth",
        /// The certificate or the TLS handshake is not sound.
        Tls = "tls",
        /// No connection could be made, or it was lost.
        Connect = "connect",
        /// No whole answer came in time.
        Timeout = "timeout",
        /// An HTTP status that is not success.
        Http = "http",
        /// The answer is not one of the API's.
        BadAnswer = "bad_answer",
        /// The server asked for fewer requests (429 or 503).
        Throttled = "throttled",
        /// Too many operations failed.
        ErrorBudget = "error_budget",
        /// The run was stopped before it came to this operation.
        Interrupted = "interrupted",
    }
}

impl Status {
    /// Whether the operation is where the operator wanted it, or was answered for at all: what exit
    /// code 0 asks of every operation.
    pub const fn is_good(self) -> bool {
        matches!(
            self,
            Status::Ok | Status::Unchanged | Status::Duplicate | Status::Superseded | Status::Planned
        )
    }

    /// Whether it still waits for a `resume` with or without flags: what `unfinished.csv` lists.
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Status::Failed | Status::Unknown | Status::NotAttempted)
    }
}
