//! Whole inputs: the contract's section on the input, sentence by sentence.

use super::*;
use crate::domain::{Action, Channel};
use crate::job::{Broken, HeaderFault, Reason};
use Function::*;

fn job(text: impl Into<Vec<u8>>) -> Job {
    with(text, &InputOptions::default()).unwrap()
}

pub(super) fn with(text: impl Into<Vec<u8>>, options: &InputOptions) -> Result<Job, InputError> {
    read(&Source::bytes(text), options)
}

fn refused(text: impl Into<Vec<u8>>) -> InputError {
    with(text, &InputOptions::default()).unwrap_err()
}

/// Rows under the usual header.
fn rows(rows: &str) -> String {
    format!("email,action,channel\n{rows}\n")
}

pub(super) fn asked(job: &Job) -> Vec<(u32, &str, What)> {
    let get = |operation: &Operation| (operation.row, job.mailboxes.get(operation.mailbox), operation.what);
    job.operations.iter().map(get).collect()
}

/// Row and line of each fault.
fn places(error: &InputError) -> Vec<(Option<u32>, u64)> {
    error.faults().iter().map(|fault| (fault.row, fault.line)).collect()
}

#[test]
fn a_row_with_several_channels_is_several_operations_in_the_order_of_the_cell() {
    let job = job(rows(
        "B@Example.com,suspend,outgoing+login\n\n# x\na@example.com,hold,outgoing\nb@example.com,suspend,incoming",
    ));
    assert_eq!(
        asked(&job),
        [
            (1, "b@example.com", What::Call(SuspendOutgoing)),
            (1, "b@example.com", What::Call(SuspendLogin)),
            (2, "a@example.com", What::Call(HoldOutgoing)),
            (3, "b@example.com", What::Call(SuspendIncoming)),
        ]
    );
    assert_eq!((job.rows, job.mailboxes.len(), job.warnings.len()), (3, 2, 0));
}

#[test]
fn an_operation_is_small() {
    assert_eq!(size_of::<Operation>(), 12);
}

#[test]
fn the_hash_is_of_the_bytes_as_they_are() {
    let empty = with("", &InputOptions { allow_empty: true, ..InputOptions::default() }).unwrap();
    assert_eq!(empty.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let text = rows("a@example.com,suspend,login");
    let hash = |text: &[u8]| hex(&Sha256::digest(text));
    assert_eq!(job(text.clone()).sha256, hash(text.as_bytes()));
    let mut utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    utf16.extend(b"\n"); // half a character at the end
    let skip_invalid = InputOptions { skip_invalid: true, ..InputOptions::default() };
    assert_eq!(with(utf16.clone(), &skip_invalid).unwrap().sha256, hash(&utf16));
}

#[test]
fn faults_are_listed_with_row_and_line() {
    let text = rows(
        "a@example.com,suspend,login\nx,suspend,login\n\n# c\n\"b@example.com\n\",suspend,login\na@example.com,frob,smtp",
    );
    for text in [text.clone(), text.replace('\n', "\r\n"), text.replace('\n', "\r")] {
        let error = refused(text);
        assert_eq!(places(&error), [(Some(2), 3), (Some(4), 8)]);
        let shown = error.to_string();
        assert!(shown.contains("row 2, line 3: “x”: the address has no @"), "{shown}");
        assert!(shown.contains("2 faults") && shown.contains("--skip-invalid"), "{shown}");
    }
}

#[test]
fn fifty_faults_are_shown_and_the_rest_is_counted() {
    for (count, more) in [(50, None), (51, Some("and 1 more")), (1050, Some("and 1000 more"))] {
        let error = refused(rows(&"x,suspend,login\n".repeat(count)));
        assert_eq!((error.faults().len(), error.total_faults()), (50, count as u64));
        let shown = error.to_string();
        assert_eq!(shown.lines().filter(|line| line.contains("row ")).count(), 50);
        assert_eq!(shown.lines().find(|line| line.contains(" more")).map(str::trim), more);
    }
}

#[test]
fn a_list_of_addresses_alone_is_told_once_and_what_to_say_of_all() {
    let shown = refused("a@example.com\n".repeat(60)).to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].starts_with("  row 1, line 1: no action") && lines[1].contains("no channel"), "{shown}");
    assert_eq!(lines[2..4], ["  and the same in the next 49 faulty rows", "  and 10 more"]);
    assert!(lines[4].contains("--action suspend --channel login") && lines.len() == 5, "{shown}");
}

#[test]
fn skipped_rows_are_one_operation_each_and_are_told() {
    let options = InputOptions { skip_invalid: true, ..InputOptions::default() };
    let job =
        with(rows("x,suspend,all\na@example.com,suspend,login\na@example.com,hold,all"), &options).unwrap();
    assert_eq!(
        asked(&job),
        [(1, "", What::Invalid), (2, "a@example.com", What::Call(SuspendLogin)), (3, "", What::Invalid)]
    );
    assert_eq!(job.mailboxes.len(), 1);
    assert_eq!(job.warnings.len(), 1);
    assert!(
        job.warnings[0].starts_with("2 rows are invalid and left out: row 1, line 2: “x”"),
        "{:?}",
        job.warnings
    );
}

#[test]
fn bytes_that_are_not_utf8_are_the_fault_of_their_row() {
    let text = [rows("a@example.com,suspend,login").as_bytes(), b"b@example.com,suspend,login,\n"].concat();
    assert_eq!(with(text.clone(), &InputOptions::default()).unwrap().rows, 2);
    let text = [&text[..], b"m\xfcller@example.com,suspend,login\n"].concat();
    let error = refused(text);
    assert_eq!(places(&error), [(Some(3), 4)]);
    assert!(error.to_string().contains("iconv -f WINDOWS-1252 -t UTF-8"), "{error}");
}

#[test]
fn a_quote_that_is_never_closed_is_no_row_to_skip() {
    let text =
        rows("a@example.com,suspend,login\nb@example.com,suspend,\"login\nc@example.com,suspend,login");
    for skip_invalid in [false, true] {
        let error =
            with(text.clone(), &InputOptions { skip_invalid, ..InputOptions::default() }).unwrap_err();
        assert_eq!(places(&error), [(None, 3)]);
        assert_eq!(error.faults()[0].what, FaultKind::Broken(Broken::OpenQuote));
        assert!(error.to_string().contains("was not looked at"), "{error}");
        assert!(!error.to_string().contains("--skip-invalid"), "{error}");
    }
}

#[test]
fn a_first_record_with_an_open_quote_is_told_as_such() {
    for text in ["email,\"action\na@example.com,suspend\n", "a@example.com;\"suspend\n"] {
        assert_eq!(refused(text).faults()[0].what, FaultKind::Broken(Broken::OpenQuote), "{text}");
    }
    // A quote that opens only if the wrong delimiter is taken.
    let options = InputOptions { no_header: true, channels: vec![Channel::Login], ..InputOptions::default() };
    assert_eq!(with("a@example.com;suspend;;1,\"x\n", &options).unwrap().operations.len(), 1);
}

#[test]
fn what_ends_the_reading_is_shown_whatever_came_before() {
    let error = refused(rows(&format!("{}\"", "x,suspend,login\n".repeat(60))));
    assert_eq!((error.faults().len(), error.total_faults()), (50, 61));
    assert_eq!(error.faults().last().map(|fault| fault.line), Some(62));
}

#[test]
fn the_same_operation_again_is_a_duplicate_with_a_warning() {
    let job = job(rows(
        "a@example.com,suspend,login+outgoing\n\nA@EXAMPLE.COM,Suspend,LOGIN\nb@example.com,suspend,login\na@example.com,suspend,all",
    ));
    let whats: Vec<_> = job.operations.iter().map(|operation| operation.what).collect();
    assert_eq!(
        whats,
        [
            What::Call(SuspendLogin),
            What::Call(SuspendOutgoing),
            What::Duplicate(SuspendLogin),
            What::Call(SuspendLogin),
            What::Duplicate(SuspendLogin),
            What::Call(SuspendIncoming),
            What::Duplicate(SuspendOutgoing),
        ]
    );
    assert_eq!(
        job.warnings,
        ["3 operations repeat earlier ones and are not called: \
          row 2, line 4 (suspend login of a@example.com, as in row 1, line 2); \
          row 4, line 6 (suspend login of a@example.com, as in row 1, line 2); \
          row 4, line 6 (suspend outgoing of a@example.com, as in row 1, line 2)"]
    );
}

#[test]
fn a_warning_names_a_few_and_counts_the_rest() {
    let job = job(rows(&"a@example.com,suspend,login\n".repeat(9)));
    assert!(job.warnings[0].starts_with("8 operations repeat") && job.warnings[0].ends_with("; and 3 more"));
    assert_eq!(job.warnings[0].matches("as in row 1, line 2").count(), 5);
}

#[test]
fn opposite_operations_on_a_flag_are_a_conflict() {
    let text =
        rows("a@example.com,suspend,all\n\nb@example.com,suspend,login\nA@example.com,unsuspend,outgoing");
    let error = refused(text.clone());
    assert_eq!(places(&error), [(Some(3), 5)]);
    let shown = error.to_string();
    assert!(
        shown.contains(
            "row 3, line 5: unsuspend outgoing of a@example.com, but suspend outgoing in row 1, line 2"
        ),
        "{shown}"
    );
    assert!(shown.contains("--allow-conflicts") && !shown.contains("--skip-invalid"), "{shown}");
    assert!(with(text.clone(), &InputOptions { skip_invalid: true, ..InputOptions::default() }).is_err());

    let allowed = with(text, &InputOptions { allow_conflicts: true, ..InputOptions::default() }).unwrap();
    assert_eq!(
        allowed.operations.last().map(|operation| operation.what),
        Some(What::Call(UnsuspendOutgoing))
    );
}

#[test]
fn each_flag_of_each_mailbox_is_judged_alone() {
    for (rows_text, conflicts) in [
        ("a@example.com,suspend,login\na@example.com,unsuspend,incoming", 0),
        ("a@example.com,suspend,outgoing\na@example.com,release,outgoing", 0),
        ("a@example.com,hold,outgoing\na@example.com,unsuspend,outgoing", 0),
        ("a@example.com,hold,outgoing\na@example.com,release,outgoing", 1),
        ("a@example.com,suspend,login\nb@example.com,unsuspend,login", 0),
        ("a@example.com,suspend,all\na@example.com,unsuspend,all", 3),
        ("a@example.com,suspend,login\na@example.com,unsuspend,login\na@example.com,suspend,login", 2),
    ] {
        let outcome = with(rows(rows_text), &InputOptions::default());
        let found = outcome.as_ref().err().map_or(0, InputError::total_faults);
        assert_eq!(found, conflicts, "{rows_text}");
    }
}

#[test]
fn with_an_opposite_one_between_it_is_no_duplicate() {
    let options = InputOptions { allow_conflicts: true, ..InputOptions::default() };
    let text = "a@example.com,suspend,login\na@example.com,suspend,login\na@example.com,unsuspend,login\na@example.com,suspend,login\na@example.com,suspend,login";
    let job = with(rows(text), &options).unwrap();
    let whats: Vec<_> = job.operations.iter().map(|operation| operation.what).collect();
    assert_eq!(
        whats,
        [
            What::Call(SuspendLogin),
            What::Duplicate(SuspendLogin),
            What::Call(UnsuspendLogin),
            What::Call(SuspendLogin),
            What::Duplicate(SuspendLogin),
        ]
    );
    assert!(job.warnings[0].contains("row 5, line 6 (suspend login of a@example.com, as in row 4, line 5)"));
}

#[test]
fn an_input_without_a_row_must_not_pass_for_a_clean_sweep() {
    for text in ["", "\n", "# x\n", "email,action,channel\n", "\u{feff}email;;\r\n\r\n;;\r\n"] {
        let error = refused(text);
        assert!(matches!(error, InputError::Empty { .. }), "{text:?}: {error}");
        assert!(error.to_string().contains("--allow-empty"));
        let job = with(text, &InputOptions { allow_empty: true, ..InputOptions::default() }).unwrap();
        assert!(job.operations.is_empty() && job.mailboxes.is_empty() && job.rows == 0);
    }
    let allowed = InputOptions { allow_empty: true, ..InputOptions::default() };
    assert!(with("user,action\n", &allowed).is_err(), "a header without addresses is no empty list");
}

#[test]
fn a_bare_list_needs_the_two_flags_only() {
    let options = InputOptions {
        action: Some(Action::Suspend),
        channels: vec![Channel::Login],
        ..InputOptions::default()
    };
    let job = with("# leaked\na@example.com\r\n\r\nb@example.com", &options).unwrap();
    assert_eq!(
        asked(&job),
        [(1, "a@example.com", What::Call(SuspendLogin)), (2, "b@example.com", What::Call(SuspendLogin))]
    );
    let error = refused("a@example.com\n");
    let FaultKind::Row(fault) = &error.faults()[0].what else { panic!("{error}") };
    assert_eq!(fault.reasons(), [Reason::NoAction, Reason::NoChannel]);
    assert!(error.to_string().contains("--action suspend") && error.to_string().contains("--channel login"));
}

#[test]
fn columns_for_servers_are_ordinary_other_columns() {
    let job = job("email,action,channel,server,account\na@example.com,suspend,login,web01,exampleu\n");
    assert_eq!(job.layout.other_columns(), ["input.server", "input.account"]);
}

#[test]
fn a_header_fault_names_the_file_and_the_line() {
    let error = refused("# x\n\nuser;action\n");
    assert!(matches!(error.faults()[0].what, FaultKind::Header(HeaderFault::NoEmail { .. })));
    assert!(
        error.to_string().starts_with("input has 1 fault:\n  line 3: no column is named email"),
        "{error}"
    );
}

#[test]
fn limits_are_errors_on_both_sides() {
    let within = |operations, address_bytes| {
        let text = rows("a@example.com,suspend,login+outgoing\nb@example.com,suspend,login");
        read_within(&Source::bytes(text), &InputOptions::default(), Limits { operations, address_bytes })
    };
    assert!(within(3, 26).is_ok());
    assert!(matches!(within(2, 26), Err(InputError::TooLarge { .. })));
    assert!(matches!(within(3, 25), Err(InputError::TooLarge { .. })));
}

#[test]
fn an_input_that_breaks_off_is_an_error_not_a_shorter_job() {
    struct Torn;
    impl Read for Torn {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("torn"))
        }
    }
    let mut hashing = Hashing { input: (&b"email\na@example.com\n"[..]).chain(Torn), hash: Sha256::new() };
    let layout = Layout::empty();
    let mut rows = layout.rows(&mut hashing);
    while let Ok(Some(_)) = rows.next() {}
    assert!(matches!(rows.next(), Err(ReadError::Io(_))));
}

#[test]
fn the_samples_are_what_they_say() {
    let sample = |name: &str| Source::file(format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let breach = read(&sample("breach.csv"), &InputOptions::default()).unwrap();
    assert_eq!((breach.rows, breach.operations.len(), breach.mailboxes.len()), (22, 39, 20));
    assert!(breach.warnings.is_empty());

    let suspend_login = InputOptions {
        action: Some(Action::Suspend),
        channels: vec![Channel::Login],
        ..InputOptions::default()
    };
    let addresses = read(&sample("addresses.txt"), &suspend_login).unwrap();
    assert_eq!((addresses.rows, addresses.operations.len(), addresses.warnings.len()), (8, 8, 0));

    let spreadsheet = read(&sample("spreadsheet.csv"), &InputOptions::default()).unwrap();
    assert_eq!((spreadsheet.rows, spreadsheet.operations.len()), (6, 9));
    assert_eq!(spreadsheet.layout.other_columns(), ["Customer", "Note"]);
    let source = sample("spreadsheet.csv");
    let mut rows = spreadsheet.layout.rows(source.open().unwrap());
    let first: Vec<_> = rows.next().unwrap().unwrap().others().map(str::to_owned).collect();
    assert_eq!(first, ["Berger & Söhne", "phished; see ticket 4711"]);
}
