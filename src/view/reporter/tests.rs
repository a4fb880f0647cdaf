//! The reporter as a whole: events in, bytes out.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::domain::{ErrorClass, Function, Status};
use crate::engine::{Event, Finished, LaneFigures, Observer, Subject, Tried};

use crate::view::testing::{Broken, Captured, Gate, on_screen};
use crate::view::{Columns, LogFormat, Options, Reporter, Terminal};

const TTY: Terminal = Terminal { interactive: true, colour: false, columns: Columns::Fixed(100) };

fn options(log: LogFormat, terminal: Terminal, writer: Box<dyn std::io::Write + Send>) -> Options {
    Options { quiet: false, verbose: false, log, terminal, writer }
}

fn subject(row: u32) -> Subject<'static> {
    Subject { row, mailbox: "anna@example.com", function: Function::SuspendLogin, server: "web01" }
}

fn finished(row: u32, status: Status) -> Event<'static> {
    let good = status.is_good();
    Event::Finished(Finished {
        subject: subject(row),
        status,
        class: (!good).then_some(ErrorClass::Api),
        http_status: Some(200),
        error: if good { "" } else { "The server \u{1b}[31msaid\u{1b}[0m no.\nReally." },
        attempts: 2,
    })
}

/// A short run with everything in it: two good, one failed, one try in vain, a pause, a halt, a stop.
fn short_run(reporter: &mut Reporter) {
    reporter.on(&Event::Started { to_do: 4, done_before: 6, servers: &[("web01", 3), ("web02", 1)] });
    reporter.on(&finished(1, Status::Ok));
    reporter.on(&Event::Tried(Tried {
        subject: subject(2),
        attempt: 1,
        class: ErrorClass::Http,
        http_status: Some(500),
        error: "the server is busy",
        wait: Some(Duration::from_millis(1500)),
    }));
    reporter.on(&Event::Paused {
        server: "web01",
        pause: Duration::from_secs(30),
        reason: "it asked\nfor it",
    });
    reporter.on(&Event::Tick { in_flight: 3, lanes: &[] });
    reporter.on(&finished(2, Status::Failed));
    reporter.on(&Event::Halted {
        server: "web02",
        class: ErrorClass::Auth,
        reason: "401\u{7}: token refused",
    });
    reporter.on(&finished(3, Status::NotAttempted));
    reporter.on(&Event::Stopping { reason: "SIGINT", in_flight: 1 });
    reporter.on(&finished(4, Status::Ok));
}

fn shown(change: impl FnOnce(&mut Options)) -> String {
    let captured = Captured::default();
    let mut options = options(LogFormat::Text, Terminal::PLAIN, captured.writer());
    change(&mut options);
    let mut reporter = Reporter::start(options);
    reporter.notices().note("Before the run.");
    short_run(&mut reporter);
    reporter.finish();
    captured.text()
}

/// Without the time, which each line begins with.
fn without_times(text: &str) -> Vec<String> {
    let cut = |line: &str| match line.split_once('Z') {
        Some((time, rest)) if time.starts_with("20") && time.len() == 23 => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(cut).collect()
}

#[test]
fn plain_lines_say_what_matters() {
    let text = shown(|_| ());
    assert_eq!(
        without_times(&text),
        [
            "Before the run.",
            "  INFO started: 4 operations, 6 done before",
            "  WARN web01 paused for 30s: it asked for it",
            " ERROR row 2 anna@example.com suspend login at web01: failed, api, 2 tries: \
             The server [31msaid [0m no. Really.",
            " ERROR web02 halted, nothing more is sent there, auth: 401 : token refused",
            "  WARN stopping, nothing new is started, 1 call in flight ends: SIGINT",
            "  INFO 9 of 10 done, 90%, 1 failed, 1 not attempted",
        ]
    );
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn several_servers_have_a_line_each_below_the_bar_as_long_as_the_run_goes() {
    let captured = Captured::default();
    let mut reporter = Reporter::start(options(LogFormat::Text, TTY, captured.writer()));
    reporter.on(&Event::Started { to_do: 700, done_before: 0, servers: &[("web01", 300), ("web02", 400)] });
    reporter.on(&finished(1, Status::Ok));
    reporter.on(&Event::Halted { server: "web02", class: ErrorClass::Auth, reason: "401\u{7}" });
    let hour = Duration::from_secs(3600);
    reporter.on(&Event::Paused { server: "web01", pause: hour, reason: "it asked for it" });
    let begun = Instant::now();
    let shown = loop {
        let lanes = [LaneFigures { server: "web01", in_flight: 3, limit: Some(8) }];
        reporter.on(&Event::Tick { in_flight: 3, lanes: &lanes });
        let shown = on_screen(&captured.text());
        if shown.iter().any(|line| line.contains("3 in flight")) {
            break shown;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{shown:?}");
        std::thread::yield_now();
    };
    let [.., bar, second, first] = &shown[..] else { panic!("{shown:?}") };
    assert!(bar.starts_with("[") && bar.contains("1/700"), "{shown:?}");
    assert_eq!(second, "  web02  0/400  halted: 401");
    assert!(first.starts_with("  web01  1/300  paused until ") && first.ends_with("Z"), "{shown:?}");
    reporter.finish();
    let shown = on_screen(&captured.text());
    let [.., bar, end] = &shown[..] else { panic!("{shown:?}") };
    assert!(bar.contains("1/700") && end.is_empty(), "the lines of the servers are gone: {shown:?}");
}

#[test]
fn verbose_has_a_line_for_each_operation_and_each_try() {
    let lines = without_times(&shown(|options| options.verbose = true));
    let about = |row: u32| format!("row {row} anna@example.com suspend login at web01: ");
    let of = |row: u32| lines.iter().filter(|line| line.contains(&about(row))).collect::<Vec<_>>();
    assert_eq!(of(1), [&format!("  INFO {}ok, 2 tries", about(1))]);
    assert_eq!(of(2).len(), 2);
    assert!(of(2)[0].ends_with("try 1 in vain, next in 1.5s, http: the server is busy"));
    assert!(of(3)[0].starts_with("  WARN "));
}

#[test]
fn quiet_shows_nothing_but_what_is_said_in_spite_of_it() {
    for log in [LogFormat::Text, LogFormat::Json] {
        for terminal in [Terminal::PLAIN, TTY] {
            let text = shown(|options| {
                (options.quiet, options.verbose, options.log, options.terminal) = (true, true, log, terminal);
            });
            assert_eq!(text, "");
        }
    }
    let captured = Captured::default();
    let options = options(LogFormat::Text, Terminal::PLAIN, captured.writer());
    let reporter = Reporter::start(Options { quiet: true, ..options });
    reporter.notices().note("not this");
    reporter.notices().say("this\n");
    reporter.finish();
    assert_eq!(captured.text(), "this\n");
}

#[test]
fn json_lines_carry_every_field() {
    let text = shown(|options| {
        (options.verbose, options.log, options.terminal) = (true, LogFormat::Json, TTY);
    });
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "no bar, no escapes: {text:?}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(
        events,
        [
            "note", "started", "finished", "tried", "paused", "finished", "halted", "finished", "stopping",
            "finished", "progress"
        ]
    );
    for line in &lines {
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    let failed = &lines[5];
    for (field, value) in [
        ("row", Value::from(2)),
        ("mailbox", "anna@example.com".into()),
        ("action", "suspend".into()),
        ("channel", "login".into()),
        ("server", "web01".into()),
        ("status", "failed".into()),
        ("error_class", "api".into()),
        ("http_status", 200.into()),
        ("attempts", 2.into()),
        ("error", "The server [31msaid [0m no. Really.".into()),
        ("level", "ERROR".into()),
    ] {
        assert_eq!(failed[field], value, "{field} of {failed}");
    }
    assert_eq!(lines[2].get("error_class"), None, "absent rather than empty");
    assert_eq!(lines[2].get("error"), None);
    assert_eq!((&lines[10]["done"], &lines[10]["total"]), (&Value::from(9), &Value::from(10)));
}

#[test]
fn on_a_terminal_lines_stand_above_a_bar_that_ends_with_all() {
    let captured = Captured::default();
    let mut reporter = Reporter::start(options(LogFormat::Text, TTY, captured.writer()));
    reporter.on(&Event::Started { to_do: 40, done_before: 60, servers: &[] });
    for row in 1..=40 {
        reporter.on(&finished(row, if row == 7 { Status::Failed } else { Status::Ok }));
        reporter.on(&Event::Tick { in_flight: 4, lanes: &[] });
    }
    reporter.on(&Event::Tick { in_flight: 0, lanes: &[] });
    reporter.finish();
    let text = captured.text();
    let last = text.rsplit("\u{1b}[2K").next().unwrap();
    assert!(last.contains("100/100  100%") && last.contains("1 failed") && last.ends_with('\n'), "{last:?}");
    assert!(text.contains("row 7 anna@example.com"), "{text:?}");
    assert!(!text.contains("\u{1b}[31m") && !text.contains("\u{1b}[?25l"), "no colour, the cursor stays");
    assert!(!text.contains("INFO"), "the bar says how far it is");
}

#[test]
fn a_program_that_unwinds_gives_the_terminal_back() {
    let captured = Captured::default();
    let unwound = std::panic::catch_unwind(|| {
        let mut reporter = Reporter::start(options(LogFormat::Text, TTY, captured.writer()));
        short_run(&mut reporter);
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(unwound.is_err());
    assert!(captured.text().trim_end_matches(' ').ends_with('\n'), "{:?}", captured.text());
}

#[test]
fn how_far_it_is_is_told_every_ten_seconds_of_ticks() {
    let captured = Captured::default();
    let mut reporter = Reporter::start(options(LogFormat::Text, Terminal::PLAIN, captured.writer()));
    reporter.on(&Event::Started { to_do: 1000, done_before: 0, servers: &[] });
    for tick in 0..350 {
        reporter.on(&finished(tick + 1, Status::Ok));
        reporter.on(&Event::Tick { in_flight: 4, lanes: &[] });
    }
    reporter.finish();
    let text = captured.text();
    let before =
        |line| str::split_once(line, " of 1,000 done").and_then(|(start, _)| start.rsplit(' ').next());
    let done: Vec<&str> = text.lines().filter_map(before).collect();
    assert_eq!(done, ["100", "200", "300", "350"], "{text}");
}

#[test]
fn what_is_said_after_the_run_stands_below_its_last_figures() {
    for terminal in [Terminal::PLAIN, TTY] {
        let captured = Captured::default();
        let mut reporter = Reporter::start(options(LogFormat::Text, terminal, captured.writer()));
        short_run(&mut reporter);
        reporter.run_ended();
        reporter.notices().note("Summary.");
        reporter.finish();
        let text = captured.text();
        let (before, after) = text.split_once("Summary.").unwrap();
        let figures = if terminal.interactive { "9/10  90%" } else { "9 of 10 done, 90%" };
        assert!(before.contains(figures) && before.ends_with('\n'), "{text:?}");
        assert_eq!(after, "\n", "and nothing is drawn again");
    }
}

#[test]
fn a_flood_of_failures_is_counted_not_shown() {
    for (verbose, log) in [(false, LogFormat::Text), (true, LogFormat::Text), (false, LogFormat::Json)] {
        let captured = Captured::default();
        let text = options(log, Terminal::PLAIN, captured.writer());
        let mut reporter = Reporter::start(Options { verbose, ..text });
        reporter.on(&Event::Started { to_do: 5000, done_before: 0, servers: &[] });
        for row in 1..=500 {
            reporter.on(&finished(row, Status::Failed));
        }
        for _ in 0..10 {
            reporter.on(&Event::Tick { in_flight: 4, lanes: &[] });
        }
        reporter.on(&finished(501, Status::Failed));
        reporter.finish();
        let text = captured.text();
        let lines = text.lines().filter(|line| line.contains("failed") && line.contains("row ")).count();
        if verbose || log == LogFormat::Json {
            assert_eq!(lines, 501);
        } else {
            assert_eq!(lines, 21, "{text}");
            assert!(text.contains("… 480 more lines not shown"), "{text}");
        }
    }
}

#[test]
fn a_closed_pipe_is_nobodys_trouble() {
    for (log, terminal) in
        [(LogFormat::Text, Terminal::PLAIN), (LogFormat::Text, TTY), (LogFormat::Json, Terminal::PLAIN)]
    {
        let options = options(log, terminal, Box::new(Broken));
        let mut reporter = Reporter::start(Options { verbose: true, ..options });
        short_run(&mut reporter);
        let ended = reporter.watch();
        reporter.finish();
        assert!(ended(), "the drawing thread came to its end instead of panicking");
    }
}

#[test]
fn a_pipe_that_nobody_reads_costs_the_run_nothing() {
    for terminal in [Terminal::PLAIN, TTY] {
        let gate = Gate::default();
        let options = options(LogFormat::Text, terminal, gate.writer());
        let mut reporter = Reporter::start(Options { verbose: true, ..options });
        reporter.on(&Event::Started { to_do: 50_000, done_before: 0, servers: &[] });
        // The gate is shut: were any of these to wait for it, this would never end.
        for row in 1..=50_000 {
            reporter.on(&finished(row, Status::Ok));
            if row % 100 == 0 {
                reporter.on(&Event::Tick { in_flight: 4, lanes: &[] });
            }
        }
        reporter.on(&Event::Halted { server: "web02", class: ErrorClass::Auth, reason: "401" });
        gate.open();
        reporter.finish();
        let text = gate.text();
        let lines = text.lines().filter(|line| line.contains("suspend login")).count();
        assert_eq!(lines, 10_000, "memory is bounded");
        assert!(text.contains("40,000 more lines not shown"), "and what was left out is counted");
        assert!(text.contains("web02 halted"), "a halt always gets through");
        assert!(text.contains(if terminal.interactive { "50,000/50,000" } else { "50,000 of 50,000" }));
    }
}

#[test]
fn the_end_comes_even_if_nothing_is_ever_taken() {
    let gate = Gate::default();
    let begun = Instant::now();
    let mut reporter = Reporter::start(options(LogFormat::Text, Terminal::PLAIN, gate.writer()));
    short_run(&mut reporter);
    drop(reporter);
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited for {:?}", begun.elapsed());
    gate.open();
}

#[test]
fn notes_are_in_order_and_flush_waits_for_them() {
    let captured = Captured::default();
    let reporter = Reporter::start(options(LogFormat::Text, Terminal::PLAIN, captured.writer()));
    let notices = reporter.notices();
    notices.note("one\n  two\n");
    notices.note("");
    notices.note("three\u{1b}[2J\r");
    notices.flush();
    assert_eq!(captured.text(), "one\n  two\nthree[2J\n");
    reporter.finish();
    notices.note("too late, and no harm done");
    notices.flush();
}
