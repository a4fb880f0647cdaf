//! Telling a run again.

use std::path::PathBuf;

use clap::Args;

use super::ConfigArgs;

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct ReportArgs {
    /// The run's directory, or its name under mailsweep-runs.
    pub run_dir: PathBuf,

    /// Also write a workbook there: a summary, every operation, and every mailbox with a sentence that
    /// can be read out.
    #[arg(long, value_name = "FILE")]
    pub xlsx: Option<PathBuf>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// Do not say what was written.
    #[arg(short, long)]
    pub quiet: bool,
}

const NOTES: &str = "\
It sends nothing. The page is the same, byte for byte, as the one that the run's last session wrote.
Of a run that is at work it writes the workbook alone, with the figures so far.";
