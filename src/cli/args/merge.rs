//! The flags of `mailsweep merge`.

use std::path::PathBuf;

use clap::Args;

use super::ConfigArgs;

#[derive(Debug, Args)]
#[command(after_help = MERGE_NOTES)]
pub struct MergeArgs {
    /// The directories of all shards of a job, or their names under mailsweep-runs, in any order.
    #[arg(required = true)]
    pub run_dirs: Vec<PathBuf>,

    /// Where to put results.csv, unfinished.csv and summary.json of the whole; must be new or empty.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,

    /// Print the summary as JSON on standard output.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Say nothing if all went well, and little if not.
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,

    #[command(flatten)]
    pub config: ConfigArgs,
}

const MERGE_NOTES: &str = "\
The shards must be of one job: the same input, the same servers, 1/N to N/N each once, all ended. The
code is the worst of theirs and of the whole.";
