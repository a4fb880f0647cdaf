//! The scanner against tables, its limits, and the `csv` crate's reader.

use proptest::prelude::*;

use super::*;

type Found = (u64, Vec<String>);

fn scan(text: &[u8], delimiter: u8) -> Result<Vec<Found>, ReadError> {
    // One byte at a time: every boundary between two reads is met.
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }
    let mut scanner = Scanner::new(Drip(text), delimiter);
    let mut record = Record::default();
    let mut found = Vec::new();
    while scanner.next(&mut record)? {
        found.push((record.line(), record.cells().map(str::to_owned).collect()));
    }
    Ok(found)
}

fn broken(text: &[u8]) -> (u64, Broken) {
    match scan(text, b',') {
        Err(ReadError::Broken { line, what }) => (line, what),
        other => panic!("not broken: {other:?}"),
    }
}

#[test]
fn records_cells_and_lines() {
    for (text, expected) in [
        ("", &[][..]),
        ("a", &[(1, &["a"][..])]),
        ("a,b\nc\n", &[(1, &["a", "b"]), (2, &["c"])]),
        ("a,\n,b", &[(1, &["a", ""]), (2, &["", "b"])]),
        ("\n\na\n \n,,\n\u{a0},\t\nb", &[(3, &["a"]), (7, &["b"])]),
        ("# x, \"y\na\n#\n#\"\nb#,#c\n #d", &[(2, &["a"]), (5, &["b#", "#c"]), (6, &[" #d"])]),
        ("\"#a\",b", &[(1, &["#a", "b"])]),
        ("\"a,b\",c", &[(1, &["a,b", "c"])]),
        ("\"a\"\"b\",\"\"\n\"\"\"\",x", &[(1, &["a\"b", ""]), (2, &["\"", "x"])]),
        ("\"a\nb\r\nc\rd\",x\ne", &[(1, &["a\nb\r\nc\rd", "x"]), (5, &["e"])]),
        ("5\" pipe,b", &[(1, &["5\" pipe", "b"])]),
        ("\"a\" ,b", &[(1, &["a ", "b"])]),
    ] {
        let expected: Vec<Found> = expected
            .iter()
            .map(|(line, cells)| (*line, cells.iter().map(|cell| (*cell).to_owned()).collect()))
            .collect();
        assert_eq!(scan(text.as_bytes(), b',').unwrap(), expected, "{text:?}");
    }
}

#[test]
fn every_line_end_gives_the_same_lines() {
    let text = "# note\n\na,b\n\"c\nd\",e\n#\nf";
    let lines = |text: &str| -> Vec<u64> {
        scan(text.as_bytes(), b',').unwrap().iter().map(|(line, _)| *line).collect()
    };
    assert_eq!(lines(text), [3, 4, 7]);
    assert_eq!(lines(&text.replace('\n', "\r\n")), [3, 4, 7]);
    assert_eq!(lines(&text.replace('\n', "\r")), [3, 4, 7]);
}

#[test]
fn an_open_quote_swallows_nothing_without_a_word() {
    assert_eq!(broken(b"a\nb,\"c\nd\ne\n"), (2, Broken::OpenQuote));
    assert_eq!(broken(b"\""), (1, Broken::OpenQuote));
    assert_eq!(broken(b"a,\"\"\""), (1, Broken::OpenQuote));
    assert_eq!(broken(b"a,\"b\nc,d\ne,\"f\ng"), (1, Broken::Misquoted));
}

#[test]
fn text_behind_a_closing_quote_is_marked() {
    for (text, marked) in [("\"a\"b", true), ("\"a\" \"b\"", true), ("\"a\"\t", false), ("a\"b\"c", false)] {
        let mut record = Record::default();
        assert!(Scanner::new(text.as_bytes(), b',').next(&mut record).unwrap());
        assert_eq!(record.misquoted, marked, "{text}");
    }
}

#[test]
fn lines_are_limited_on_both_sides() {
    let lines = |count: usize| format!("x\na,\"{}\"", "\n".repeat(count - 1));
    assert!(scan(lines(100).as_bytes(), b',').is_ok());
    assert_eq!(broken(lines(101).as_bytes()), (2, Broken::ManyLines));
}

#[test]
fn bytes_are_limited_on_both_sides() {
    for long in [
        |size: usize| format!("x\n{}", "a".repeat(size)),
        |size: usize| format!("x\na{}", ",".repeat(size - 1)),
        |size: usize| format!("x\n\"{}\"", "a".repeat(size)),
        |size: usize| format!("x\n\"{}\"", "\"\"".repeat(size)),
    ] {
        assert!(scan(long(MAX_BYTES - 1).as_bytes(), b',').is_ok());
        assert_eq!(broken(long(MAX_BYTES).as_bytes()), (2, Broken::Long));
    }
}

#[test]
fn an_input_without_end_ends_in_an_error() {
    for filling in [b'a', b',', b'"', b' ', b'\0', 0xff] {
        let start = if filling == b'"' { "x,\"\"" } else { "x," };
        let mut scanner = Scanner::new(start.as_bytes().chain(io::repeat(filling)), b',');
        let mut record = Record::default();
        let error = scanner.next(&mut record).unwrap_err();
        assert!(matches!(error, ReadError::Broken { line: 1, what: Broken::Long }), "{filling}: {error}");
        assert!(record.text.capacity() <= 4 * MAX_BYTES);
    }
}

#[test]
fn bytes_that_are_not_utf8_are_marked_and_replaced_cell_by_cell() {
    let mut record = Record::default();
    let mut scanner = Scanner::new(&b"a\xe9,b\n\xc3,\xa9\nc\xc3\xa9"[..], b',');
    assert!(scanner.next(&mut record).unwrap());
    assert_eq!((record.utf8, record.cell(0), record.cell(1)), (false, "a\u{fffd}", "b"));
    // Two halves of one character in two cells are no character.
    assert!(scanner.next(&mut record).unwrap());
    assert_eq!((record.utf8, record.cell(0), record.cell(1)), (false, "\u{fffd}", "\u{fffd}"));
    assert!(scanner.next(&mut record).unwrap());
    assert_eq!((record.utf8, record.cell(0), record.cell(1)), (true, "cé", ""));
}

#[test]
fn encodings_are_told_by_their_mark() {
    let text = "é,ü\nx";
    let utf16 = |to_bytes: fn(u16) -> [u8; 2], mark: [u8; 2]| -> Vec<u8> {
        mark.into_iter().chain(text.encode_utf16().flat_map(to_bytes)).collect()
    };
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        utf16(u16::to_le_bytes, [0xff, 0xfe]),
        utf16(u16::to_be_bytes, [0xfe, 0xff]),
    ] {
        let mut decoded = String::new();
        decode(&bytes[..]).read_to_string(&mut decoded).unwrap();
        assert_eq!(decoded, text);
    }
    for mark in [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"] {
        assert!(!Scanner::new(decode(mark), b',').next(&mut Record::default()).unwrap(), "{mark:x?}");
    }
}

proptest! {
    #[test]
    fn what_csv_writes_is_read_back(
        rows in prop::collection::vec(prop::collection::vec("[a\"#,;\t\r\n é]{0,6}", 1..5), 0..6),
        delimiter in prop::sample::select(&b",;\t"[..]),
    ) {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter).comment(Some(b'#')).flexible(true).from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let found: Vec<_> = scan(&bytes, delimiter).unwrap().into_iter().map(|(_, cells)| cells).collect();
        let expected: Vec<_> =
            rows.into_iter().filter(|row| row.iter().any(|cell| !cell.trim().is_empty())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn it_agrees_with_csv_on_anything_that_it_accepts(text in "([a\",\r\n]|\"\"|\",\"){0,30}") {
        if let Ok(found) = scan(text.as_bytes(), b',') {
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false).flexible(true).from_reader(text.as_bytes());
            let expected: Vec<Vec<String>> = reader.records()
                .map(|record| record.unwrap().iter().map(str::to_owned).collect())
                .filter(|row: &Vec<String>| row.iter().any(|cell| !cell.trim().is_empty()))
                .collect();
            prop_assert_eq!(found.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn any_bytes_end_in_records_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(found) = scan(&bytes, b',') {
            prop_assert!(found.len() <= bytes.len());
        }
    }
}
