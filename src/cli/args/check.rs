//! The flags of `mailsweep check`.

use clap::Args;

use super::{TargetArgs, WhichArgs};

#[derive(Debug, Args)]
#[command(after_help = CHECK_NOTES)]
pub struct CheckArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub which: WhichArgs,

    /// Say so, with code 1, where a certificate or a token ends within so many days.
    #[arg(long, value_name = "N", default_value_t = 14, help_heading = "Check")]
    pub warn_days: u32,

    /// Send a credential again that a server refused twice in the last minutes.
    #[arg(long, help_heading = "Check")]
    pub try_again: bool,

    /// Print all that was found as JSON on standard output.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Say nothing if all is well, and little if not.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// Say more: dates, the names of tokens, how many requests were made.
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,
}

const CHECK_NOTES: &str = "\
It changes nothing: it asks for lists of domains and, of cPanel accounts, of tokens. The first request
to a server goes alone, and after a refusal none follows. The code is 0 if all is well, 1 if something
is wrong or ends soon somewhere, 4 if no server is sound.";
