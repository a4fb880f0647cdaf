//! The run directory.
mod summary;
pub use summary::{ServerFigures, SessionFigures, Summary};
