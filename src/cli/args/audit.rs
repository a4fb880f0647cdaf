use std::path::PathBuf;

use clap::Args;

use crate::record::Chain;

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct AuditArgs {
    /// The run's directory, or its name under the runs directory.
    pub run_dir: PathBuf,

    /// The chain hash that a session printed at its end, from wherever it was kept: says up to which
    /// line of the journal it vouches.
    #[arg(long, value_name = "HASH", value_parser = chain)]
    pub expect: Option<Chain>,

    /// Write results.csv and unfinished.csv again as they were, where they are not; over the files,
    /// and only if the journal is whole.
    #[arg(long)]
    pub rewrite_results: bool,

    /// Where the runs directory is named [default: mailsweep.toml here, then
    /// mailsweep/mailsweep.toml in the configuration directory].
    #[arg(long, value_name = "FILE", env = "MAILSWEEP_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,

    /// Print all that was found as JSON on standard output.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Say nothing if all is well, and little if not.
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

fn chain(text: &str) -> Result<Chain, String> {
    Chain::read(text).ok_or_else(|| {
        "not a chain hash: 32 digits and letters from a to f, as a session prints them at its end".to_owned()
    })
}

const NOTES: &str = "\
The journal is followed line by line, and every other file held against it. Nothing is sent, and the
journal is never written. The code is 0 if the run has ended and all of it is as it was written, 1 if
not, 6 if it is no run.

Whoever can write the directory could write all of it anew, with other hashes: only a chain hash that
was kept elsewhere, such as in a ticket, excludes that.";
