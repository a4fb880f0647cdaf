//! What flags say about the input, and the spellings that flags and cells share.
//!
//! A `--channel` value and a channel cell are read by the same function, so that what works in one
//! works in the other. The options are stored with a run: a later session reads the input again and
//! must come to the same operations.

use serde::{Deserialize, Serialize};

use crate::domain::{Action, Channel, UnknownWord};

/// How to read the input: the flags that bear on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputOptions {
    /// `--action`: for blank cells and for an input without that column.
    pub action: Option<Action>,
    /// `--channel`: for blank cells and for an input without that column. Empty: not given.
    pub channels: Vec<Channel>,
    /// `--no-header`: the columns are email, action, channel.
    pub no_header: bool,
    /// `--delimiter`; without it, it is found from the first record.
    pub delimiter: Option<u8>,
    /// `--skip-invalid`: go on with the sound rows.
    pub skip_invalid: bool,
    /// `--allow-empty`: an input without a data row is a job without operations.
    pub allow_empty: bool,
    /// `--allow-conflicts`: opposite operations on one flag run in file order.
    pub allow_conflicts: bool,
    /// The names of the configured servers, where there is a configuration: then the columns
    /// `server` and `account` say where a row goes. Without one they are other columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers: Option<Vec<String>>,
}

/// Why a text names no channels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelsError {
    /// Nothing there, or nothing before, behind or between the separators.
    #[error("a channel is missing: write login, incoming, outgoing, several as login+outgoing, or all")]
    Missing,
    /// A word that is no channel.
    #[error(transparent)]
    Unknown(#[from] UnknownWord),
}

/// Reads a channel cell or a `--channel` value: `login`, `login+outgoing`, `login,outgoing`, `all`,
/// in any case. A channel named twice counts once.
///
/// # Errors
/// A word that is no channel, or a missing one.
///
/// ```
/// use mailsweep::domain::Channel::{Login, Outgoing};
/// assert_eq!(mailsweep::job::parse_channels("Outgoing + login").unwrap(), [Outgoing, Login]);
/// ```
pub fn parse_channels(text: &str) -> Result<Vec<Channel>, ChannelsError> {
    Channels::parse(text).map(|channels| channels.as_slice().to_vec())
}

/// A delimiter that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the delimiter “{0}” is not one of comma (,), semicolon (;), tab (\\t)")]
pub struct DelimiterError(String);

/// Reads a `--delimiter` value: `,` `;`, a tab, `\t`, or the words comma, semicolon, tab.
///
/// # Errors
/// Anything else.
pub fn parse_delimiter(text: &str) -> Result<u8, DelimiterError> {
    match text.to_ascii_lowercase().as_str() {
        "," | "comma" => Ok(b','),
        ";" | "semicolon" => Ok(b';'),
        "\t" | "\\t" | "tab" => Ok(b'\t'),
        _ => Err(DelimiterError(crate::domain::clip(&crate::domain::clean(text), 20))),
    }
}

/// What surrounds a cell's value without being part of it: blanks, and the byte-order mark that
/// files glued together leave in the middle.
pub(super) fn trim(cell: &str) -> &str {
    // Most cells have nothing to trim, and every cell passes here.
    if let (Some(b'!'..=b'~'), Some(b'!'..=b'~')) = (cell.as_bytes().first(), cell.as_bytes().last()) {
        return cell;
    }
    cell.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// Up to three different channels in the order in which they were named. One is read per row, so it
/// takes nothing from the heap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels {
    list: [Channel; 3],
    len: usize,
}

impl Channels {
    /// As [`parse_channels`].
    pub(super) fn parse(text: &str) -> Result<Channels, ChannelsError> {
        let mut channels = Channels::from_slice(&[]);
        for word in text.split(['+', ',']).map(trim) {
            if word.is_empty() {
                return Err(ChannelsError::Missing);
            }
            if word.eq_ignore_ascii_case("all") {
                Channel::ALL.into_iter().for_each(|channel| channels.add(channel));
            } else {
                channels.add(word.parse()?);
            }
        }
        Ok(channels)
    }

    /// The channels of a list, each once.
    pub(super) fn from_slice(list: &[Channel]) -> Channels {
        let mut channels = Channels { list: Channel::ALL, len: 0 };
        list.iter().for_each(|channel| channels.add(*channel));
        channels
    }

    /// The channels, each once, in the order in which they were named.
    pub(super) fn as_slice(&self) -> &[Channel] {
        &self.list[..self.len]
    }

    fn add(&mut self, channel: Channel) {
        if !self.as_slice().contains(&channel) {
            self.list[self.len] = channel;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use Channel::{Incoming, Login, Outgoing};

    use super::*;

    #[test]
    fn channels_are_read_in_any_case_order_and_number() {
        for (text, channels) in [
            ("login", &[Login][..]),
            (" LOGIN ", &[Login]),
            ("login+outgoing", &[Login, Outgoing]),
            ("Outgoing , login", &[Outgoing, Login]),
            ("login+login+LOGIN", &[Login]),
            ("all", &[Login, Incoming, Outgoing]),
            ("ALL+login", &[Login, Incoming, Outgoing]),
            ("outgoing+all", &[Outgoing, Login, Incoming]),
        ] {
            assert_eq!(parse_channels(text).as_deref(), Ok(channels), "{text}");
        }
    }

    #[test]
    fn what_names_no_channel_is_refused_with_the_words_that_do() {
        for text in ["", " ", "+", "login+", ",login", "login++outgoing"] {
            assert_eq!(parse_channels(text), Err(ChannelsError::Missing), "{text}");
        }
        let error = parse_channels("login+smtp").unwrap_err().to_string();
        assert!(error.contains("did you mean “outgoing”"), "{error}");
        assert!(parse_channels("login outgoing").is_err());
    }

    #[test]
    fn delimiters_have_signs_and_names() {
        for (text, delimiter) in [
            (",", b','),
            ("comma", b','),
            (";", b';'),
            ("Semicolon", b';'),
            ("tab", b'\t'),
            ("\\t", b'\t'),
            ("\t", b'\t'),
        ] {
            assert_eq!(parse_delimiter(text), Ok(delimiter), "{text}");
        }
        for text in ["", "|", ",,", " ", "\u{1b}[2J"] {
            let error = parse_delimiter(text).unwrap_err().to_string();
            assert!(error.contains("semicolon") && !error.contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn options_of_a_run_are_read_back_and_new_ones_may_be_missing() {
        let options =
            InputOptions { action: Some(Action::Hold), channels: vec![Outgoing], ..Default::default() };
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<InputOptions>(&json).unwrap(), options);
        assert_eq!(serde_json::from_str::<InputOptions>("{}").unwrap(), InputOptions::default());
    }
}
