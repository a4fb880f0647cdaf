//! Bytes to a checked [`Job`].
//!
//! This room owns what an input file may look like: its encoding, delimiter, header and cells, the
//! numbers of its rows and lines, and everything that can be wrong with it, up to operations that
//! repeat or contradict one another. It reads the whole input before it says yes, and it knows how
//! to read the same rows again and to write them back. It never knows a server, never sends
//! anything, never asks the user, and never decides what becomes of an operation.
//!
//! The way of a row: [`Source`] gives the bytes, `scan` finds records in them, [`Layout`] says what
//! the columns mean, [`Rows`] lends the rows one by one, [`Row::interpret`] says what one asks for,
//! and [`read`] puts the operations together and checks them against each other.

mod fault;
mod layout;
mod mailboxes;
mod mentions;
mod options;
mod read;
mod rewrite;
mod rows;
mod scan;
mod selection;
mod source;

pub use fault::{Fault, FaultKind, InputError, Refusal};
pub use layout::{HeaderFault, Layout, RESULT_COLUMNS};
pub use mailboxes::{MailboxId, Mailboxes};
pub use mentions::{Mentions, mentions};
pub use options::{ChannelsError, DelimiterError, InputOptions, parse_channels, parse_delimiter};
pub use read::{Destination, Job, Operation, What, read};
pub use rewrite::UnfinishedWriter;
pub use rows::{Functions, Reason, Row, RowFault, Rows};
pub use scan::{Broken, ReadError};
pub use selection::Selection;
pub use source::Source;
