//! The flags of the commands about a run that was made: `verify` and `undo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{AfterwardsArgs, CredentialArgs, LimitArgs, OutputArgs, SelectArgs, StateArgs, WhoArgs};
use crate::cli::reading::GuardArgs;
use crate::engine::parse_time;

#[derive(Debug, Args)]
#[command(after_help = VERIFY_NOTES)]
pub struct VerifyArgs {
    /// The run's directory, or its name under mailsweep-runs.
    pub run_dir: PathBuf,

    /// Look again every so often, such as 5m, until a signal comes; the code is then the last look's.
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Verify")]
    pub watch: Option<Duration>,

    /// Take the servers from this configuration, instead of those that the run recorded.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub config: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Server")]
    pub credential: CredentialArgs,

    #[command(flatten)]
    pub select: SelectArgs,

    #[command(flatten)]
    pub limits: LimitArgs,

    /// Send a credential again that a server refused twice in the last minutes.
    #[arg(long, help_heading = "Others at work")]
    pub try_again: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

const VERIFY_NOTES: &str = "\
It reads each account's state once and changes nothing, the run's record neither. What it found stands
in verify-<time>.csv in the run's directory; the code is 1 if an operation no longer holds or cannot be
read, 4 if no server could be. What was undone is passed over.

With --watch each look has its line (with --json an object on a line of its own) and its file, and sees
what the run has done, or an undo has taken back, by then.";

#[derive(Debug, Args)]
#[command(after_help = UNDO_NOTES)]
pub struct UndoArgs {
    /// The run to take back: its directory, or its name under mailsweep-runs.
    pub run_dir: PathBuf,

    /// Also undo a hold. That sends the mail that is queued, and cannot be taken back.
    #[arg(long, help_heading = "Undo")]
    pub release_held: bool,

    /// Only show what would be put back, from the run's record alone: no connection, no credential, no run.
    #[arg(long, help_heading = "Undo")]
    pub dry_run: bool,

    #[command(flatten)]
    pub who: WhoArgs,

    /// Do not ask before the first call; needed where there is no terminal.
    #[arg(short, long, help_heading = "Undo")]
    pub yes: bool,

    /// Where to record it; must be new or empty [default: mailsweep-runs/<time>-undo-<run>].
    #[arg(long = "run-dir", value_name = "DIR", help_heading = "Undo")]
    pub into: Option<PathBuf>,

    /// Take the servers from this configuration, instead of those that the run recorded.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub config: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Server")]
    pub credential: CredentialArgs,

    #[command(flatten)]
    pub select: SelectArgs,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub state: StateArgs,

    #[command(flatten)]
    pub guards: GuardArgs,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub afterwards: AfterwardsArgs,
}

const UNDO_NOTES: &str = "\
Each flag that the run set returns to what was read before the run's first call on it; what was so
before for other reasons stays. It is a run of its own: it can be resumed, verified and undone. What is
so already is unchanged; where nobody knows what was before, it is blocked (no_prior_state).

Examples:
  mailsweep undo mailsweep-runs/20261123T204334Z-breach --dry-run
  mailsweep undo mailsweep-runs/20261123T204334Z-breach
  mailsweep undo mailsweep-runs/20261123T204334Z-breach --only changed-passwords.txt";
