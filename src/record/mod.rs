//! The run directory: what is kept of a run, and how it is read again.
//!
//! This room owns the journal, which is the truth, and everything that is made from it: the ledger,
//! `results.csv`, `unfinished.csv`, `summary.json`. It decides nothing about a run; it is told, and
//! what it was told survives a kill at any moment.
//!
//! It owns the state directory too, which outlives runs: which server is in use by whom, and which
//! credentials were refused of late.

mod audit;
mod channels;
mod closing;
mod disk;
mod entry;
mod facts;
mod figures;
mod history;
mod journal;
mod ledger;
mod line;
mod look;
mod mailbox_end;
mod merge;
mod opening;
mod overview;
mod places;
mod plan;
mod rechecks;
mod recorder;
mod refusals;
mod report;
mod results;
mod room;
mod round_trips;
mod rundir;
mod server_lock;
mod stamp;
mod state_dir;
mod summary;
mod team;
#[cfg(test)]
mod testing;
mod timeline;
mod trust;

pub use audit::{Audit, Expected, Finding, SessionEnd, Verdict};
pub use channels::{ChannelFigures, Channels};
pub use closing::Teller;
#[cfg(test)]
pub use disk::testing::{Ailment, Count};
pub use disk::{Disk, Out, Through};
pub use entry::{
    Asked, Attempt, Ended, Entry, Phase, Session as SessionEntry, SessionsEnded, Stamp, StateRead, in_rows,
    rows_have,
};
pub use facts::{FORMAT, InputFacts, RunFacts, who};
pub use figures::{Extents, Figures, Listed, MOST_LISTED, Share};
pub use history::Deed;
pub use journal::{Chain, Journal, Torn};
pub use ledger::{Ledger, Reason, ServerTotals, Standing, Undo};
pub use line::Line;
pub use look::{Opened, Record, Seen};
pub use mailbox_end::{Extent, MailboxEnd, Mark, Stage};
pub use merge::{LEFT_TO_SHARD, Merge, Merged, Part};
pub use overview::{Halt, Overview, Pulse, RunState, ServerOverview, is_waiting};
pub use places::{Place, Places};
pub use plan::{PLAN_FORMAT, Plan, PlanError};
pub use rechecks::{Recheck, Rechecks};
#[cfg(test)]
pub use recorder::Remembered;
pub use recorder::{JournalRecorder, Recorder, Safe, WriteFault};
pub use refusals::Barred;
pub use report::Report;
pub use results::{Failure, Material, Outcomes, Settled, Tally};
pub use room::Estimate;
pub use round_trips::RoundTrips;
pub use rundir::{DirError, RunDir};
pub use server_lock::{Before, Holder, LockError, ServerLock, Waiting};
pub use state_dir::{StateDir, StateError};
pub use summary::{
    RoundTripFigures, ServerFigures, SessionFigures, SessionsEndedFigures, SessionsNotEnded, Summary,
    UndoneFigures,
};
pub use team::{Team, TeamError};
pub use timeline::{MOST_STEPS, Timeline};
