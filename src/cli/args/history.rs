use std::path::PathBuf;

use clap::Args;

use crate::domain::Mailbox;

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct HistoryArgs {
    /// The mailbox, as jobs may spell it.
    #[arg(value_parser = mailbox)]
    pub address: Mailbox,

    /// Where the runs directory is named [default: mailsweep.toml here, then
    /// mailsweep/mailsweep.toml in the configuration directory].
    #[arg(long, value_name = "FILE", env = "MAILSWEEP_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,

    /// Print it as JSON on standard output.
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    Mailbox::parse(text).map_err(|fault| fault.to_string())
}

const NOTES: &str = "\
Every run of the runs directory is looked through, those at work too, without disturbing them; nothing
is sent. The list goes to standard output, the newest last. The code is 0, or 1 if a run could not be
read: it is named with the reason.";
