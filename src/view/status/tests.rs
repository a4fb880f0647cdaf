//! What `status` and `runs` say, as it is read.

use std::time::Duration;

use super::*;
use crate::record::{Halt, Stamp, UndoneFigures};

fn server(name: &str, operations: u64, done: u64) -> ServerOverview {
    ServerOverview {
        name: name.into(),
        operations,
        done,
        left: operations - done,
        ..ServerOverview::default()
    }
}

/// A run in the middle of its work.
fn example() -> RunStatus {
    let halted = Some(Halt { class: ErrorClass::Auth, reason: "401".into(), at: Some(Stamp(0)) });
    let servers = vec![
        ServerOverview { failed: 40, ..server("web01", 20_000, 12_340) },
        server("web02.example.net", 10, 10),
        ServerOverview { halted, ..server("web03", 4_990, 0) },
    ];
    let overview = Overview {
        state: RunState::Running,
        operations: 25_000,
        done: 12_350,
        left: 12_650,
        held_up: 4_990,
        waiting: 7_660,
        counts: [(Status::Ok, 12_307), (Status::Failed, 40), (Status::NotAttempted, 3)].into(),
        verified: 12_000,
        classes: [(ErrorClass::NoSuchMailbox, 40), (ErrorClass::Excluded, 3)].into(),
        left_classes: Default::default(),
        rate_per_s: 9.84,
        time_left: Some(Duration::from_secs(778)),
        last_sign: Some(Stamp(1_795_460_400_123)),
        stopped_because: None,
        undone: Vec::new(),
        servers,
    };
    let about = RunAbout {
        run_id: "20261123T190000Z-leak".into(),
        path: "my runs/20261123T190000Z-leak".into(),
        operator: "anna".into(),
        ticket: Some("INC-4711".into()),
        undo_of: None,
        started_at: "2026-11-23T19:00:00.123Z".into(),
        ended_at: None,
        exit_code: None,
        host: "desk".into(),
        pid: Some(4711),
    };
    let to_do = vec![
        ToDo {
            what: "web03 halted at 2026-11-23T19:00:05Z: token refused. Put a new token of root into \
                   /etc/mailsweep/web03.token, when the run has ended"
                .into(),
            command: Some("mailsweep resume 'my runs/20261123T190000Z-leak'".into()),
        },
        ToDo { what: "decide".into(), command: None },
    ];
    RunStatus { about, overview, undos: vec!["later undo".into()], to_do }
}

#[test]
fn into_a_pipe_each_thing_is_one_line_and_the_first_says_it_all() {
    let text = "\
running: 12,350 of 25,000 done, 49%: ok 12,307 (12,000 verified), failed 40, left out 3; 12,650 to go, 4,990 of them held up; \
9.8/s; 12m 58s left; 2 things wait for you
- web03 halted at 2026-11-23T19:00:05Z: token refused. Put a new token of root into \
/etc/mailsweep/web03.token, when the run has ended: mailsweep resume 'my runs/20261123T190000Z-leak'
- decide
run 'my runs/20261123T190000Z-leak', by anna on desk, process 4711, begun 2026-11-23T19:00:00Z, ticket INC-4711
  web03                    0/4,990  halted (auth)
  web01              12,340/20,000  40 failed
  web02.example.net          10/10  done
";
    assert_eq!(status(&example(), Style::PLAIN, None), text);
    assert_eq!(status_line(&example()), text.lines().next().unwrap());
}

#[test]
fn at_a_terminal_lines_fit_and_a_command_stays_whole() {
    let mut example = example();
    example.about.path = "runs/leak".into();
    let text = "\
running: 12,350 of 25,000 done, 49%: ok 12,307 (12,000 verified), failed 40,
  left out 3; 12,650 to go, 4,990 of them held up; 9.8/s; 12m 58s left; 2 things
  wait for you
- web03 halted at 2026-11-23T19:00:05Z: token refused. Put a new token of root
  into /etc/mailsweep/web03.token, when the run has ended:
    mailsweep resume 'my runs/20261123T190000Z-leak'
- decide
run runs/leak, by anna on desk, process 4711, begun 2026-11-23T19:00:00Z, ticket
  INC-4711
  web03                    0/4,990  halted (auth)
  web01              12,340/20,000  40 failed
  web02.example.net          10/10  done
";
    assert_eq!(status(&example, Style::PLAIN, Some(80)), text);
}

#[test]
fn a_run_that_has_ended_says_when_and_one_that_was_killed_since_when_it_is_silent() {
    let mut example = example();
    example.to_do.clear();
    example.overview.state = RunState::Killed;
    let killed = status(&example, Style::PLAIN, None);
    assert!(killed.starts_with("killed: 12,350 of 25,000 done"), "{killed}");
    assert!(killed.lines().next().unwrap().ends_with("held up; nothing waits for you"), "no rate: {killed}");
    assert!(killed.contains("last heard of 2026-11-23T19:00:00Z") && !killed.contains("process"), "{killed}");
    example.overview.state = RunState::Finished;
    example.overview.left = 0;
    example.about.ended_at = Some("2026-11-23T20:00:00.000Z".into());
    let ended = status(&example, Style::PLAIN, None);
    assert!(!ended.contains("to go") && ended.contains("ended 2026-11-23T20:00:00Z"), "{ended}");
}

#[test]
fn colours_say_whether_somebody_is_needed() {
    let style = Style { colour: true };
    let mut example = example();
    assert!(status(&example, style, None).starts_with("\u{1b}[33m"));
    example.to_do.clear();
    assert!(status(&example, style, None).starts_with("\u{1b}[1m"));
    example.overview.state = RunState::Finished;
    assert!(status(&example, style, None).starts_with("\u{1b}[32m"));
}

#[test]
fn of_many_servers_a_terminal_shows_those_that_need_a_look_and_a_pipe_all() {
    let mut example = example();
    let troubled = example.overview.servers.pop().unwrap();
    example.overview.servers = (0..39).map(|n| server(&format!("web{n}"), 10, 10)).collect();
    example.overview.servers.push(troubled);
    example.to_do.clear();
    let text = status(&example, Style::PLAIN, Some(80));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() < 24, "{}", lines.len());
    assert_eq!(lines.last(), Some(&"  and 29 more"));
    assert!(
        lines.iter().any(|line| line.starts_with("  web03") && line.ends_with("halted (auth)")),
        "{text}"
    );
    assert_eq!(status(&example, Style::PLAIN, None).lines().count(), 42);
}

#[test]
fn foreign_text_cannot_move_the_cursor_or_begin_a_line() {
    let mut example = example();
    let nasty = "a\u{1b}[2J\nrunning: all well";
    example.to_do[0].what = nasty.into();
    example.to_do[0].command = Some(nasty.into());
    example.about.operator = nasty.into();
    example.about.ticket = Some(nasty.into());
    example.about.path = nasty.into();
    let text = status(&example, Style::PLAIN, None);
    assert!(!text.contains('\u{1b}'));
    assert_eq!(text.lines().count(), 7, "{text}");
}

#[test]
fn a_run_that_was_taken_back_says_so_and_by_which() {
    let mut example = example();
    example.to_do.clear();
    example.overview = Overview {
        state: RunState::Finished,
        operations: 10,
        done: 10,
        left: 0,
        counts: [(Status::Ok, 10)].into(),
        verified: 10,
        undone: vec![UndoneFigures { by: "later undo".into(), operations: 8 }],
        servers: Vec::new(),
        ..example.overview
    };
    let text = status(&example, Style::PLAIN, None);
    let first = "finished: 10 of 10 done, 100%: ok 10 (all verified); 8 given to an undo; nothing waits \
                 for you\n";
    assert!(text.starts_with(first), "{text}");
    let last =
        "\ngiven to the undo 'later undo': 8 operations; how that went: mailsweep status 'later undo'\n";
    assert!(text.ends_with(last), "{text}");
    let line = RunLine { about: example.about, overview: Some(example.overview), fault: None };
    let list = runs(&[line], Style::PLAIN, None);
    assert!(list.ends_with("  ok 10 (all verified); 8 given to an undo\n"), "{list}");
}

#[test]
fn runs_are_a_table_without_columns_that_say_nothing() {
    let example = example();
    let line = |state, ticket: Option<&str>| {
        let about = RunAbout { ticket: ticket.map(str::to_owned), ..example.about.clone() };
        RunLine { about, overview: Some(Overview { state, ..example.overview.clone() }), fault: None }
    };
    let about = RunAbout { run_id: "odd".into(), ..RunAbout::default() };
    let odd = RunLine { about, overview: None, fault: Some("odd is not a run's".into()) };
    let text = "\
RUN                    STATE       OPERATOR  TICKET    COUNTS
20261123T190000Z-leak  running     anna      INC-4711  ok 12,307 (12,000 verified), failed 40, left out 3; 12,650 to go
20261123T190000Z-leak  killed      anna      -         ok 12,307 (12,000 verified), failed 40, left out 3; 12,650 to go
odd                    unreadable            -         odd is not a run's
";
    let list = [line(RunState::Running, Some("INC-4711")), line(RunState::Killed, None), odd.clone()];
    assert_eq!(runs(&list, Style::PLAIN, None), text);
    let undo = RunLine { about: RunAbout { undo_of: Some("leak".into()), ..odd.about.clone() }, ..odd };
    assert!(runs(&[undo], Style::PLAIN, None).starts_with("RUN  STATE       COUNTS              UNDO OF\n"));
    for line in runs(&list, Style::PLAIN, Some(80)).lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
