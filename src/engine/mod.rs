//! When, in what order and how often.
//!
//! This room owns the run's loop, one lane per server with its limits, the order of a mailbox's
//! operations, and the judgement about trying again and giving up. It knows no command line, no
//! terminal, no HTTP library and no file: calls go through [`Transport`](crate::uapi::Transport),
//! what happened goes to a [`Recorder`](crate::record::Recorder), and whoever watches is told by
//! [`Event`]s.

mod accounts;
#[cfg(test)]
mod batch_scenarios;
mod batching;
mod breaker;
mod budget;
#[cfg(test)]
mod capacity_tests;
mod concurrency;
#[cfg(test)]
mod concurrency_tests;
mod event;
mod guard;
#[cfg(test)]
mod halt_tests;
mod inquiry;
mod landed;
mod lane;
mod limiter;
mod limits;
mod order;
mod outage;
mod retry;
mod run;
#[cfg(test)]
mod scenarios;
mod session;
mod spec;
#[cfg(test)]
mod state_scenarios;
mod states;
#[cfg(test)]
mod told_tests;

pub use batching::Batch;
pub use event::{Event, Finished, LaneFigures, Observer, Subject, Tried};
pub use guard::{Changes, MaxChanges};
pub use inquiry::{Held, Inquiry, Listed, Login, PATIENCE, Silence, Told, ask};
pub use limiter::Limiter;
pub use limits::{Limits, MaxErrors, Rate, SomeLimits, Unit, parse_time};
pub use run::run;
pub use session::{ChannelOrder, ServerEnd, Session, SessionEnd, Signal, Stop};
pub use spec::{AccountSpec, Checks, Fault, Foreseen, Known, LaneSpec, Unverified, Way};
