use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};

use super::*;
use crate::domain::Status;
use crate::record::Entry;
use crate::view::made_up_tests::MadeUp;

fn book(run: &MadeUp, rows_per_sheet: u32) -> Xlsx<Cursor<Vec<u8>>> {
    let told = run.told();
    let place = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    write(&told.report(run), &run.material(), place.path(), &mut bytes, rows_per_sheet).unwrap();
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing is left behind");
    Xlsx::new(Cursor::new(bytes)).unwrap()
}

/// A sheet's rows.
fn sheet(book: &mut Xlsx<Cursor<Vec<u8>>>, name: &str) -> Vec<Vec<Data>> {
    let range = book.worksheet_range(name).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    range.rows().map(<[Data]>::to_vec).collect()
}

fn text(data: &Data) -> &str {
    match data {
        Data::String(text) => text,
        Data::Empty => "",
        other => panic!("{other:?} is no text"),
    }
}

#[test]
fn numbers_and_times_are_such_and_all_else_is_text_even_what_looks_like_more() {
    let mut run = MadeUp::new(
        "a@example.com,suspend,login,=HYPERLINK(1)\nb@example.com,suspend,login,https://x.example\n\
         =1+1,suspend,login,4711\n",
    );
    run.ends(0, 1000, Status::Ok, None, "");
    run.ends(1, 2000, Status::Failed, Some(ErrorClass::Api), "=cmd|' /C calc'!A0");
    let mut book = book(&run, ROWS_PER_SHEET);
    assert_eq!(book.sheet_names(), ["summary", "operations", "mailboxes"]);
    let rows = sheet(&mut book, "operations");
    let names: Vec<&str> = rows[0].iter().map(text).collect();
    assert_eq!(names.len(), OPERATIONS.len() + 1);
    let at = |row: usize, name: &str| &rows[row][names.iter().position(|known| *known == name).unwrap()];
    assert_eq!(at(1, "Row"), &Data::Float(1.0));
    assert_eq!((text(at(1, "Mailbox")), text(at(1, "Status"))), ("a@example.com", "ok"));
    let Data::DateTime(started) = at(1, "Started (UTC)") else { panic!("{:?}", at(1, "Started (UTC)")) };
    // 2026-11-23 is day 46349 of a spreadsheet; 19:00:01.
    let expected = 46349.0 + (19.0 * 3600.0 + 1.0) / 86400.0;
    assert!((started.as_f64() - expected).abs() < 1e-8, "{}", started.as_f64());
    assert_eq!(at(1, "Duration (ms)"), &Data::Float(50.0));
    assert_eq!(at(3, "HTTP status"), &Data::Empty);
    assert_eq!(text(at(2, "Error")), "=cmd|' /C calc'!A0");
    assert_eq!(text(at(1, "ticket")), "=HYPERLINK(1)");
    assert_eq!(text(at(2, "ticket")), "https://x.example");
    assert_eq!(text(at(3, "ticket")), "4711", "the input's own columns stay as they are");
    assert_eq!(text(at(3, "Mailbox")), "=1+1");
    for name in ["summary", "operations", "mailboxes"] {
        let formulas = book.worksheet_formula(name).unwrap();
        assert!(formulas.rows().flatten().all(String::is_empty), "{name} has a formula");
    }
}

#[test]
fn a_full_sheet_is_followed_by_another_with_the_same_header() {
    let rows: String = (0..7).map(|i| format!("u{i}@example.com,suspend,login,1\n")).collect();
    let mut run = MadeUp::new(&rows);
    (0..7).for_each(|op| run.ends(op, 10, Status::Ok, None, ""));
    let mut book = book(&run, 4);
    let names = book.sheet_names();
    let operations: Vec<_> = names.iter().filter(|name| name.starts_with("operations")).cloned().collect();
    assert_eq!(operations, ["operations", "operations 2", "operations 3"]);
    let sheets: Vec<_> = operations.iter().map(|name| sheet(&mut book, name)).collect();
    assert_eq!(sheets.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert!(sheets.iter().all(|rows| rows[0] == sheets[0][0]), "each has the header");
    let mailboxes: Vec<&str> = sheets.iter().flat_map(|rows| &rows[1..]).map(|row| text(&row[1])).collect();
    assert_eq!(mailboxes, (0..7).map(|i| format!("u{i}@example.com")).collect::<Vec<_>>());
}

#[test]
fn what_a_later_run_takes_back_is_not_told_as_if_it_stood() {
    let mut run = MadeUp::new("a@example.com,suspend,login+outgoing,1\nb@example.com,suspend,login,1\n");
    (0..3).for_each(|op| run.ends(op, 1000, Status::Ok, None, ""));
    run.note(Entry::Undone { at: Stamp(0), by: "later-run".into(), dir: String::new(), ops: vec![(1, 2)] });
    let mut book = book(&run, ROWS_PER_SHEET);
    let rows = sheet(&mut book, "operations");
    let column = rows[0].iter().position(|name| text(name) == "Given to the undo").unwrap();
    let by: Vec<&str> = rows[1..].iter().map(|row| text(&row[column])).collect();
    assert_eq!(by, ["", "later-run", "later-run"]);
    let rows = sheet(&mut book, "mailboxes");
    let told: Vec<[&str; 4]> =
        rows[1..].iter().map(|r| [3, 5, 7, 9].map(|column| text(&r[column]))).collect();
    let since = "Logging in has been shut since 2026-11-23 19:00 UTC.";
    let undone = |what| {
        format!("What was done about {what} is being taken back: how it stands now, the report on that says.")
    };
    let (first, second) = (format!("{since} {}", undone("sending mail")), undone("logging in"));
    let expected = [
        ["shut", "see the undo", "partly, and see the undo", first.as_str()],
        ["see the undo", "", "see the undo", second.as_str()],
    ];
    assert_eq!(told, expected);
}

#[test]
fn every_mailbox_has_a_line_that_can_be_read_out() {
    let mut run = MadeUp::new(
        "a@example.com,suspend,login+outgoing,1\nb@example.com,suspend,login+outgoing,1\n\
         c@example.com,suspend,all,1\nd@example.com,unsuspend,login,1\ne@example.com,hold,outgoing,1\n\
         f@example.com,suspend,login,1\nnot an address,suspend,login,1\n",
    );
    run.ends(0, 1000, Status::Ok, None, "");
    run.ends(1, 61_000, Status::Ok, None, "");
    run.ends(2, 1000, Status::Failed, Some(ErrorClass::NoSuchMailbox), "x");
    run.ends(3, 61_000, Status::Ok, None, "");
    run.ends(4, 1000, Status::Unknown, Some(ErrorClass::Timeout), "x");
    run.tried(5, 1000, ErrorClass::Connect);
    run.ends(7, 61_000, Status::Ok, None, "");
    run.ends(8, 61_000, Status::Unchanged, None, "");
    let mut book = book(&run, ROWS_PER_SHEET);
    let rows = sheet(&mut book, "mailboxes");
    let told: Vec<[&str; 7]> =
        rows[1..].iter().map(|r| [0, 3, 4, 5, 6, 7, 9].map(|column| text(&r[column]))).collect();
    let expected = [
        [
            "a@example.com",
            "shut",
            "",
            "shut",
            "",
            "yes",
            "Logging in and sending mail have been shut since 2026-11-23 19:01 UTC.",
        ],
        [
            "b@example.com",
            "not shut",
            "",
            "shut",
            "",
            "partly",
            "Sending mail has been shut since 2026-11-23 19:01 UTC. Logging in was to be shut, and was not, because the \
             server has no mailbox of this name.",
        ],
        [
            "c@example.com",
            "not known",
            "not shut",
            "not shut",
            "",
            "not known",
            "Receiving mail was to be shut, and was not, because the work was stopped before its turn. Sending mail \
             was to be shut, and was not, because the work was stopped before its turn. Whether logging in is shut \
             is not known, because the server gave no clear answer.",
        ],
        [
            "d@example.com",
            "opened",
            "",
            "",
            "",
            "yes",
            "Logging in has been open again since 2026-11-23 19:01 UTC.",
        ],
        [
            "e@example.com",
            "",
            "",
            "",
            "held",
            "yes",
            "Mail that is sent has been held back since 2026-11-23 19:01 UTC.",
        ],
        [
            "f@example.com",
            "not shut",
            "",
            "",
            "",
            "no",
            "Logging in was to be shut, and was not, because the work was stopped before its turn.",
        ],
    ];
    assert_eq!(told, expected);
    assert!(matches!(rows[1][8], Data::DateTime(_)), "{:?}", rows[1][8]);
}
