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

    /// At the end of a session, write its figures there for Prometheus, as node_exporter's textfile
    /// collector reads them: a name that ends in .prom, in its directory.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,

    /// At the end of a session, run this in the shell with the summary as JSON on its standard input;
    /// half a minute at most.
    #[arg(long, value_name = "COMMAND")]
    pub notify_command: Option<String>,

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
