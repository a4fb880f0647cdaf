//! What the operator sees.
//!
//! This room owns all that is written for eyes: the preview before a run, the bar or the lines
//! while it goes, the closing text after it, and the same as JSON lines for machines; and of a run
//! that has ended the page, the workbook and the figures for a monitoring system. It is told
//! by events and plain values and answers nothing. It never touches the run: it decides nothing,
//! reads no file of it, and cannot hold it up. Whatever becomes of the terminal or the pipe
//! (closed, gone, full, slow), a write that fails is forgotten, and a write that blocks blocks a
//! thread of this room and nobody else.

mod ask;
mod audit;
mod bar;
mod check;
mod drawer;
mod guidance;
mod history;
mod line;
mod log;
#[cfg(test)]
mod made_up_tests;
mod metrics;
mod notices;
mod plan;
mod preview;
mod progress;
mod report;
mod reporter;
mod screen;
mod servers;
mod status;
mod summary;
mod terminal;
#[cfg(test)]
mod testing;
mod verify;
mod words;
mod workbook;

pub use crate::domain::{command, quote};
pub use ask::ask;
pub use audit::{AuditCommands, audit, audit_quiet};
pub use check::{
    Checkup, End, Health, LoginCheckup, ServerCheckup, Tls, TokenEnd, TokenLine, Trust, check, check_quiet,
};
pub use guidance::{Guidance, Next, error_class, error_classes, guidance};
pub use history::history;
pub use line::LogFormat;
pub use metrics::metrics;
pub use notices::Notices;
pub use plan::{PlanRow, PlanView, plan};
pub use preview::{LeftAside, Preview, PreviewRow, ServerLimits, preview};
pub use report::report;
pub use reporter::{Options, Reporter};
pub use status::{RunAbout, RunLine, RunStatus, ToDo, Width, runs, status, status_line, to_the_second};
pub use summary::{Closing, FailureLine, summary, summary_quiet};
pub use terminal::{Columns, Style, Terminal};
pub use verify::{VerifyView, verified, verified_in_a_line};
pub use words::count;
pub use workbook::workbook;
