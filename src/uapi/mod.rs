//! One call to a server and what its answer means.
//!
//! This room turns an operation into a UAPI call, the call into one HTTP exchange, and whatever
//! comes back (an answer, a login page, a broken connection) into one [`Verdict`]. It never waits
//! for its turn, never tries again and keeps no count: that is the engine's.

mod batch;
mod bytes;
mod certificate;
mod endpoint;
mod fault;
mod gate;
#[cfg(test)]
mod gate_tests;
mod http;
#[cfg(test)]
mod http_tests;
mod json;
mod pin;
mod reading;
mod room;
mod taken;
#[cfg(test)]
mod testing;
mod tls;
#[cfg(test)]
mod tls_tests;
mod transport;
mod verdict;
mod wire;

pub use batch::Item;
pub use bytes::{found_in, verdict_of, verdicts_in};
pub use certificate::Certificate;
pub use endpoint::{Api, ConnectTo, Endpoint, Trust};
pub use http::{Credential, HttpOptions, HttpTransport, Method, SetupError};
pub use pin::Pin;
pub use reading::MAX_READING_BYTES;
pub use transport::{Answer, Found, Question, Reader, Reading, Together, Token, Transport, Verdict};
pub use verdict::MAX_ANSWER_BYTES;
