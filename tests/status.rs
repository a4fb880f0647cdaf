//! `status`, `runs` and `stop`: a run that is looked at from elsewhere, in every state it can be in.
#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use support::{ENDED, Place, code, expect, job, server, stderr, stdout, wait_until};

const MAILBOXES: usize = 20;

/// A run that is under way and has done something, but far from all.
fn begun(latency_ms: u64) -> (Place, Sandbox, Child) {
    let place = Place::blind();
    place.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, latency_ms, Script::default());
    let mut command = place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "2"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 3);
    (place, sandbox, child)
}

fn status(place: &Place, run: &str) -> serde_json::Value {
    let told = stdout(&expect(place.mailsweep(&["status", run, "--json"]), 0));
    serde_json::from_str(&told).unwrap()
}

fn ended(mut child: Child) -> std::process::Output {
    wait_until("the program's end", || child.try_wait().unwrap().is_some());
    child.wait_with_output().unwrap()
}

/// Every file of a run but what an access changes.
fn bytes(place: &Place, run: &str) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(place.path(run)).unwrap().map(|entry| entry.unwrap());
    files.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

#[test]
fn a_run_at_work_is_looked_at_without_being_disturbed_and_stopped_when_asked() {
    let (place, sandbox, child) = begun(600);
    let told = status(&place, "run");
    assert_eq!(told["state"], "running", "{told}");
    let (done, left) = (told["done"].as_u64().unwrap(), told["left"].as_u64().unwrap());
    assert!(done >= 3 && done + left == 40, "{told}");
    assert_eq!(told["pid"], child.id());
    assert_eq!(told["servers"][0]["operations"], 40);
    assert_eq!(told["to_do"], serde_json::json!([]));
    let first = stdout(&expect(place.mailsweep(&["status", "run"]), 0));
    assert!(first.starts_with("running: ") && first.contains(" of 40 done, "), "{first}");
    assert!(first.lines().next().unwrap().contains("to go; "), "{first}");

    let stopped = expect(place.mailsweep(&["stop", "run"]), 0);
    let output = ended(child);
    assert_eq!(code(&output), 143, "{}", stderr(&output));
    let told = stdout(&stopped);
    assert!(told.starts_with("stopped: ") && told.contains("1 thing waits for you"), "{told}");
    assert!(told.contains("Stopped by SIGTERM. To go on: mailsweep resume run\n"), "{told}");
    assert_eq!(
        sandbox.requests().len(),
        place.column("run", "attempts").iter().filter(|n| *n == "1").count()
    );
    assert_eq!(status(&place, "run")["exit_code"], 143);

    // Once more: there is nothing to stop, and no harm in asking.
    let before = bytes(&place, "run");
    let again = expect(place.mailsweep(&["stop", "run"]), 0);
    assert!(stderr(&again).contains("nothing to stop"), "{}", stderr(&again));
    assert_eq!(bytes(&place, "run"), before);

    sandbox.set_latency(Duration::ZERO);
    expect(place.mailsweep(&["resume", "run", "--rate", "none"]), 0);
    let told = stdout(&expect(place.mailsweep(&["status", "run"]), 0));
    assert!(told.starts_with("finished: 40 of 40 done, 100%: ok 40; nothing waits for you\n"), "{told}");
}

#[test]
fn a_killed_run_is_told_from_one_that_ended_and_looking_changes_no_byte() {
    let (place, _sandbox, mut child) = begun(600);
    child.kill().unwrap();
    child.wait().unwrap();
    // As the kill may have left it.
    let mut journal = std::fs::read(place.path("run/journal.jsonl")).unwrap();
    journal.extend_from_slice(b"{\"t\":\"en");
    place.write("run/journal.jsonl", journal);
    let before = bytes(&place, "run");
    let told = stdout(&expect(place.mailsweep(&["status", "run"]), 0));
    assert!(told.starts_with("killed: ") && told.contains("last heard of "), "{told}");
    assert!(told.contains("To go on: mailsweep resume run\n"), "{told}");
    assert_eq!(status(&place, "run")["state"], "killed");
    assert_eq!(bytes(&place, "run"), before);
}

#[test]
fn a_watched_run_is_told_until_it_ends() {
    let (place, sandbox, child) = begun(600);
    let watch = |more: &[&str]| {
        let mut args = vec!["status", "run", "--watch"];
        args.extend(more);
        let mut watching = place.mailsweep(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        (watching, first, lines)
    };
    let (text, json) = (watch(&[]), watch(&["--json"]));
    let state = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].clone();
    assert!(text.1.starts_with("running: "), "{}", text.1);
    assert_eq!(state(&json.1), "running");
    // Both have seen it at work; now it may end.
    sandbox.set_latency(Duration::ZERO);
    assert_eq!(code(&ended(child)), 0);
    let told: Vec<String> = text.2.collect();
    assert!(told.iter().any(|line| line.starts_with("finished: 40 of 40 done, 100%: ok 40; ")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("run run, by ")), "the last time all of it: {told:?}");
    assert_eq!(json.2.last().map(|line| state(&line)), Some("finished".into()));
    for mut watching in [text.0, json.0] {
        wait_until("its end", || watching.try_wait().unwrap().is_some());
        assert_eq!(watching.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn what_waits_for_the_operator_is_said_with_the_command() {
    let place = Place::new();
    place.write("job.csv", job(3));
    let sandbox = server(3, 0, Script::default());
    place.write("token", "NOT-THE-TOKEN-1234567890\n");
    expect(place.run_against(&sandbox.url(), &[]), 4);
    let told = stdout(&expect(place.mailsweep(&["status", "run"]), 0));
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains("6 to go, all held up; 1 thing waits for you"), "{told}");
    assert!(lines[1].starts_with("- 127.0.0.1:"), "{told}");
    let token = place.path("token").canonicalize().unwrap();
    let wanted = format!("Put a new token of exampleu into {}, then: mailsweep resume run", token.display());
    assert!(lines[1].ends_with(&wanted), "{told}");

    // What ended badly has its own command, which works as it stands.
    let place = Place::new();
    place.write("job.csv", job(3));
    let refuses = Rule::new(Fault::ApiFailure("Busy.".into())).email("user001");
    let sandbox = server(3, 0, Script::of([refuses]));
    expect(place.run_against(&sandbox.url(), &[]), 1);
    let told = status(&place, "run");
    assert_eq!(told["state"], "finished");
    assert_eq!(told["error_classes"], serde_json::json!({"api": 2}));
    let command = told["to_do"][0]["command"].as_str().unwrap();
    assert_eq!(command, "mailsweep resume run --retry api", "{told}");
    sandbox.set_script(Script::default());
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    expect(place.mailsweep(&words), 0);
    assert_eq!(status(&place, "run")["to_do"], serde_json::json!([]));
}

#[test]
fn all_runs_are_listed_the_newest_first_whatever_has_become_of_them() {
    let place = Place::new();
    place.write("job.csv", job(2));
    let none = expect(place.mailsweep(&["runs"]), 0);
    assert_eq!(stdout(&none), "no run in mailsweep-runs\n");
    assert_eq!(code(&place.mailsweep(&["status"]).output().unwrap()), 6);

    let run = |name: &str, more: &[&str]| {
        let dir = format!("mailsweep-runs/{name}");
        let mut args = vec!["run", "job.csv", "--sandbox", "--yes", "--rate", "none", "--run-dir", &dir];
        args.extend(more);
        expect(place.mailsweep(&args), 0);
    };
    run("zebra", &["--ticket", "INC-4711"]);
    run("ant", &["--dry-run"]);
    std::fs::create_dir(place.path("mailsweep-runs/broken")).unwrap();
    place.write("mailsweep-runs/broken/run.json", "{}");
    std::fs::create_dir(place.path("mailsweep-runs/no-run")).unwrap();
    let told = stdout(&expect(place.mailsweep(&["runs"]), 0));
    let rows: Vec<Vec<&str>> = told.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    assert_eq!(rows[1][..2], ["ant", "rehearsed"], "{told}");
    assert_eq!(rows[2][..2], ["zebra", "finished"], "{told}");
    assert_eq!(rows[3][..2], ["broken", "unreadable"], "{told}");
    assert_eq!(rows.len(), 4, "{told}");
    assert!(told.contains("INC-4711") && told.contains("ok 4") && told.contains("planned 4"), "{told}");
    let list = stdout(&expect(place.mailsweep(&["runs", "--json"]), 0));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[1]["run_id"], "zebra");
    assert_eq!(list[1]["counts"]["ok"], 4);

    // Without a name the newest is meant, by its time and not by its name.
    let newest = stdout(&expect(place.mailsweep(&["status"]), 0));
    assert!(newest.starts_with("rehearsed: 4 of 4 done, 100%: planned 4"), "{newest}");
    assert!(newest.contains("run mailsweep-runs/ant"), "{newest}");
    let named = stdout(&expect(place.mailsweep(&["status", "zebra"]), 0));
    assert!(named.starts_with("finished: "), "{named}");
}

#[test]
fn what_is_no_run_is_refused_with_its_own_code() {
    let place = Place::new();
    place.write("job.csv", job(2));
    expect(
        place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--rate", "none", "--run-dir", "run"]),
        0,
    );
    std::fs::create_dir(place.path("empty")).unwrap();
    for command in ["status", "stop"] {
        expect(place.mailsweep(&[command, "nowhere"]), 6);
        expect(place.mailsweep(&[command, "empty"]), 6);
    }
    // A configuration that is broken hides no run that is named by its path.
    place.write("mailsweep.toml", "= nonsense");
    expect(place.mailsweep(&["status", "run"]), 0);
    expect(place.mailsweep(&["runs"]), 2);
    std::fs::remove_file(place.path("mailsweep.toml")).unwrap();
    let journal = place.read("run/journal.jsonl");
    place.write("run/journal.jsonl", journal.replacen("\"status\":\"ok\"", "\"status\":\"no\"", 1));
    let refused = expect(place.mailsweep(&["status", "run"]), 6);
    assert!(stderr(&refused).contains("damaged or was altered"), "{}", stderr(&refused));
}
