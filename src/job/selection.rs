//! A list of addresses that narrows a command: `--only FILE`, `--except FILE`.
//!
//! It is read like an input, so that whatever is a job, a bare list or a `results.csv` will do, but
//! far less is asked of it: only its addresses count, and its channels where it has that column.

use std::collections::HashMap;

use super::fault::{Fault, FaultKind, InputError, MAX_SHOWN};
use super::layout::Layout;
use super::options::{Channels, InputOptions, trim};
use super::rows::{Reason, RowFault};
use super::scan::ReadError;
use super::source::Source;
use crate::domain::{Channel, clean, clip, normalise};

/// The mailboxes that a list names, each with the channels that are meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    entries: HashMap<String, Entry>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    channels: u8,
    line: u64,
}

/// All channels.
const ALL: u8 = u8::MAX;

impl Selection {
    /// Reads a list.
    ///
    /// # Errors
    /// It cannot be read, has rows without an address or with an unknown channel, or names nobody.
    pub fn read(source: &Source) -> Result<Selection, InputError> {
        let name = source.name();
        let empty = || InputError::Empty { name: name.to_owned() };
        let layout = Layout::detect(source, &InputOptions::default())?.ok_or_else(empty)?;
        let input = source.open().map_err(|error| InputError::stopped(name, ReadError::Io(error)))?;
        let mut rows = layout.rows(input);
        let mut selection = Selection::default();
        let mut faults = Vec::new();
        while let Some(row) = rows.next().map_err(|error| InputError::stopped(name, error))? {
            let mut address = String::new();
            let cell = row.email_cell();
            let read = normalise(cell, &mut address)
                .map_err(|fault| Reason::Address { cell: clip(&clean(cell), 60), fault })
                .and_then(|()| match trim(row.channel_cell()) {
                    "" => Ok(ALL),
                    cell => Channels::parse(cell).map(bits).map_err(Reason::Channel),
                });
            match read {
                Ok(channels) => {
                    let entry = selection.entries.entry(address).or_default();
                    entry.channels |= channels;
                    entry.line = row.line();
                }
                Err(reason) => {
                    let what = FaultKind::Row(RowFault::one(reason));
                    faults.push(Fault { row: Some(row.number()), line: row.line(), what });
                }
            }
        }
        if !faults.is_empty() {
            let total = faults.len() as u64;
            faults.truncate(MAX_SHOWN);
            return Err(InputError::refused_among(name, faults, total, false));
        }
        if selection.entries.is_empty() {
            return Err(empty());
        }
        Ok(selection)
    }

    /// Whether it names this mailbox with this channel.
    pub fn has(&self, mailbox: &str, channel: Channel) -> bool {
        self.entries.get(mailbox).is_some_and(|entry| entry.channels & bit(channel) != 0)
    }

    /// The addresses that it names and `is_known` does not know, in the order of the list.
    pub fn unknown(&self, is_known: impl Fn(&str) -> bool) -> Vec<&str> {
        let mut unknown: Vec<(u64, &str)> = self
            .entries
            .iter()
            .filter(|(address, _)| !is_known(address))
            .map(|(address, entry)| (entry.line, address.as_str()))
            .collect();
        unknown.sort_unstable();
        unknown.into_iter().map(|(_, address)| address).collect()
    }
}

fn bit(channel: Channel) -> u8 {
    1 << channel as u8
}

fn bits(channels: Channels) -> u8 {
    channels.as_slice().iter().fold(0, |bits, channel| bits | bit(*channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(text: &str) -> Result<Selection, String> {
        Selection::read(&Source::bytes(text.as_bytes().to_vec())).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_bare_list_names_mailboxes_with_all_their_channels() {
        let list = selection("Anna@Example.com\nbob@example.com\n").unwrap();
        assert!(
            list.has("anna@example.com", Channel::Login) && list.has("bob@example.com", Channel::Outgoing)
        );
        assert!(!list.has("eve@example.com", Channel::Login));
        assert_eq!(list.unknown(|address| address.starts_with("bob")), ["anna@example.com"]);
    }

    #[test]
    fn a_column_of_channels_narrows_and_a_results_file_will_do() {
        let results = "row,email,action,channel,status\n1,a@example.com,suspend,login,ok\n\
                       2,a@example.com,hold,outgoing,ok\n3,b@example.com,suspend,incoming,failed\n";
        let list = selection(results).unwrap();
        let has = |mailbox| Channel::ALL.map(|channel| list.has(mailbox, channel));
        assert_eq!(has("a@example.com"), [true, false, true]);
        assert_eq!(has("b@example.com"), [false, true, false]);
        let list = selection("email,channel\na@example.com,\nb@example.com,login+incoming\n").unwrap();
        assert_eq!(Channel::ALL.map(|channel| list.has("a@example.com", channel)), [true; 3]);
    }

    #[test]
    fn a_list_that_names_nobody_or_is_no_list_is_refused_with_its_lines() {
        assert!(selection("").is_err() && selection("email\n").is_err());
        let error = selection("email,channel\na@example.com,imap\nnobody,login\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("line 3"), "{error}");
    }
}
