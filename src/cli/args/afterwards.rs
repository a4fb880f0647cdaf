use std::path::PathBuf;

use clap::Args;

/// Who else is told when a session has ended.
#[derive(Debug, Args)]
#[command(next_help_heading = "Afterwards")]
pub struct AfterwardsArgs {
    /// At the end of a session, write its figures there for Prometheus, as node_exporter's textfile
    /// collector reads them: a name that ends in .prom, in its directory.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,

    /// At the end of a session, run this in the shell with the summary as JSON on its standard input;
    /// half a minute at most.
    #[arg(long, value_name = "COMMAND")]
    pub notify_command: Option<String>,
}
