//! A table that was written, held against one that is found in its place, cell by cell and both
//! streamed: whether a spreadsheet has only saved it again, or it says something else.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};

use csv::ByteRecord;
use encoding_rs_io::DecodeReaderBytesBuilder;

use super::cells::{Likeness, likeness, text};
use crate::domain::{clean, clip};

/// What a table is found to be whose bytes are not those that were written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Comparison {
    /// It says the same, but for the form of some cells.
    SavedAgain(Form),
    /// It has the same lines in another order.
    Sorted,
    /// It says something else.
    Differs(Difference),
}

/// In which form it was saved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Form {
    /// What is other about the file as a whole.
    pub(super) marks: Vec<&'static str>,
    /// How many cells have another form.
    pub(super) reformatted: u64,
    /// The first of them.
    pub(super) first: Option<Difference>,
}

/// A cell or line that is not as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// The line of the file.
    pub(super) line: u64,
    pub(super) what: String,
}

/// Compares a table with what was written, whose cells `delimiter` separates. Both are read to their
/// ends, so that whoever makes one anew is not cut off.
pub(super) fn compare(written: impl Read, delimiter: u8, found: impl Read) -> io::Result<Comparison> {
    let mut written = reader(written, delimiter);
    let mut names = ByteRecord::new();
    written.read_byte_record(&mut names)?;
    let (mut found, mut marks) = open(found, delimiter, &names)?;
    let mut state = State { names: names.clone(), form: Form::default(), differs: None, sums: [0; 2] };
    let (mut expected, mut record) = (names, ByteRecord::new());
    let mut has_expected = true;
    loop {
        let has_record = next_filled(&mut found, &mut record)?;
        let line = record.position().map_or(0, csv::Position::line);
        match (has_expected, has_record) {
            (false, false) => break,
            (true, true) => state.pair(&expected, &record, line),
            (true, false) => {
                state.differ(found.position().line(), "lines are missing from here on".to_owned())
            }
            (false, true) => state.differ(line, "lines are too many from here on".to_owned()),
        }
        state.sum(has_expected.then_some(&expected), has_record.then_some(&record));
        has_expected = has_expected && written.read_byte_record(&mut expected)?;
    }
    if marks.is_empty() {
        marks.push("other quotes");
    }
    Ok(state.finish(marks))
}

fn reader<R: Read>(input: R, delimiter: u8) -> csv::Reader<R> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(input)
}

/// The next record that is not blank: spreadsheets leave such at the end.
fn next_filled<R: Read>(reader: &mut csv::Reader<R>, record: &mut ByteRecord) -> csv::Result<bool> {
    while reader.read_byte_record(record)? {
        if record.iter().any(|cell| !cell.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

type Decoded<'a> = csv::Reader<Box<dyn Read + 'a>>;

/// Opens a file that may have been saved in another form, and says what is other about it.
fn open<'a>(
    mut found: impl Read + 'a,
    delimiter: u8,
    names: &ByteRecord,
) -> io::Result<(Decoded<'a>, Vec<&'static str>)> {
    const BEGINNING: u64 = 1 << 16;
    let mut start = Vec::new();
    found.by_ref().take(BEGINNING).read_to_end(&mut start)?;
    let mut marks = Vec::new();
    match start.as_slice() {
        [0xef, 0xbb, 0xbf, ..] => marks.push("a byte-order mark"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => marks.push("UTF-16"),
        _ => {}
    }
    let mut decoder = DecodeReaderBytesBuilder::new();
    decoder.utf8_passthru(true).strip_bom(true);
    let mut beginning = Vec::new();
    decoder.build(start.as_slice()).read_to_end(&mut beginning)?;
    let is_named = |delimiter: u8| {
        let mut first = ByteRecord::new();
        let _ = reader(beginning.as_slice(), delimiter).read_byte_record(&mut first);
        first.iter().zip(names).filter(|(a, b)| a == b).count()
    };
    let others = [b',', b';', b'\t'].into_iter().filter(|other| *other != delimiter);
    // Where none is better, it is as it was.
    let used =
        others.fold(delimiter, |best, other| if is_named(other) > is_named(best) { other } else { best });
    if used != delimiter {
        marks.push(match used {
            b';' => "; between the cells",
            b',' => ", between the cells",
            _ => "tabs between the cells",
        });
    }
    if beginning.contains(&b'\r') {
        marks.push("other line ends");
    }
    if std::str::from_utf8(&beginning).is_err_and(|fault| fault.error_len().is_some()) {
        marks.push("another encoding");
    }
    let whole = io::Cursor::new(start).chain(found);
    let whole = LineFeeds { input: decoder.build(whole), after_cr: false };
    Ok((reader(Box::new(whole), used), marks))
}

/// Text in which every line ends with LF, so that lines are counted alike whatever their ends were.
struct LineFeeds<R> {
    input: R,
    after_cr: bool,
}

impl<R: Read> Read for LineFeeds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.input.read(buffer)?;
            let mut kept = 0;
            for place in 0..count {
                let byte = buffer[place];
                if byte == b'\n' && self.after_cr {
                    self.after_cr = false;
                    continue;
                }
                self.after_cr = byte == b'\r';
                buffer[kept] = if self.after_cr { b'\n' } else { byte };
                kept += 1;
            }
            // Nothing is the end; a lone LF behind a CR is not.
            if kept > 0 || count == 0 {
                return Ok(kept);
            }
        }
    }
}

struct State {
    names: ByteRecord,
    form: Form,
    differs: Option<Difference>,
    /// The hashes of all lines that were written, and of all that are found, whatever their order.
    sums: [u64; 2],
}

impl State {
    fn pair(&mut self, written: &ByteRecord, found: &ByteRecord, line: u64) {
        for place in 0..written.len().max(found.len()) {
            let (written, found) =
                (written.get(place).unwrap_or_default(), found.get(place).unwrap_or_default());
            if written == found {
                continue;
            }
            let (written, found) = (text(written), text(found));
            let likeness = likeness(&written, &found);
            if likeness == Likeness::Same {
                continue;
            }
            let name = clip(&clean(&text(self.names.get(place).unwrap_or_default())), 60);
            let show = |text: &str| format!("“{}”", clip(&clean(text), 60));
            let what = format!("{name} is {} and was {}", show(&found), show(&written));
            if likeness == Likeness::Other {
                return self.differ(line, what);
            }
            self.form.reformatted += 1;
            self.form.first.get_or_insert(Difference { line, what });
        }
    }

    fn differ(&mut self, line: u64, what: String) {
        self.differs.get_or_insert(Difference { line, what });
    }

    fn sum(&mut self, written: Option<&ByteRecord>, found: Option<&ByteRecord>) {
        for (sum, record) in self.sums.iter_mut().zip([written, found]) {
            *sum = sum.wrapping_add(record.map_or(0, hash));
        }
    }

    fn finish(self, marks: Vec<&'static str>) -> Comparison {
        match self.differs {
            None => Comparison::SavedAgain(Form { marks, ..self.form }),
            Some(_) if self.sums[0] == self.sums[1] => Comparison::Sorted,
            Some(difference) => Comparison::Differs(difference),
        }
    }
}

/// The hash of a line, whatever its form: blank cells at its end do not count.
fn hash(record: &ByteRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    let filled = record.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    record.iter().take(filled).for_each(|cell| text(cell).hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "row,email,status,note\n1,a@x.de,ok,007\n2,b@x.de,failed,\"x, y\"\n3,c@x.de,ok,\n";

    fn compared(found: impl AsRef<[u8]>) -> Comparison {
        compare(WRITTEN.as_bytes(), b',', found.as_ref()).unwrap()
    }

    fn saved(found: impl AsRef<[u8]>) -> (Vec<&'static str>, u64) {
        match compared(found) {
            Comparison::SavedAgain(form) => (form.marks, form.reformatted),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_form_of_the_same_table_is_seen_as_such() {
        assert_eq!(saved(WRITTEN.replace('\n', "\r\n")), (vec!["other line ends"], 0));
        assert_eq!(saved(format!("\u{feff}{WRITTEN}")), (vec!["a byte-order mark"], 0));
        assert_eq!(saved(WRITTEN.replace("ok", "\"ok\"")), (vec!["other quotes"], 0));
        let semicolons = "row;email;status;note\n1;a@x.de;ok;7\n2;b@x.de;failed;x, y\n3;c@x.de;ok;\n;;;\n";
        assert_eq!(saved(semicolons), (vec!["; between the cells"], 1));
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(
                WRITTEN.replace(',', "\t").replace("x\t y", "x, y").encode_utf16().flat_map(u16::to_le_bytes),
            )
            .collect();
        assert_eq!(saved(utf16), (vec!["UTF-16", "tabs between the cells"], 0));
        assert_eq!(
            compared(WRITTEN.replace("3,c@x.de,ok,\n", "").replace("1,a", "3,c@x.de,ok,\n1,a")),
            Comparison::Sorted
        );
    }

    #[test]
    fn the_first_line_that_says_something_else_is_named() {
        let differs = |found: String| match compared(found) {
            Comparison::Differs(difference) => (difference.line, difference.what),
            other => panic!("{other:?}"),
        };
        let (line, what) = differs(WRITTEN.replace("failed", "ok").replace('\n', "\r\n"));
        assert_eq!((line, what.as_str()), (3, "status is “ok” and was “failed”"));
        assert_eq!(differs(WRITTEN.replace("email", "e-mail")).0, 1);
        assert_eq!(differs(WRITTEN.replace("3,c@x.de,ok,\n", "")).1, "lines are missing from here on");
        let (line, what) = differs(format!("{WRITTEN}4,d@x.de,ok,\n"));
        assert_eq!((line, what.as_str()), (5, "lines are too many from here on"));
        assert_eq!(differs(WRITTEN.replace("2,b@x.de,failed,\"x, y\"\n", "")).0, 3);
        assert_eq!(differs(WRITTEN.replace("failed", "ok").replace('\n', "\r")).0, 3);
        assert_eq!(differs(String::new()).1, "lines are missing from here on");
        assert_eq!(differs(WRITTEN.replace("x, y", "x, y\u{1b}[2J")).1, "note is “x, y [2J” and was “x, y”");
    }
}
