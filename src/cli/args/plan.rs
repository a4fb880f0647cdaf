//! The flags of `mailsweep plan`.

use std::path::PathBuf;

use clap::Args;

use super::input::channels;
use super::{Channels, InputArgs, LimitArgs, OutputArgs, SelectArgs, ServerArgs};

#[derive(Debug, Args)]
#[command(after_help = PLAN_NOTES)]
pub struct PlanArgs {
    /// The CSV of operations, or `-` for standard input; see `mailsweep run --help`.
    pub job: PathBuf,

    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub server: ServerArgs,

    #[command(flatten)]
    pub select: SelectArgs,

    #[command(flatten)]
    pub limits: LimitArgs,

    /// Send a credential again that a server refused twice in the last minutes.
    #[arg(long, help_heading = "Others at work")]
    pub try_again: bool,

    /// The order of channels that the run will have; see `mailsweep run --help`.
    #[arg(long, value_name = "CHANNEL[,CHANNEL]", value_parser = channels, help_heading = "Plan")]
    pub channel_order: Option<Channels>,

    /// Write a plan that `mailsweep run JOB --plan FILE` is bound to.
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    pub save: Option<PathBuf>,

    /// End with code 9 if something would change.
    #[arg(long, help_heading = "Plan")]
    pub exit_code: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

const PLAN_NOTES: &str = "\
It reads each account's state once and changes nothing. --output writes the plan per operation, in the
form of results.csv: planned (would be called), unchanged, failed or blocked (cannot be done).

Examples:
  mailsweep plan job.csv --sandbox
  mailsweep plan job.csv --save job.plan   and then   mailsweep run job.csv --plan job.plan";
