//! What columns are found, and what is said where they cannot be.

use super::*;

fn detect(text: impl Into<Vec<u8>>, options: &InputOptions) -> Layout {
    Layout::detect(&Source::bytes(text), options).unwrap().unwrap()
}

fn fault(text: impl Into<Vec<u8>>, options: &InputOptions) -> HeaderFault {
    match Layout::detect(&Source::bytes(text), options).unwrap_err().faults() {
        [Fault { row: None, line: 1, what: FaultKind::Header(fault) }] => fault.clone(),
        other => panic!("{other:?}"),
    }
}

fn no_header() -> InputOptions {
    InputOptions { no_header: true, ..InputOptions::default() }
}

#[test]
fn columns_are_found_in_any_order_case_and_delimiter() {
    for (header, delimiter, columns) in [
        ("email,action,channel", b',', (0, Some(1), Some(2))),
        ("email;action;channel", b';', (0, Some(1), Some(2))),
        ("email\taction\tchannel", b'\t', (0, Some(1), Some(2))),
        ("Channel , ACTION,\"E\", Mailbox ", b',', (3, Some(1), Some(0))),
        ("ADDRESS", b',', (0, None, None)),
        ("\"email\";\"note, long\";\"action\"", b';', (0, Some(2), None)),
        ("a,b,c;email;x", b';', (1, None, None)),
        ("customer;note, internal, old;email", b';', (2, None, None)),
        ("a,b,c,d,e;email;action", b';', (1, Some(2), None)),
        ("\u{feff}email,action", b',', (0, Some(1), None)),
    ] {
        let layout = detect(header, &InputOptions::default());
        assert_eq!(layout.delimiter(), delimiter, "{header}");
        assert_eq!((layout.email, layout.action, layout.channel), columns, "{header}");
        assert!(layout.header().is_some());
    }
}

#[test]
fn the_delimiter_flag_decides() {
    let options = InputOptions { delimiter: Some(b';'), ..InputOptions::default() };
    assert_eq!(detect("note,x;email", &options).email, 1);
    assert!(matches!(fault("email,action", &options), HeaderFault::NoEmail { .. }));
}

#[test]
fn a_column_that_is_likely_meant_is_named() {
    let told = |header: &str| fault(header, &InputOptions::default()).to_string();
    for header in ["E-Mail;x", "x,e_mail", "E-mail Address,x", "emial,x", "Mail\tx", "eMails,x"] {
        let column = header.split([';', ',', '\t']).find(|name| *name != "x").unwrap();
        let told = told(header);
        assert!(told.contains(&format!("Rename “{column}” to email")), "{header}: {told}");
    }
    for header in ["user,action", "customer;state", "name"] {
        assert!(told(header).contains(" Name one so, or put the line"), "{header}");
    }
}

#[test]
fn a_file_of_addresses_is_a_bare_list() {
    for text in ["a@example.com\nb@example.com", "a@example.com", "\"a@example.com\"\r", "a@example.com;;;\n"]
    {
        let layout = detect(text, &InputOptions::default());
        assert_eq!((layout.header(), layout.columns, layout.action, layout.channel), (None, 1, None, None));
        assert!(layout.other_columns().is_empty());
    }
}

#[test]
fn without_a_header_the_run_stops_and_says_so() {
    for text in ["a@example.com,suspend,login", "a@example.com;suspend", "Anna,a@example.com,x"] {
        let fault = fault(text, &InputOptions::default());
        assert!(matches!(fault, HeaderFault::Data { .. }), "{fault}");
        assert!(fault.to_string().contains("--no-header"), "{fault}");
    }
}

#[test]
fn no_header_takes_the_columns_in_order() {
    for (text, delimiter, others) in [
        ("a@example.com", b',', &[][..]),
        ("a@example.com,suspend", b',', &[]),
        ("a@example.com;suspend;login+incoming", b';', &[]),
        ("a@example.com\tsuspend\tlogin,incoming\tx\ty", b'\t', &["column_4", "column_5"]),
    ] {
        let layout = detect(text, &no_header());
        assert_eq!((layout.delimiter(), layout.header()), (delimiter, None), "{text}");
        assert_eq!((layout.email, layout.action, layout.channel), (0, Some(1), Some(2)), "{text}");
        assert_eq!(layout.other_columns(), others);
    }
    assert_eq!(fault("email,action,channel", &no_header()), HeaderFault::Unexpected);
}

#[test]
fn a_header_without_an_address_column_lists_what_there_is() {
    let text = fault("user,action,\u{1b}[31m", &InputOptions::default()).to_string();
    assert!(text.contains("“user”, “action”, “[31m”"), "{text}");
    let many: Vec<_> = (1..=12).map(|n| format!("c{n}")).collect();
    let text = fault(many.join(";"), &InputOptions::default()).to_string();
    assert!(text.contains("“c10” and 2 more") && !text.contains("c11"), "{text}");
}

#[test]
fn two_columns_for_the_same_thing_are_both_named() {
    for (header, names) in [
        ("email,action,Address", "columns 1 (“email”) and 3 (“Address”) both give the mailbox"),
        ("mailbox;email", "columns 1 (“mailbox”) and 2 (“email”)"),
        ("action,email,Action", "columns 1 (“action”) and 3 (“Action”) both give the action"),
        ("email,channel,channel", "columns 2 (“channel”) and 3 (“channel”) both give the channel"),
    ] {
        let text = fault(header, &InputOptions::default()).to_string();
        assert!(text.contains(names) && text.contains("rename one"), "{text}");
    }
}

#[test]
fn what_is_no_text_is_told_apart() {
    let utf16: Vec<u8> = "email,action".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(fault(utf16.clone(), &InputOptions::default()), HeaderFault::Nul);
    assert_eq!(fault(utf16, &no_header()), HeaderFault::Nul);
    assert_eq!(fault(&b"email,stra\xdfe"[..], &InputOptions::default()), HeaderFault::NotUtf8);
    assert_eq!(fault("email,\"x\"y", &InputOptions::default()), HeaderFault::Misquoted);
}

#[test]
fn columns_are_limited_on_both_sides() {
    let header = |count: usize| format!("email{}", ",".repeat(count - 1));
    assert_eq!(detect(header(1024), &InputOptions::default()).columns, 1024);
    assert_eq!(fault(header(1025), &InputOptions::default()), HeaderFault::TooMany(1025));
}

#[test]
fn other_columns_never_clash_in_the_results() {
    for (header, names) in [
        ("email,note,customer", &["note", "customer"][..]),
        ("email, Note ,Status", &["Note", "Status"]),
        ("email,status,row,server,account", &["input.status", "input.row", "input.server", "input.account"]),
        ("email,,", &["column_2", "column_3"]),
        ("email,note,note,note", &["note", "note_2", "note_3"]),
        ("email,note,note,note_2", &["note", "note_3", "note_2"]),
        ("email,,column_2", &["column_2_2", "column_2"]),
        ("email,status,input.status", &["input.status", "input.status_2"]),
    ] {
        assert_eq!(detect(header, &InputOptions::default()).other_columns(), names, "{header}");
    }
}

#[test]
fn blank_lines_and_comments_may_stand_before_the_header() {
    let layout =
        detect("# list of May; by Anna, a@example.com\n\n;;;\nnote;email\n", &InputOptions::default());
    assert_eq!((layout.delimiter(), layout.email), (b';', 1));
    for text in ["", "\n\r\n", "# only this", ";;;\n", "\u{feff}", ",,"] {
        let found = Layout::detect(&Source::bytes(text), &InputOptions::default()).unwrap();
        assert_eq!(found, None, "{text:?}");
    }
}
