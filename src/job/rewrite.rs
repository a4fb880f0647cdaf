//! Rows written so that they can be run again: unfinished.csv.
//!
//! Each row keeps the input's own columns and cells. Only action and channel change: they are filled
//! in, so that the file needs no flag, and the channel cell is narrowed to what is left to do.

use std::io::{self, Write};

use super::layout::Layout;
use super::rows::Row;
use crate::domain::Function;

/// Writes rows in the input's own columns, delimiter and order, always with a header. UTF-8 without
/// a mark, LF.
pub struct UnfinishedWriter<'a, W: Write> {
    layout: &'a Layout,
    writer: csv::Writer<W>,
    channel: String,
}

impl<'a, W: Write> UnfinishedWriter<'a, W> {
    /// Writes the header: the input's own, with `action` and `channel` added where it lacks them, or
    /// `email,action,channel` and a name for each further column.
    ///
    /// # Errors
    /// What `output` says.
    pub fn new(layout: &'a Layout, mut output: W) -> io::Result<UnfinishedWriter<'a, W>> {
        let header = header(layout);
        // The delimiter will be found from this line: another delimiter in a name must not mislead.
        let misleading = |name: &String| name.contains([',', ';', '\t', '"']);
        let quotes =
            if header.iter().any(misleading) { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        {
            let mut writer = builder(layout).quote_style(quotes).from_writer(&mut output);
            writer.write_record(&header)?;
            writer.flush()?;
        }
        let writer = builder(layout).from_writer(output);
        Ok(UnfinishedWriter { layout, writer, channel: String::new() })
    }

    /// Writes a row with those of its functions that are left to do. None: it is left out.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&mut self, row: &Row<'_>, functions: &[Function]) -> io::Result<()> {
        let Some(first) = functions.first() else { return Ok(()) };
        let action = first.action().word();
        self.channel.clear();
        for function in functions {
            if !self.channel.is_empty() {
                self.channel.push('+');
            }
            self.channel.push_str(function.channel().word());
        }
        for index in 0..self.layout.columns {
            let cell = if Some(index) == self.layout.action {
                action
            } else if Some(index) == self.layout.channel {
                &self.channel
            } else {
                row.cell(index)
            };
            self.writer.write_field(cell)?;
        }
        if self.layout.action.is_none() {
            self.writer.write_field(action)?;
        }
        if self.layout.channel.is_none() {
            self.writer.write_field(&self.channel)?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    /// Writes out what is held back, and gives the output back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// A first cell that starts with `#` is quoted, or it would be a comment.
fn builder(layout: &Layout) -> csv::WriterBuilder {
    let mut builder = csv::WriterBuilder::new();
    builder.delimiter(layout.delimiter).comment(Some(b'#')).flexible(true);
    builder
}

fn header(layout: &Layout) -> Vec<String> {
    let mut names: Vec<String> = match &layout.header {
        Some(names) => names.clone(),
        None => {
            let fixed = ["email", "action", "channel"].into_iter().map(str::to_owned).take(layout.columns);
            fixed.chain((3..layout.columns).map(|index| format!("column_{}", index + 1))).collect()
        }
    };
    if layout.action.is_none() {
        names.push("action".to_owned());
    }
    if layout.channel.is_none() {
        names.push("channel".to_owned());
    }
    names
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
