//! How much is said, and where.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Write results.csv there too; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print the summary as JSON on standard output.
    #[arg(long)]
    pub json: bool,

    /// Say nothing if all went well, and little if not.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say what happens to each operation.
    #[arg(short, long)]
    pub verbose: bool,

    /// The form of what is logged on standard error.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormatArg::Text)]
    pub log_format: LogFormatArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    Text,
    Json,
}
