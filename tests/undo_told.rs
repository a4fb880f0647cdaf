//! What is said of an undo, before it and after it, and what is read of a run that was given to one.

#[path = "support/states.rs"]
mod states;
mod support;

use std::process::Command;

use mailsweep::sandbox::{Sandbox, Script};
use states::{set, states};
use support::{Place, expect, server, stderr, stdout};

const ALL: &str = "email,action,channel\nuser000@example.com,suspend,all\nuser001@example.com,suspend,all\n\
                   user002@example.com,suspend,all\n";

/// `undo run` into `undo`.
fn undo(place: &Place, args: &[&str]) -> Command {
    undo_of(place, "run", "undo", args)
}

fn undo_of(place: &Place, run: &str, into: &str, args: &[&str]) -> Command {
    let mut command = place.mailsweep(&["undo", run, "--yes", "--run-dir", into, "--rate", "none"]);
    command.args(args);
    command
}

/// A run of `rows` against a server of `n` mailboxes, which `prepare` has made what they are.
fn done(n: usize, rows: &str, prepare: impl Fn(&Sandbox), args: &[&str], code: i32) -> (Place, Sandbox) {
    let place = Place::new();
    place.write("job.csv", rows);
    let sandbox = server(n, 0, Script::default());
    prepare(&sandbox);
    let mut run = place.run_against(&sandbox.url(), &["--rate", "none"]);
    run.args(args);
    expect(run, code);
    (place, sandbox)
}

/// [`done`] of [`ALL`], some of whose mailboxes were suspended for other reasons.
fn suspended() -> (Place, Sandbox) {
    let prepare = |sandbox: &Sandbox| {
        set(sandbox, "user001@example.com", "l");
        set(sandbox, "user002@example.com", "io");
    };
    done(3, ALL, prepare, &[], 0)
}

/// The letters of all mailboxes, one word each.
fn all(sandbox: &Sandbox) -> String {
    states(sandbox).into_values().collect::<Vec<_>>().join(" ")
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_dry_run_shows_what_would_be_put_back_and_touches_nothing() {
    let (place, sandbox) = suspended();
    let (journal, requests) = (place.read("run/journal.jsonl"), sandbox.requests_seen());
    let mut command = place.mailsweep(&["undo", "run", "--dry-run", "-o", "would.csv", "--json"]);
    command.env_remove("MAILSWEEP_TOKEN");
    let output = expect(command, 0);
    let told = stderr(&output);
    assert!(told.contains("Dry run of undoing run: nothing is sent"), "{told}");
    assert!(told.contains("unsuspend  login"), "{told}");
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&summary["counts"]["planned"], &summary["run_id"]), (&6.into(), &serde_json::Value::Null));
    assert_eq!(place.read("would.csv").lines().count(), 7);
    assert_eq!(sandbox.requests_seen(), requests, "no server was asked");
    assert_eq!(place.read("run/journal.jsonl"), journal);
    // Nor is the way to the real one barred.
    expect(undo(&place, &[]), 0);
    assert_eq!(all(&sandbox), "- l io");
    expect(place.mailsweep(&["undo", "run", "--dry-run"]), 0);
}

#[test]
fn a_run_that_was_taken_back_says_so_wherever_it_is_told() {
    let (place, _sandbox) = suspended();
    let earlier = place.read("run/summary.json");
    expect(undo(&place, &[]), 0);
    let told = stdout(&expect(place.mailsweep(&["status", "run"]), 0));
    assert!(told.contains("; 6 given to an undo; "), "{told}");
    assert!(
        told.contains("\ngiven to the undo undo: 6 operations; how that went: mailsweep status undo\n"),
        "{told}"
    );
    let told: serde_json::Value =
        serde_json::from_str(&stdout(&expect(place.mailsweep(&["status", "run", "--json"]), 0))).unwrap();
    assert_eq!(told["undone"], serde_json::json!([{ "by": "undo", "operations": 6 }]));
    let told = stderr(&expect(place.mailsweep(&["verify", "run"]), 0));
    assert!(told.contains("Given to the undo undo; does that hold? mailsweep verify undo"), "{told}");
    // From elsewhere its name would not find it.
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    let mut command = place.mailsweep(&["status", place.path("run").to_str().unwrap()]);
    command.current_dir(place.path("elsewhere"));
    let told = stdout(&expect(command, 0));
    let undo = place.path("undo").canonicalize().unwrap();
    assert!(told.contains(&format!("mailsweep status {}\n", undo.display())), "{told}");
    // A figure that was altered is found, and one that a kill has cost is not called that.
    let summary = place.read("run/summary.json");
    let mut without = json(&summary);
    without.as_object_mut().unwrap().remove("undone");
    place.write("run/summary.json", earlier);
    expect(place.mailsweep(&["audit", "run"]), 0);
    place.write("run/summary.json", format!("{without:#}\n"));
    expect(place.mailsweep(&["audit", "run"]), 1);
    place.write("run/summary.json", summary.replace("\"operations\": 6", "\"operations\": 5"));
    expect(place.mailsweep(&["audit", "run"]), 1);
    place.write("run/summary.json", summary);
    expect(place.mailsweep(&["audit", "run"]), 0);
}

#[test]
fn what_an_undo_has_not_put_back_is_still_verified() {
    let (place, sandbox) = suspended();
    place.write("one.txt", "user000@example.com\n");
    // It is to put back all of the run, and what it has put back is in turn undone for one mailbox.
    expect(undo(&place, &[]), 0);
    expect(undo_of(&place, "undo", "again", &["--only", "one.txt"]), 0);
    assert_eq!(all(&sandbox), "lio l io");
    let told = stderr(&expect(place.mailsweep(&["verify", "run"]), 0));
    assert!(told.contains("6 operations looked at: 6 hold; 3 taken back and passed over"), "{told}");
    set(&sandbox, "user000@example.com", "-");
    expect(place.mailsweep(&["verify", "run"]), 1);
}

#[test]
fn a_resume_without_a_name_takes_no_undo() {
    let (place, sandbox) = suspended();
    let output = expect(place.mailsweep(&["undo", "run", "--yes", "--max-changes", "1"]), 3);
    let told = stderr(&output);
    let command = told.lines().last().unwrap().trim();
    assert!(command.ends_with(" --max-changes 6"), "{told}");
    let run = command.split(' ').nth(2).unwrap();
    let status = stdout(&expect(place.mailsweep(&["status", run]), 0));
    assert!(status.contains(command), "{status}");
    // There is a run since.
    place.write("zebra.csv", ALL);
    expect(place.mailsweep(&["run", "zebra.csv", "--sandbox", "--dry-run"]), 0);
    let refused = stderr(&expect(place.mailsweep(&["resume"]), 2));
    assert!(refused.contains("is an undo of run, and there are runs since: name it"), "{refused}");
    assert_eq!(all(&sandbox), "lio lio lio");
    // What was printed works as it stands.
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    expect(place.mailsweep(&words), 0);
    assert_eq!(all(&sandbox), "- l io");
}
