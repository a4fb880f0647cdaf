//! Which servers there are and how to prove to them who asks.
//!
//! This room owns the configuration file, servers as configured, what is protected, the places that
//! credentials come from, and the reading of them. It never sends a request.

mod check;
mod config;
mod credential;
mod protect;
pub(crate) mod recorded_path;
mod routing;
mod server;

pub use crate::uapi::Api;
pub use config::{Config, ConfigError};
pub use credential::{CredentialError, CredentialSource};
pub use protect::{PatternFault, Protect};
pub use routing::{Heard, Left, Route, Router, Said};
pub use server::{Fleet, Login, Server, ServerError, ServerSpec};
