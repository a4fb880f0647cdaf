//! Rows into sheets, one after the other, and a further sheet where one is full.

use std::io;

use rust_xlsxwriter::{Format, Workbook, Worksheet};

use crate::domain::clip;
use crate::record::Stamp;

/// What stands in a cell.
#[derive(Clone, Copy)]
pub enum Cell<'a> {
    None,
    Text(&'a str),
    Heading(&'a str),
    Number(f64),
    Time(Stamp),
}

/// How cells look.
pub struct Styles {
    heading: Format,
    time: Format,
}

impl Styles {
    pub fn new() -> Styles {
        Styles {
            heading: Format::new().set_bold().set_background_color("#E8ECF2"),
            time: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss.000"),
        }
    }
}

/// A text of more characters is not taken by a spreadsheet, which counts them in UTF-16.
const MOST_CHARS: usize = 16_000;

/// Sheets of the same columns. They have no header if no column has a name.
pub struct Sheets<'a> {
    book: &'a mut Workbook,
    styles: &'a Styles,
    name: &'a str,
    columns: &'a [(&'a str, f64)],
    rows_per_sheet: u32,
    sheet: Option<Worksheet>,
    number: u32,
    next: u32,
}

impl<'a> Sheets<'a> {
    pub fn new(
        book: &'a mut Workbook,
        styles: &'a Styles,
        name: &'a str,
        columns: &'a [(&'a str, f64)],
        rows_per_sheet: u32,
    ) -> Sheets<'a> {
        Sheets { book, styles, name, columns, rows_per_sheet, sheet: None, number: 0, next: 0 }
    }

    /// Writes the next row.
    pub fn row<'c>(&mut self, cells: impl IntoIterator<Item = Cell<'c>>) -> io::Result<()> {
        if self.sheet.is_none() || self.next >= self.rows_per_sheet {
            self.begin()?;
        }
        let Some(sheet) = &mut self.sheet else { return Ok(()) };
        for (column, cell) in (0u16..).zip(cells) {
            put(sheet, self.styles, self.next, column, cell).map_err(io::Error::other)?;
        }
        self.next += 1;
        Ok(())
    }

    /// Puts the last sheet into the book; one without rows if there was none.
    pub fn finish(mut self) -> io::Result<()> {
        if self.sheet.is_none() {
            self.begin()?;
        }
        self.end()
    }

    fn has_header(&self) -> bool {
        self.columns.iter().any(|(name, _)| !name.is_empty())
    }

    fn begin(&mut self) -> io::Result<()> {
        self.end()?;
        self.number += 1;
        self.next = 0;
        let mut sheet = self.book.new_worksheet_with_constant_memory().map_err(io::Error::other)?;
        let name =
            if self.number == 1 { self.name.to_owned() } else { format!("{} {}", self.name, self.number) };
        sheet.set_name(name).map_err(io::Error::other)?;
        for (column, (name, width)) in (0u16..).zip(self.columns) {
            sheet.set_column_width(column, *width).map_err(io::Error::other)?;
            if !name.is_empty() {
                put(&mut sheet, self.styles, 0, column, Cell::Heading(name)).map_err(io::Error::other)?;
            }
        }
        if self.has_header() {
            sheet.set_freeze_panes(1, 0).map_err(io::Error::other)?;
            self.next = 1;
        }
        self.sheet = Some(sheet);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(mut sheet) = self.sheet.take() else { return Ok(()) };
        if self.has_header() {
            let last = u16::try_from(self.columns.len().saturating_sub(1)).unwrap_or(u16::MAX);
            sheet.autofilter(0, 0, self.next.max(2) - 1, last).map_err(io::Error::other)?;
        }
        self.book.push_worksheet(sheet);
        Ok(())
    }
}

fn put(
    sheet: &mut Worksheet,
    styles: &Styles,
    row: u32,
    column: u16,
    cell: Cell<'_>,
) -> Result<(), rust_xlsxwriter::XlsxError> {
    match cell {
        Cell::None | Cell::Text("") => {}
        Cell::Text(text) if text.len() > MOST_CHARS => {
            sheet.write_string(row, column, clip(text, MOST_CHARS))?;
        }
        Cell::Text(text) => {
            sheet.write_string(row, column, text)?;
        }
        Cell::Heading(text) => {
            sheet.write_string_with_format(row, column, clip(text, MOST_CHARS), &styles.heading)?;
        }
        Cell::Number(number) => {
            sheet.write_number(row, column, number)?;
        }
        Cell::Time(at) => {
            sheet.write_number_with_format(row, column, serial(at), &styles.time)?;
        }
    }
    Ok(())
}

/// A moment as spreadsheets count it: days since 1899-12-30.
fn serial(at: Stamp) -> f64 {
    const EPOCH: f64 = 25_569.0;
    const DAY_MS: f64 = 86_400_000.0;
    at.0 as f64 / DAY_MS + EPOCH
}
