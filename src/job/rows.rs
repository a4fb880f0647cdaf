//! The input's rows, one at a time, and what each asks for.
//!
//! Both the check of the whole input and the writing of results read through here, so that they
//! agree on what row 7 is, and on what is wrong with it: reasons are not kept, they are found again.

use std::io::Read;

use encoding_rs_io::DecodeReaderBytes;

use super::layout::Layout;
use super::options::{Channels, ChannelsError, InputOptions, trim};
use super::scan::{ReadError, Record, Scanner, decode};
use crate::domain::{Action, AddressFault, Channel, Function, UnknownWord, clean, clip, normalise};

/// The data rows of an input, in order. Lends one row at a time.
pub struct Rows<'a, R> {
    layout: &'a Layout,
    scanner: Scanner<DecodeReaderBytes<R, Vec<u8>>>,
    record: Record,
    skip_header: bool,
    number: u32,
}

impl Layout {
    /// The rows of the input that this is the layout of, from its raw bytes.
    pub fn rows<R: Read>(&self, input: R) -> Rows<'_, R> {
        Rows {
            layout: self,
            scanner: Scanner::new(decode(input), self.delimiter),
            record: Record::default(),
            skip_header: self.header.is_some(),
            number: 0,
        }
    }
}

impl<R: Read> Rows<'_, R> {
    /// The next row; `None` after the last one.
    ///
    /// # Errors
    /// The input cannot be read, or its rows cannot be told apart from here on. Asking again after
    /// that is of no use.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>, ReadError> {
        if std::mem::take(&mut self.skip_header) && !self.scanner.next(&mut self.record)? {
            return Ok(None);
        }
        if !self.scanner.next(&mut self.record)? {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        Ok(Some(Row { layout: self.layout, record: &self.record, number: self.number }))
    }
}

/// One data row. Its cells are as they are in the file, without quotes and untrimmed; bytes that are
/// not UTF-8 show as U+FFFD.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    layout: &'a Layout,
    record: &'a Record,
    number: u32,
}

impl<'a> Row<'a> {
    /// Its number among the data rows, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The line of the file on which it starts, from 1.
    pub fn line(&self) -> u64 {
        self.record.line()
    }

    /// The cell with the address.
    pub fn email_cell(&self) -> &'a str {
        self.record.cell(self.layout.email)
    }

    /// The cell with the action; blank if there is no such column.
    pub fn action_cell(&self) -> &'a str {
        self.layout.action.map_or("", |index| self.record.cell(index))
    }

    /// The cell with the channels; blank if there is no such column.
    pub fn channel_cell(&self) -> &'a str {
        self.layout.channel.map_or("", |index| self.record.cell(index))
    }

    /// The cell with the name of the server, trimmed; blank if that column has no meaning here.
    pub(super) fn server_cell(&self) -> &'a str {
        self.layout.server.map_or("", |index| trim(self.record.cell(index)))
    }

    /// The cell with the account, trimmed; blank if that column has no meaning here.
    pub(super) fn account_cell(&self) -> &'a str {
        self.layout.account.map_or("", |index| trim(self.record.cell(index)))
    }

    /// All its cells, as many as it has.
    pub fn cells(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.record.cells()
    }

    /// The cell of a column; blank if the row is too short.
    pub(super) fn cell(&self, index: usize) -> &'a str {
        self.record.cell(index)
    }

    /// The cells of the other columns, one for each of [`Layout::other_columns`].
    pub fn others(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let Row { layout, record, .. } = *self;
        layout.others.iter().map(|index| record.cell(*index))
    }

    /// What the row asks for. The normalised address is appended to `address`, which is unchanged if
    /// there is a fault.
    ///
    /// # Errors
    /// All that is wrong with the row.
    pub fn interpret(&self, options: &InputOptions, address: &mut String) -> Result<Functions, RowFault> {
        self.interpret_with(options, |cell| normalise(cell, address)).map(|((), functions)| functions)
    }

    /// As [`interpret`](Row::interpret), with the address read by `read`, which is called only if the
    /// rest of the row is sound.
    pub(super) fn interpret_with<T>(
        &self,
        options: &InputOptions,
        read: impl FnOnce(&str) -> Result<T, AddressFault>,
    ) -> Result<(T, Functions), RowFault> {
        if !self.record.utf8 {
            return Err(RowFault::one(Reason::NotUtf8));
        }
        if self.record.misquoted {
            return Err(RowFault::one(Reason::Misquoted));
        }
        let columns = self.layout.columns;
        if self.record.len() > columns
            && (columns..self.record.len()).any(|index| !trim(self.record.cell(index)).is_empty())
        {
            return Err(RowFault::one(Reason::Surplus { cells: self.record.len(), columns }));
        }
        if let Some(reason) = self.server_fault(options) {
            return Err(RowFault::one(reason));
        }
        match self.functions(options) {
            Ok(functions) => match read(self.email_cell()) {
                Ok(address) => Ok((address, functions)),
                Err(fault) => Err(RowFault::one(self.address_fault(fault))),
            },
            Err(mut fault) => {
                if let Err(address) = normalise(self.email_cell(), &mut String::new()) {
                    fault.reasons.insert(0, self.address_fault(address));
                }
                Err(fault)
            }
        }
    }

    fn functions(&self, options: &InputOptions) -> Result<Functions, RowFault> {
        match (self.action(options), self.channels(options)) {
            (Ok(action), Ok(channels)) => Functions::new(action, channels.as_slice())
                .map_err(|channel| RowFault::one(Reason::OutgoingOnly { action, channel })),
            // What to put into a blank channel cell depends on the action.
            (Ok(action @ (Action::Hold | Action::Release)), Err(Reason::NoChannel)) => {
                Err(RowFault::one(Reason::NoChannelFor(action)))
            }
            (Ok(_), Err(reason)) | (Err(reason), Ok(_)) => Err(RowFault::one(reason)),
            (Err(first), Err(second)) => Err(RowFault { reasons: vec![first, second] }),
        }
    }

    fn action(&self, options: &InputOptions) -> Result<Action, Reason> {
        match (trim(self.action_cell()), options.action) {
            ("", flag) => flag.ok_or(Reason::NoAction),
            (cell, _) => cell.parse().map_err(Reason::Action),
        }
    }

    fn channels(&self, options: &InputOptions) -> Result<Channels, Reason> {
        match trim(self.channel_cell()) {
            "" if options.channels.is_empty() => Err(Reason::NoChannel),
            "" => Ok(Channels::from_slice(&options.channels)),
            cell => Channels::parse(cell).map_err(Reason::Channel),
        }
    }

    fn server_fault(&self, options: &InputOptions) -> Option<Reason> {
        let servers = options.servers.as_deref().unwrap_or_default();
        let cell = self.server_cell();
        if cell.is_empty() || servers.iter().any(|name| name.eq_ignore_ascii_case(cell)) {
            return None;
        }
        let near = servers
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, cell).total_cmp(&strsim::jaro_winkler(b, cell)));
        Some(Reason::Server { cell: clip(&clean(cell), 60), near: near.cloned().unwrap_or_default() })
    }

    fn address_fault(&self, fault: AddressFault) -> Reason {
        Reason::Address { cell: clip(&clean(self.email_cell()), 60), fault }
    }
}

/// What one row does to its mailbox: one to three functions, in the order of the channel cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Functions {
    list: [Function; 3],
    len: usize,
}

impl Functions {
    fn new(action: Action, channels: &[Channel]) -> Result<Functions, Channel> {
        let mut functions = Functions { list: [Function::SuspendLogin; 3], len: 0 };
        for (place, channel) in functions.list.iter_mut().zip(channels) {
            *place = Function::new(action, *channel).ok_or(*channel)?;
            functions.len += 1;
        }
        Ok(functions)
    }
}

impl std::ops::Deref for Functions {
    type Target = [Function];

    fn deref(&self) -> &[Function] {
        self.list.get(..self.len).unwrap_or_default()
    }
}

/// All that is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    reasons: Vec<Reason>,
}

impl RowFault {
    /// Whether `--action` and `--channel` would mend all of it.
    pub(super) fn lacks_defaults_alone(&self) -> bool {
        self.reasons.iter().all(|reason| matches!(reason, Reason::NoAction | Reason::NoChannel))
    }

    pub(super) fn one(reason: Reason) -> RowFault {
        RowFault { reasons: vec![reason] }
    }

    /// Each thing that is wrong, in the order of email, action, channel.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

impl std::fmt::Display for RowFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, reason) in self.reasons.iter().enumerate() {
            write!(f, "{}{reason}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for RowFault {}

/// One thing that is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Bytes that are not UTF-8.
    #[error("not UTF-8 text; save the file as UTF-8, e.g. with iconv -f WINDOWS-1252 -t UTF-8 OLD >NEW")]
    NotUtf8,
    /// Text behind a closing quote.
    #[error("text stands behind a closing quote: is a quote missing, or not doubled?")]
    Misquoted,
    /// More filled cells than there are columns.
    #[error("{cells} cells, but there {} {columns} column{}: is a delimiter unquoted?", if *columns == 1 { "is" } else { "are" }, if *columns == 1 { "" } else { "s" })]
    Surplus {
        /// Cells of the row.
        cells: usize,
        /// Columns of the input.
        columns: usize,
    },
    /// Not an address of a mailbox.
    #[error("“{cell}”: {fault}")]
    Address {
        /// The cell, fit to be shown.
        cell: String,
        /// What is wrong with it.
        fault: AddressFault,
    },
    /// Blank, and no flag.
    #[error("no action: fill in the cell or give --action")]
    NoAction,
    /// Not an action.
    #[error(transparent)]
    Action(UnknownWord),
    /// Blank, and no flag.
    #[error("no channel: fill in the cell or give --channel")]
    NoChannel,
    /// Blank, and no flag, where only one value would do.
    #[error("no channel: {0} needs outgoing; fill in the cell or give --channel outgoing")]
    NoChannelFor(Action),
    /// Not channels.
    #[error(transparent)]
    Channel(ChannelsError),
    /// Not a configured server.
    #[error("“{cell}” is no configured server: did you mean “{near}”?")]
    Server {
        /// The cell, fit to be shown.
        cell: String,
        /// The configured name that is most like it.
        near: String,
    },
    /// `hold` or `release` of something else.
    #[error("{action} exists for channel outgoing alone, not for {channel}")]
    OutgoingOnly {
        /// The action.
        action: Action,
        /// The channel that does not have it.
        channel: Channel,
    },
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
