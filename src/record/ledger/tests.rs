//! What the journal's lines add up to.

use super::super::entry::{Attempt, Ended};
use super::*;
use crate::job::{InputOptions, Source, read};

fn job() -> Job {
    let rows = "email,action,channel\na@example.com,suspend,login\nb@example.com,release,outgoing\n";
    read(&Source::bytes(rows), &InputOptions::default()).unwrap()
}

fn session() -> Entry {
    Entry::Session(Session { servers: vec!["web01".into()], ..Session::default() })
}

fn close() -> Entry {
    Entry::Close { at: Stamp(0), code: 130, results: String::new(), unfinished: None, report: None }
}

fn attempt(op: u32, class: ErrorClass, open: bool) -> Entry {
    let error = "e".into();
    Entry::Try(Attempt { at: Stamp(10), op, server: 0, ms: 5, class, http: None, open, error })
}

fn ended(op: u32, status: Status) -> Entry {
    let (server, error) = (Some(0), "".into());
    Entry::End(Ended { at: Stamp(40), op, server, ms: Some(2), status, class: None, http: Some(200), error })
}

fn standing(entries: &[Entry], op: u32) -> Standing {
    let mut ledger = Ledger::new(&job());
    for (at, entry) in (0u64..).zip(entries) {
        ledger.apply(entry, at);
    }
    let (account, mailboxes) = ("exampleu".to_owned(), vec![(0, 1)]);
    ledger.apply(&Entry::Route { at: Stamp(0), server: 0, account, mailboxes }, 0);
    ledger.standing(&job(), op)
}

#[test]
fn an_operation_takes_28_bytes_and_its_mailbox_2() {
    assert_eq!((size_of::<Slot>(), size_of::<State>()), (28, 1));
}

#[test]
fn tries_add_up_over_sessions_and_the_time_counts_from_the_first() {
    let begin = Entry::Begin { at: Stamp(9), ops: vec![0] };
    let entries = [
        session(),
        begin.clone(),
        attempt(0, ErrorClass::Timeout, true),
        close(),
        session(),
        begin,
        ended(0, Status::Ok),
    ];
    let standing = standing(&entries, 0);
    assert_eq!((standing.status, standing.class, standing.attempts), (Status::Ok, None, 2));
    assert_eq!((standing.started, standing.duration_ms), (Some(Stamp(10)), Some(32)));
    assert_eq!(standing.reason, Reason::None);
}

#[test]
fn what_was_on_its_way_when_a_session_was_killed_may_have_had_effect() {
    let begin = Entry::Begin { at: Stamp(9), ops: vec![1] };
    let killed = standing(&[session(), begin.clone(), session()], 1);
    assert_eq!((killed.status, killed.class), (Status::Unknown, Some(ErrorClass::Interrupted)));
    let closed = standing(&[session(), begin, close(), session()], 1);
    assert_eq!((closed.status, closed.class), (Status::NotAttempted, Some(ErrorClass::Interrupted)));
}

#[test]
fn a_halt_is_the_reason_of_what_it_left_and_the_refused_one_keeps_the_servers_words() {
    let halt = |class| Entry::Halt { at: Stamp(0), server: 0, class, reason: "halted".into() };
    let entries = [session(), attempt(0, ErrorClass::Auth, false), halt(ErrorClass::Auth)];
    let refused = standing(&entries, 0);
    assert_eq!((refused.status, refused.class), (Status::NotAttempted, Some(ErrorClass::Auth)));
    assert_eq!(refused.reason, Reason::Journal(1));
    assert_eq!(standing(&entries, 1).reason, Reason::Text("halted".into()));
    let next = standing(&[&entries[..], &[session()]].concat(), 1);
    assert_eq!(next.class, Some(ErrorClass::Interrupted), "a halt is over with its session");
}

#[test]
fn unrouted_is_over_once_it_has_a_place_and_stays_so_long_as_it_has_none() {
    let unrouted = Entry::End(Ended {
        class: Some(ErrorClass::Unrouted),
        server: None,
        ms: None,
        error: "nobody has it".into(),
        ..match ended(0, Status::NotAttempted) {
            Entry::End(ended) => ended,
            _ => unreachable!(),
        }
    });
    let mut ledger = Ledger::new(&job());
    for entry in [session(), unrouted, close(), session()] {
        ledger.apply(&entry, 7);
    }
    let left_alone = ledger.standing(&job(), 0);
    assert_eq!((left_alone.status, left_alone.class), (Status::NotAttempted, Some(ErrorClass::Unrouted)));
    assert_eq!(left_alone.reason, Reason::Journal(7));
    let (account, mailboxes) = ("exampleu".to_owned(), vec![(0, 0)]);
    ledger.apply(&Entry::Route { at: Stamp(0), server: 0, account, mailboxes }, 8);
    let (class, reason) = (ErrorClass::Auth, "refused".to_owned());
    ledger.apply(&Entry::Halt { at: Stamp(0), server: 0, class, reason }, 9);
    let halted = ledger.standing(&job(), 0);
    assert_eq!((halted.status, halted.class), (Status::NotAttempted, Some(ErrorClass::Auth)));
    assert_eq!(halted.reason, Reason::Text("refused".into()));
}

#[test]
fn what_is_taken_back_is_known_with_who_does_until_it_is_begun_again() {
    let undone = |by: &str, ops| {
        let (by, dir) = (by.to_owned(), format!("/runs/{by}"));
        Entry::Undone { at: Stamp(50), by, dir, ops }
    };
    let mut ledger = Ledger::new(&job());
    let apply = |ledger: &mut Ledger, entry: Entry| ledger.apply(&entry, 0);
    for entry in [session(), ended(0, Status::Ok), undone("first", vec![(0, 0)])] {
        apply(&mut ledger, entry);
    }
    let by = |ledger: &Ledger, op| ledger.undone_by(op).map(|undo| undo.by.clone());
    assert_eq!((by(&ledger, 0).as_deref(), by(&ledger, 1)), (Some("first"), None));
    apply(&mut ledger, undone("second", vec![(0, 1)]));
    assert_eq!(by(&ledger, 0).as_deref(), Some("second"));
    assert_eq!(ledger.ended(0), Some((Status::Ok, None)), "it stays as it was");
    // Killed before it had a run, and begun again with less to do.
    apply(&mut ledger, undone("second", vec![(0, 0)]));
    assert_eq!(by(&ledger, 1).as_deref(), Some("second"));
    apply(&mut ledger, Entry::Begin { at: Stamp(60), ops: vec![0] });
    assert!(!ledger.is_undone(0) && by(&ledger, 0).is_none() && ledger.is_undone(1));
}

#[test]
fn taken_up_again_it_has_not_ended() {
    let begin = Entry::Begin { at: Stamp(9), ops: vec![0] };
    let mut ledger = Ledger::new(&job());
    for entry in [session(), ended(0, Status::Failed), close(), session(), begin] {
        ledger.apply(&entry, 0);
    }
    assert_eq!(ledger.ended(0), None);
    assert_eq!(ledger.servers()[0].requests, 1);
}

#[test]
fn two_lists_of_rows_become_one_that_ascends() {
    let rows = together(vec![(0, 3), (9, 11), (27, 30)], &[(0, 1), (4, 4), (10, 13), (20, 20)]);
    assert_eq!(rows, [(0, 4), (9, 13), (20, 20), (27, 30)]);
}
