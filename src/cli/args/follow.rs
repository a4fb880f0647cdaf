//! The flags of the commands that look at runs and stop them.

use std::path::PathBuf;

use clap::Args;

use super::ConfigArgs;

#[derive(Debug, Args)]
#[command(after_help = STATUS_NOTES)]
pub struct StatusArgs {
    /// The run's directory, or its name under mailsweep-runs [default: the newest there].
    pub run_dir: Option<PathBuf>,

    /// Show it again every two seconds until no process works on it.
    #[arg(short, long)]
    pub watch: bool,

    /// Print it as JSON; with --watch one object a line.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub config: ConfigArgs,
}

const STATUS_NOTES: &str = "\
The first line says the state (running, stopping, stopped, killed, finished, rehearsed), how much is
done and how it ended, what is left, the rate and the time that the rest takes, and how many things
wait for you. A line for each of these follows, with the command to type. Nothing is sent, written or
locked. The code is 0, or 6 if it is no run.";

#[derive(Debug, Args)]
#[command(after_help = "The newest stands first. The code is 0, or 6 if the directory cannot be read.")]
pub struct RunsArgs {
    /// Print them as JSON.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub config: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(after_help = STOP_NOTES)]
pub struct StopArgs {
    /// The run's directory, or its name under mailsweep-runs.
    pub run_dir: PathBuf,

    #[command(flatten)]
    pub config: ConfigArgs,
}

const STOP_NOTES: &str = "\
As with SIGTERM, nothing new is begun, what is in flight ends, the results are written, and the run
can be resumed. The code is 0 once no process works on the run, 6 if it is no run, 1 if it could not be
stopped from here.";
