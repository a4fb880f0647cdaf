//! An imitation of a cPanel and WHM server, on loopback: for the first try, for drills, for tests and
//! benchmarks.
//!
//! This room owns what such a server would: accounts and mailboxes ([`World`]), the functions that
//! change and list them, the shapes of its answers, its credentials and the lock behind five bad
//! ones, its certificate ([`Tls`]), what it can bear ([`Capacity`]), and the many ways in which it can misbehave ([`Script`]). It remembers what it was asked
//! ([`Sandbox::requests`]) and, if told to, keeps its state in a file through any kind of death. It
//! never uses the client's code: what both sides have wrong in common would show nowhere.
//!
//! Several servers are several sandboxes, each on its thread and port.
//!
//! Reading order: `world`, `email`, `whm`, `exchange`, `serve`. Answers are as recorded from real servers
//! where a recording exists; where none does, the code says so.
//!
//! ```
//! use mailsweep::sandbox::{Fault, Options, Rule, Sandbox, Script, World};
//!
//! let world = World::for_mailboxes("exampleu", "TOKEN", ["alice@example.com"]);
//! let script = Script::of([Rule::new(Fault::retry_after(503, 2)).function("suspend_login").once()]);
//! let sandbox = Sandbox::start(Options { world, script, ..Options::default() })?;
//! println!("{}/execute/Email/list_pops", sandbox.url());
//! # Ok::<(), std::io::Error>(())
//! ```

mod answer;
mod asked;
mod capacity;
mod email;
mod exchange;
mod faults;
mod gate;
mod handle;
mod list;
mod log;
mod owners;
mod saved;
mod script;
mod script_text;
mod seeded;
mod serve;
mod socket;
mod state;
mod store;
mod tls;
mod whm;
mod world;

#[cfg(test)]
mod tests;

pub use capacity::{Capacity, CapacityLater};
pub use gate::Lockout;
pub use handle::{Options, Sandbox, Sides, StopShape};
pub use log::Request;
pub use script::{Cut, Fault, Rule, Script};
pub use script_text::ScriptError;
pub use tls::{Authority, Tls};
pub use world::{MailboxState, World, WorldError};
