//! When, in what order and how often.
mod event;
pub use event::{Event, Finished, Observer, Subject, Tried};
