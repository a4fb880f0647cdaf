//! The closing texts, as they are read.

use super::*;
use crate::record::SessionFigures;

fn failure(row: u32, class: ErrorClass, error: &str) -> FailureLine {
    FailureLine {
        row,
        mailbox: format!("user{row}@example.com"),
        action: Some(Action::Suspend),
        channel: Some(Channel::Login),
        status: Status::Failed,
        class: Some(class),
        error: error.into(),
    }
}

fn example() -> (Summary, Closing) {
    let figures = Summary {
        run_id: "20260801T120000Z-leak".into(),
        exit_code: 1,
        started_at: "2026-08-01T12:00:00.000Z".into(),
        ended_at: "2026-08-01T12:41:40.000Z".into(),
        operations: 25_000,
        counts: [(Status::Ok, 24_100), (Status::Unchanged, 748), (Status::Failed, 152)].into(),
        verified: 24_100,
        error_classes: [(ErrorClass::NoSuchMailbox, 150), (ErrorClass::Timeout, 2)].into(),
        channels: Default::default(),
        sessions_ended: None,
        undone: Vec::new(),
        servers: Vec::new(),
        sessions: Vec::new(),
        chain: None,
    };
    let closing = Closing {
        first_failures: vec![
            failure(17, ErrorClass::NoSuchMailbox, "The account does not exist."),
            failure(203, ErrorClass::Timeout, "no answer within 60s"),
        ],
        failures_in_all: 152,
        files: vec![
            ("results".into(), "my runs/leak/results.csv".into()),
            ("unfinished".into(), "my runs/leak/unfinished.csv".into()),
        ],
        later: vec![("take it back", "mailsweep undo 'my  runs/leak'".into())],
        resume_command: Some("mailsweep resume 'my  runs/leak' --retry-failed".into()),
        stopped_because: None,
        left: Default::default(),
        tolerated: Classes::NONE,
        halted: vec![("web02".into(), "401: token refused".into())],
        elapsed: Duration::from_secs(2500),
    };
    (figures, closing)
}

#[test]
fn the_closing_text_says_how_why_where_and_what_next() {
    let (figures, closing) = example();
    let text = "\
Finished, not all of it well (exit code 1) after 41m 40s: 25,000 operations
  ok             24,100  all verified by a reading afterwards
  unchanged         748
  failed            152
  web02 halted: 401: token refused
Why:
  150 no_such_mailbox: the server says that there is no such mailbox; check the
    spelling, the account (--user), and whether it was deleted
  2 timeout: no whole answer came in time; give fewer --jobs or a longer
    --timeout, then resume with --retry timeout
The first 2 of 152:
  row 17 user17@example.com suspend login: failed, no_such_mailbox: The account
    does not exist.
  row 203 user203@example.com suspend login: failed, timeout: no answer within
    60s
Files:
  results     'my runs/leak/results.csv'
  unfinished  'my runs/leak/unfinished.csv'
Later:
  take it back  mailsweep undo 'my  runs/leak'
Once that is mended, to go on:
  mailsweep resume 'my  runs/leak' --retry-failed
";
    assert_eq!(summary(&figures, &closing, Style::PLAIN, 80), text);
}

#[test]
fn what_is_tolerated_needs_no_advice() {
    let (figures, mut closing) = example();
    closing.tolerated = Classes::NONE.with(ErrorClass::NoSuchMailbox);
    let text = summary(&figures, &closing, Style::PLAIN, 80);
    let told = "  150 no_such_mailbox: the server says that there is no such mailbox; tolerated\n";
    assert!(text.contains(told), "{text}");
    assert!(text.contains("resume with --retry timeout"), "{text}");
}

#[test]
fn quiet_says_the_same_in_few_lines() {
    let (figures, closing) = example();
    let text = "\
mailsweep: Finished, not all of it well (exit code 1) after 41m 40s
ok 24,100, unchanged 748, failed 152
web02 halted: 401: token refused
row 17 user17@example.com suspend login: failed, no_such_mailbox: The account does not exist.
row 203 user203@example.com suspend login: failed, timeout: no answer within 60s
and 150 more
results: 'my runs/leak/results.csv'
unfinished: 'my runs/leak/unfinished.csv'
to go on: mailsweep resume 'my  runs/leak' --retry-failed
";
    assert_eq!(summary_quiet(&figures, &closing), text);
}

#[test]
fn quiet_is_silent_when_all_is_well_and_never_above_fifteen_lines() {
    let (mut figures, mut closing) = example();
    closing.stopped_because = Some("--max-errors 100".into());
    closing.first_failures = (1..=40).map(|row| failure(row, ErrorClass::Api, "No.\nReally.")).collect();
    closing.halted = (1..=40).map(|n| (format!("web{n}"), "gone".into())).collect();
    figures.chain = Some("0".repeat(32));
    closing.files = (1..=40).map(|n| (format!("file {n}"), "x".into())).collect();
    let text = summary_quiet(&figures, &closing);
    assert_eq!(text.lines().count(), 15, "{text}");
    assert!(text.contains("\nand 38 more servers halted\n"), "{text}");
    assert!(text.contains("\nand 150 more\n"), "{text}");
    assert!(text.ends_with("--retry-failed\n"), "{text}");
    figures.exit_code = 0;
    assert_eq!(summary_quiet(&figures, &closing), "");
}

#[test]
fn a_good_end_is_short() {
    let (mut figures, _) = example();
    figures.exit_code = 0;
    figures.operations = 1;
    figures.counts = [(Status::Ok, 1)].into();
    figures.verified = 0;
    figures.error_classes.clear();
    let closing = Closing { elapsed: Duration::from_secs(3), ..Closing::default() };
    let text = summary(&figures, &closing, Style::PLAIN, 80);
    assert_eq!(text, "Done after 3s: 1 operation\n  ok             1\n");
}

#[test]
fn what_was_not_attempted_needs_no_retry_flag() {
    let (figures, mut closing) = example();
    assert!(summary(&figures, &closing, Style::PLAIN, 200).contains("then resume with --retry timeout\n"));
    closing.left = [(ErrorClass::Timeout, 2)].into();
    assert!(summary(&figures, &closing, Style::PLAIN, 200).contains("a longer --timeout, then resume\n"));
}

#[test]
fn foreign_words_cannot_move_the_cursor() {
    let (figures, mut closing) = example();
    closing.first_failures[0].mailbox = "\u{1b}[2J\r@x".into();
    closing.first_failures[0].error = "a\u{9b}2Jb\u{202e}c\n".into();
    closing.halted[0] = ("web\u{7}".into(), "\u{1b}]0;x\u{7}".into());
    closing.files[0].1 = "a\nb\u{1b}[2J".into();
    closing.resume_command = Some("mailsweep\u{1b}[2J".into());
    closing.stopped_because = Some("a\rb".into());
    for text in [summary(&figures, &closing, Style::PLAIN, 80), summary_quiet(&figures, &closing)] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let (figures, closing) = example();
    let coloured = summary(&figures, &closing, Style { colour: true }, 80);
    let mut bare = String::new();
    for (i, part) in coloured.split('\u{1b}').enumerate() {
        bare.push_str(if i == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
    }
    assert!(coloured.len() > bare.len());
    assert_eq!(bare, summary(&figures, &closing, Style::PLAIN, 80));
}

#[test]
fn each_channel_is_told_with_its_times_and_contained_only_where_it_was_shut() {
    let (mut figures, closing) = example();
    let of = |operations, contained| ChannelFigures {
        operations,
        contained,
        last_ended_at: String::new(),
        p50_ms: 62_000,
        p95_ms: 121_000,
        max_ms: 134_000,
    };
    figures.channels = [
        (Channel::Login, of(1, true)),
        (Channel::Incoming, of(7, false)),
        (Channel::Outgoing, of(812, true)),
    ]
    .into();
    let text = summary(&figures, &closing, Style::PLAIN, 80);
    let told: Vec<&str> = text.lines().filter(|line| line.contains("half after")).collect();
    assert_eq!(
        told,
        [
            "  incoming: 7 done after 2m 14s (half after 1m 02s, 95 % after 2m 01s)",
            "  outgoing: 812 contained after 2m 14s (half after 1m 02s, 95 % after 2m 01s)",
        ]
    );
    assert!(!summary_quiet(&figures, &closing).contains("half after"));
}

#[test]
fn the_chain_hash_of_the_session_is_there_to_be_pasted() {
    let (mut figures, closing) = example();
    let session = |chain: &str| SessionFigures { chain: Some(chain.into()), ..SessionFigures::default() };
    let last = "0123456789abcdef0123456789abcdef";
    figures.sessions = vec![session("f".repeat(32).as_str()), session(last)];
    figures.chain = Some(last.to_owned());
    let text = summary(&figures, &closing, Style::PLAIN, 80);
    assert!(
        text.contains(&format!("Chain hash, for the ticket (audit --expect): {last}\nLater:\n")),
        "{text}"
    );
    assert!(summary_quiet(&figures, &closing).contains(&format!("\nchain hash: {last}\nto go on:")));
    assert!(!text.contains("ffff"));
}

#[test]
fn sessions_that_were_not_ended_are_named() {
    let (mut figures, closing) = example();
    let failed = |n: usize| crate::record::SessionsNotEnded {
        server: "web01".into(),
        account: format!("user{n}"),
        error: "api: No such function.".into(),
    };
    let ended = |failed| crate::record::SessionsEndedFigures { accounts: 7, failed };
    figures.sessions_ended = Some(ended(vec![failed(1)]));
    let line = "web01, account user1: sessions not ended: api: No such function.\n";
    assert!(summary(&figures, &closing, Style::PLAIN, 200).contains(&format!("  {line}")));
    assert!(summary_quiet(&figures, &closing).contains(line));
    figures.sessions_ended = Some(ended((0..9).map(failed).collect()));
    let quiet = summary_quiet(&figures, &closing);
    assert!(quiet.contains("and 7 more accounts whose sessions were not ended\n"), "{quiet}");
    assert!(quiet.lines().count() <= 15, "{quiet}");
}
