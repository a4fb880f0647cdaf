//! mailsweep: thousands of cPanel mailbox operations from a CSV, one result each.
pub mod domain;
pub mod engine;
pub mod record;
pub mod uapi;
pub mod sandbox;
pub mod view;
