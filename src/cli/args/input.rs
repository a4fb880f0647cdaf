//! How the CSV is to be read.

use clap::Args;

use crate::domain::{Action, Channel};
use crate::job::{parse_channels, parse_delimiter};

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Action for rows that name none: suspend, unsuspend, hold or release (outgoing only).
    #[arg(long, value_name = "ACTION")]
    pub action: Option<Action>,

    /// Channels for rows that name none: login, incoming, outgoing, or all; several with commas.
    #[arg(long, value_name = "CHANNEL[,CHANNEL]", value_parser = channels)]
    pub channel: Option<Channels>,

    /// The file has no header: its columns are email, action, channel.
    #[arg(long)]
    pub no_header: bool,

    /// What separates the cells: `,` `;` or `tab` [default: found from the first line].
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub delimiter: Option<u8>,

    /// Go on with the sound rows when others are faulty; those end as `invalid`.
    #[arg(long)]
    pub skip_invalid: bool,

    /// Take an input without a data row as nothing to do, instead of an error.
    #[arg(long)]
    pub allow_empty: bool,

    /// Allow opposite operations on the same mailbox and channel; they run in file order.
    #[arg(long)]
    pub allow_conflicts: bool,
}

/// Several channels in one value.
#[derive(Clone, Debug)]
pub struct Channels(pub Vec<Channel>);

pub(super) fn channels(text: &str) -> Result<Channels, String> {
    parse_channels(text).map(Channels).map_err(|e| e.to_string())
}

fn delimiter(text: &str) -> Result<u8, String> {
    parse_delimiter(text).map_err(|e| e.to_string())
}
