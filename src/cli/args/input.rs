//! How the CSV is to be read.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command};

use crate::domain::{Action, Channel, UnknownWord};
use crate::job::{parse_channels, parse_delimiter};

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Action for rows that name none: suspend, unsuspend, hold or release (outgoing only).
    #[arg(long, value_name = "ACTION", value_parser = ACTIONS, hide_possible_values = true)]
    pub action: Option<Action>,

    /// Channels for rows that name none: login, incoming, outgoing, or all; several with commas.
    #[arg(long, value_name = "CHANNEL[,CHANNEL]", value_parser = CHANNELS, hide_possible_values = true)]
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

/// A parser that also says, for the Tab key, what is usual.
#[derive(Clone)]
struct Usual<T> {
    words: &'static [&'static str],
    parse: fn(&str) -> Result<T, String>,
}

const ACTIONS: Usual<Action> = Usual {
    words: &["suspend", "unsuspend", "hold", "release"],
    parse: |text| text.parse().map_err(|e: UnknownWord| e.to_string()),
};

const CHANNELS: Usual<Channels> = Usual { words: &["login", "incoming", "outgoing", "all"], parse: channels };

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Usual<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, text: &OsStr) -> Result<T, clap::Error> {
        let parse = self.parse;
        StringValueParser::new().try_map(move |text: String| parse(&text)).parse_ref(command, arg, text)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().copied().map(PossibleValue::new)))
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    parse_delimiter(text).map_err(|e| e.to_string())
}
