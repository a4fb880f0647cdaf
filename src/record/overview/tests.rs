use super::super::entry::{Attempt, Ended};
use super::super::testing::{Run, begin, close, session, write};
use super::*;

const ROWS: &str = "email,action,channel
a@example.com,suspend,login+outgoing
b@example.com,suspend,login
b@example.com,suspend,login
c@example.com,suspend,login
";

fn ended(op: u32, at: i64, status: Status, class: Option<ErrorClass>) -> Entry {
    let (server, ms) = if status == Status::NotAttempted { (None, None) } else { (Some(0), Some(5)) };
    Entry::End(Ended { at: Stamp(at), op, server, ms, status, class, http: None, error: "".into() })
}

fn route(server: u16, mailboxes: (u32, u32)) -> Entry {
    Entry::Route { at: Stamp(5), server, account: "exampleu".into(), mailboxes: vec![mailboxes] }
}

fn halt(server: u16) -> Entry {
    Entry::Halt { at: Stamp(77), server, class: ErrorClass::Auth, reason: "refused".into() }
}

fn stop() -> Entry {
    Entry::Stop { at: Stamp(90), class: ErrorClass::Interrupted, reason: "SIGINT".into() }
}

/// How the run stands after each of these pieces of its journal, all of them written by one process.
fn overviews(pieces: &[&[Entry]]) -> (Run, Vec<Overview>) {
    let run = Run::of(ROWS);
    let mut journal = run.dir.start_journal(&run.facts).unwrap();
    let seen = pieces.iter().map(|piece| {
        write(&mut journal, piece);
        overview(&run)
    });
    let seen = seen.collect();
    (run, seen)
}

fn overview(run: &Run) -> Overview {
    let mut pulse = Pulse::default();
    let seen = run.dir.look_through(&run.facts, &run.job, |entry| pulse.note(entry)).unwrap();
    Overview::new(&run.job, &seen, &pulse, Stamp(10_100))
}

#[test]
fn a_run_is_told_from_its_first_line_to_its_last() {
    let (ok, failed) = (Status::Ok, Status::Failed);
    let (run, seen) = overviews(&[
        &[session(7), route(0, (0, 1)), route(1, (2, 2))],
        &[begin(0), ended(0, 95, ok, None), ended(1, 95, failed, Some(ErrorClass::Api))],
        &[halt(1)],
        &[stop()],
        &[close(130)],
    ]);
    let states: Vec<_> = seen.iter().map(|overview| overview.state).collect();
    use RunState::{Running, Stopping};
    assert_eq!(states, [Running, Running, Running, Stopping, Running], "until its process has ended");
    let begun = &seen[0];
    assert_eq!((begun.operations, begun.done, begun.left), (5, 1, 4), "a duplicate is done");
    assert_eq!(begun.counts, [(Status::Duplicate, 1)].into());

    let halted = &seen[2];
    assert_eq!((halted.done, halted.left, halted.held_up, halted.waiting), (3, 2, 1, 1));
    assert_eq!(halted.classes, [(ErrorClass::Api, 1)].into());
    let [one, two] = halted.servers.as_slice() else { panic!("{:?}", halted.servers) };
    assert_eq!((one.operations, one.done, one.failed, one.left), (4, 3, 1, 1));
    assert_eq!((two.operations, two.done, two.left), (1, 0, 1));
    let halt = two.halted.as_ref().unwrap();
    assert_eq!((halt.class, halt.at), (ErrorClass::Auth, Some(Stamp(77))));
    // The rate is one in ten seconds, and one of the two that are left belongs to a halted server.
    assert_eq!((halted.rate_per_s, halted.time_left), (0.1, Some(Duration::from_secs(10))));

    let stopped = overview(&run);
    assert_eq!(stopped.state, RunState::Stopped);
    assert_eq!(stopped.stopped_because.as_deref(), Some("SIGINT"));
    assert_eq!((stopped.rate_per_s, stopped.time_left), (0.0, None));
    assert_eq!(stopped.last_sign, Some(Stamp(100)), "an answer is later than its call");
    assert_eq!(stopped.percent(), 60);
}

#[test]
fn a_run_without_an_end_was_killed_and_one_with_nothing_left_is_finished() {
    let (run, _) = overviews(&[&[session(7), ended(0, 1, Status::Ok, None)]]);
    let killed = overview(&run);
    assert_eq!((killed.state, killed.left), (RunState::Killed, 3));
    let mut journal = run.dir.open_journal(&run.facts, &run.job).unwrap().journal;
    let rest = [1, 2, 4].map(|op| ended(op, 1, Status::Ok, None));
    write(&mut journal, &[&[session(8), stop()], &rest[..], &[close(130)]].concat());
    drop(journal);
    let finished = overview(&run);
    assert_eq!((finished.state, finished.left), (RunState::Finished, 0), "a stop that came too late");
}

#[test]
fn what_a_run_left_out_is_done_and_what_had_no_server_is_left() {
    let (_, seen) = overviews(&[&[
        session(7),
        ended(0, 1, Status::NotAttempted, Some(ErrorClass::Excluded)),
        ended(1, 1, Status::NotAttempted, Some(ErrorClass::NoState)),
    ]]);
    assert_eq!((seen[0].done, seen[0].left), (2, 3));
    assert_eq!(seen[0].classes, [(ErrorClass::Excluded, 1)].into());
    assert_eq!(seen[0].left_classes, [(ErrorClass::NoState, 1)].into());
    assert_eq!((seen[0].held_up, seen[0].waiting), (0, 2));
    let unrouted = ended(0, 1, Status::NotAttempted, Some(ErrorClass::Unrouted));
    let (_, seen) = overviews(&[&[session(7), unrouted], &[close(1)], &[session(8)]]);
    assert_eq!((seen[0].left, seen[0].held_up), (4, 1));
    assert_eq!((seen[2].left, seen[2].held_up), (4, 0), "they are asked again");
}

#[test]
fn a_rate_follows_what_happened_lately_and_sinks_when_nothing_happens() {
    let mut pulse = Pulse::default();
    assert_eq!(pulse.rate(Stamp(0)), 0.0);
    // Ten a second for two minutes, in the second of them one a second.
    for i in 0..600 {
        pulse.ended(Stamp(i * 100));
    }
    assert!((9.0..11.0).contains(&pulse.rate(Stamp(59_900))), "{}", pulse.rate(Stamp(59_900)));
    for i in 60..120 {
        pulse.ended(Stamp(i * 1000));
    }
    assert!((0.9..1.1).contains(&pulse.rate(Stamp(119_000))), "{}", pulse.rate(Stamp(119_000)));
    assert!(pulse.rate(Stamp(119_000 + 600_000)) < 0.02, "a standstill");
    // One a minute: of the last few, for in half a minute there is none.
    let mut slow = Pulse::default();
    for i in 0..50 {
        slow.ended(Stamp(i * 60_000));
    }
    let rate = slow.rate(Stamp(49 * 60_000)) * 60.0;
    assert!((0.9..1.1).contains(&rate), "{rate}");
}

#[test]
fn a_session_forgets_what_the_one_before_it_was() {
    let (_, seen) = overviews(&[
        &[session(7), ended(0, 1, Status::Ok, None), halt(0), stop(), close(130)],
        &[session(8)],
    ]);
    assert_eq!(seen[1].state, RunState::Running);
    assert_eq!((&seen[1].stopped_because, seen[1].rate_per_s), (&None, 0.0));
    assert_eq!(seen[1].servers[0].halted, None);
}

#[test]
fn a_summary_tells_what_the_journal_tells_or_nothing() {
    let summary = |code: u8, counts: &[(Status, u64)], excluded: u64| Summary {
        run_id: String::new(),
        exit_code: code,
        started_at: Stamp(0).to_string(),
        ended_at: Stamp(9).to_string(),
        operations: counts.iter().map(|(_, n)| n).sum(),
        counts: counts.iter().copied().collect(),
        verified: 0,
        error_classes: [(ErrorClass::Excluded, excluded)].into(),
        channels: BTreeMap::new(),
        sessions_ended: None,
        undone: Vec::new(),
        servers: Vec::new(),
        sessions: Vec::new(),
        chain: None,
    };
    let of = |code, counts: &[_], excluded| {
        let overview = Overview::of_summary(&summary(code, counts, excluded), false)?;
        Some((overview.state, overview.done, overview.left))
    };
    let (ok, unknown, left) = (Status::Ok, Status::Unknown, Status::NotAttempted);
    assert_eq!(of(0, &[(ok, 5), (left, 2)], 2), Some((RunState::Finished, 7, 0)));
    assert_eq!(of(1, &[(ok, 5), (left, 2)], 1), Some((RunState::Stopped, 6, 1)));
    assert_eq!(of(1, &[(ok, 5), (unknown, 2)], 0), Some((RunState::Finished, 7, 0)));
    assert_eq!(of(130, &[(ok, 5), (unknown, 2)], 0), None);
    let attempt = Attempt {
        at: Stamp(1),
        op: 0,
        server: 0,
        ms: 1,
        class: ErrorClass::Timeout,
        http: None,
        open: true,
        error: "".into(),
    };
    let (run, _) = overviews(&[&[session(7), begin(0), Entry::Try(attempt), stop(), close(130)]]);
    assert_eq!(overview(&run).left, 4, "what may have had effect is left too, though it is unknown");
}
