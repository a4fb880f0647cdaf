//! mailsweep: thousands of cPanel mailbox operations from a CSV, one result each.
pub mod cli;
pub mod domain;
pub mod engine;
pub mod fleet;
pub mod job;
pub mod record;
pub mod sandbox;
pub mod uapi;
pub mod view;

pub use domain::Exit;
