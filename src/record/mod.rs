//! The run directory: what is kept of a run, and how it is read again.
//!
//! This room owns the journal, which is the truth, and everything that is made from it: the ledger,
//! `results.csv`, `unfinished.csv`, `summary.json`. It decides nothing about a run; it is told, and
//! what it was told survives a kill at any moment.
//!
//! It owns the state directory too, which outlives runs: which server is in use by whom, and which
//! credentials were refused of late.

mod channels;
mod closing;
mod disk;
mod entry;
mod facts;
mod journal;
mod ledger;
mod look;
mod merge;
mod overview;
mod places;
mod recorder;
mod refusals;
mod results;
mod rundir;
mod server_lock;
mod state_dir;
mod summary;
#[cfg(test)]
mod testing;

pub use channels::{ChannelFigures, Channels};
pub use disk::{create_dir, write_whole};
pub use entry::{Asked, Attempt, Ended, Entry, Session as SessionEntry, Stamp};
pub use facts::{FORMAT, InputFacts, RunFacts};
pub use journal::{Chain, Journal, Torn};
pub use ledger::{Ledger, Reason, ServerTotals, Standing};
pub use look::{Opened, Record, Seen};
pub use merge::{LEFT_TO_SHARD, Merge, Merged, Part};
pub use overview::{Halt, Overview, Pulse, RunState, ServerOverview, is_waiting};
pub use places::{Place, Places};
#[cfg(test)]
pub use recorder::Remembered;
pub use recorder::{JournalRecorder, Recorder, WriteFault};
pub use refusals::Barred;
pub use results::{Failure, Material, Outcomes, Settled, Tally};
pub use rundir::{DirError, RunDir};
pub use server_lock::{Before, Holder, LockError, ServerLock, Waiting};
pub use state_dir::{StateDir, StateError};
pub use summary::{ServerFigures, SessionFigures, Summary};
