//! An imitation of the cPanel side of a server, on loopback: for the first try, for drills, for tests
//! and benchmarks.
//!
//! This room owns what such a server would: accounts and mailboxes ([`World`]), the functions that
//! change and list them, the shapes of its answers, its credentials and the lock behind five bad
//! ones, and the many ways in which it can misbehave (its script). It remembers what it was asked and, if told to, keeps its state in a file through any kind of death. It
//! never uses the client's code: what both sides have wrong in common would show nowhere.
//!
//! Reading order: `world`, `email`, `exchange`, `serve`. Answers are as recorded from real servers
//! where a recording exists; where none does, the code says so.

mod saved;
mod seeded;
mod store;
mod world;

pub use world::{MailboxState, World, WorldError};
