//! What is said of an undo, before it and after it, and what is read of a run that was given to one.

#[path = "support/states.rs"]
mod states;
mod support;
#[path = "support/undone.rs"]
mod undone;

use states::set;
use support::{expect, stderr, stdout};
use undone::{ALL, all, suspended, undo, undo_of};

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
