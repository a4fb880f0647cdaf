//! The command line as typed. Nothing here decides: [`super::settings`] makes settings of it.

mod afterwards;
mod audit;
mod check;
mod follow;
mod help;
mod history;
mod input;
mod later;
mod limits;
mod merge;
mod output;
mod plan;
mod report;
mod sandbox;
mod select;
mod server;
mod who;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::reading::{GuardArgs, ReadingArgs};
use super::shard::{self, Shard};
use crate::domain::ErrorClass;
use input::channels;

pub use afterwards::AfterwardsArgs;
pub use audit::AuditArgs;
pub use check::CheckArgs;
pub use follow::{RunsArgs, StatusArgs, StopArgs};
pub use help::{CompletionsArgs, ERRORS, HelpArgs, ManArgs, Shell};
pub use history::HistoryArgs;
pub use input::{Channels, InputArgs};
pub use later::{UndoArgs, VerifyArgs};
pub use limits::LimitArgs;
pub use merge::MergeArgs;
pub use output::{LogFormatArg, OutputArgs};
pub use plan::PlanArgs;
pub use report::ReportArgs;
pub use sandbox::SandboxArgs;
pub use select::{SelectArgs, StateArgs, WhichArgs};
pub use server::{ConfigArgs, CredentialArgs, MethodArg, ServerArgs, TargetArgs};
pub use who::WhoArgs;

/// Suspend and restore thousands of cPanel mailboxes from a CSV.
///
/// Reads rows of (email, action, channel), makes the matching cPanel UAPI calls under a rate limit
/// with retries, and leaves one result per operation. A run can be rehearsed (--dry-run), killed at
/// any moment and resumed.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Try it without a server:
  mailsweep run samples/breach.csv --sandbox

What an error means and what to do about it:
  mailsweep help errors

Exit codes:
  0         every operation is in its wanted state
  1         finished, but some operations did not end well
  2         wrong command line or input, or the answer was no; nothing was sent
  3         stopped by --max-errors or --max-changes
  4         every server was halted: credential, TLS, unreachable
  5         the run is in use by another process
  6         not a run, or altered
  7         internal error
  8         the run directory cannot be written; can be resumed
  130, 143  interrupted by SIGINT, SIGTERM; can be resumed";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Carry out the operations of a CSV.
    Run(RunArgs),
    /// Look what a run would change, without changing anything.
    Plan(PlanArgs),
    /// Go on with a run that was interrupted, stopped or killed.
    #[command(after_help = RESUME_NOTES)]
    Resume(ResumeArgs),
    /// Take back what a run changed, and only that.
    Undo(UndoArgs),
    /// Read the state again: does what a run did still hold?
    Verify(VerifyArgs),
    /// Check without a connection that a run's record is whole and agrees with itself.
    Audit(AuditArgs),
    /// Write a run's report again, and a workbook of it.
    Report(ReportArgs),
    /// List everything that runs have done to one mailbox.
    History(HistoryArgs),
    /// Say how far a run is, while it runs or later, and what waits for you.
    Status(StatusArgs),
    /// List the runs.
    Runs(RunsArgs),
    /// Stop a run as SIGTERM does, and wait for its end.
    Stop(StopArgs),
    /// Join the shards of a job into one.
    Merge(MergeArgs),
    /// Ask each server whether it can be reached, takes its credential, and until when.
    Check(CheckArgs),
    /// Serve an embedded imitation of cPanel and WHM on loopback, to try mailsweep on.
    Sandbox(SandboxArgs),
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command.
    Man(ManArgs),
    /// Print the help of a command, or what the error classes mean.
    Help(HelpArgs),
}

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// The CSV of operations, or `-` for standard input.
    ///
    /// Columns email (or address, mailbox), action and channel, in any order, with a header; other
    /// columns are carried through to the results. Actions: suspend, unsuspend, and for channel
    /// outgoing hold, release. Channels: login, incoming, outgoing, login+outgoing, all. A bare list
    /// of addresses needs --action and --channel.
    pub job: PathBuf,

    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub server: ServerArgs,

    #[command(flatten)]
    pub select: SelectArgs,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub state: StateArgs,

    /// Channels to call first, over all mailboxes of a server, such as outgoing,login; operations on
    /// the same flag of a mailbox keep the file's order [default: the file's order].
    #[arg(long, value_name = "CHANNEL[,CHANNEL]", value_parser = channels, help_heading = "Run")]
    pub channel_order: Option<Channels>,

    /// Do one part of the job: the I-th of N, from 1, divided by server; the others end excluded.
    /// `index/N` takes JOB_COMPLETION_INDEX + 1, as Kubernetes sets it. Then join them with `merge`.
    #[arg(long, value_name = "I/N", value_parser = shard::parse, help_heading = "Run")]
    pub shard: Option<Shard>,

    #[command(flatten)]
    pub who: WhoArgs,

    /// Check the input and show and write what would be done; send nothing, need no server.
    #[arg(short = 'n', long, help_heading = "Run")]
    pub dry_run: bool,

    /// Do not ask before the first call; needed where there is no terminal.
    #[arg(short, long, help_heading = "Run")]
    pub yes: bool,

    /// Where to keep the results and all that `resume` needs; must be new or empty [default:
    /// mailsweep-runs/<time>-<job>].
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub run_dir: Option<PathBuf>,

    /// Be bound to a plan that `mailsweep plan --save` wrote: what it has as unchanged and is so no
    /// longer is not called (`blocked`/`drifted`).
    #[arg(long, value_name = "FILE", conflicts_with = "blind", help_heading = "Run")]
    pub plan: Option<PathBuf>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub afterwards: AfterwardsArgs,
}

const RUN_EXAMPLES: &str = "\
Examples:
  mailsweep run job.csv --sandbox
  mailsweep run job.csv --dry-run
  mailsweep run addresses.txt --action suspend --channel login,outgoing --dry-run
  mailsweep run job.csv --server https://web01.example.net:2083 \\
      --user exampleu --token-file exampleu.token

Start with --dry-run. On an interruption the command that resumes is printed.";

const RESUME_NOTES: &str = "\
What has not ended, or ended not_attempted, is taken up; what ended is left alone. The server, the
settings and the place of the credential are those of the run; limits and a credential given here
hold for this session. It starts without a question.";

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run's directory, or its name under mailsweep-runs [default: the newest there that can be
    /// resumed, if not older than a day].
    pub run_dir: Option<PathBuf>,

    /// Also take up operations that ended `failed` or `unknown`.
    #[arg(long)]
    pub retry_failed: bool,

    /// Also take up operations that ended with one of these error classes, such as timeout,api.
    #[arg(long, value_name = "CLASS[,CLASS]", value_delimiter = ',', value_parser = error_class)]
    pub retry: Vec<ErrorClass>,

    /// Take the servers anew from this configuration, instead of those that the run recorded.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub config: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Server")]
    pub credential: CredentialArgs,

    #[command(flatten)]
    pub who: WhoArgs,

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

fn error_class(text: &str) -> Result<ErrorClass, String> {
    text.trim().parse()
}
