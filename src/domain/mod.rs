//! The words of the trade: mailbox, action, channel, operation, outcome.
//!
//! Plain values with their rules and spellings, and nothing else: this room does no I/O, reads no
//! clock and knows no other room. Whatever is written in a file or typed by a user is spelled here,
//! once.

mod address;
mod classes;
mod exit;
mod operation;
mod outcome;
mod secret;
mod state;
mod text;

pub use address::{AddressFault, Mailbox, normalise};
pub use classes::Classes;
pub use exit::Exit;
pub use operation::{Action, Channel, Flag, Flags, Function, Target, UnknownWord};
pub use outcome::{ErrorClass, Status};
pub use secret::Secret;
pub use state::State;
pub use text::{clean, clip};
