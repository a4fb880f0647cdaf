//! `mailsweep history`: what all runs have done to one mailbox.

mod support;

use std::process::{Command, Output};

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use support::{ENDED, Place, USER, expect, job, server, stderr, stdout};

/// A run in the usual place, of a job with this name.
fn run(place: &Place, sandbox: &Sandbox, name: &str, text: &str, flags: &[&str]) -> Command {
    let job_file = format!("{name}.csv");
    place.write(&job_file, text);
    let url = sandbox.url();
    let mut command = place.mailsweep(&["run", &job_file, "--server", &url, "--user", USER, "--yes"]);
    command.args(["--token-file", "token", "--rate", "none"]).args(flags);
    command
}

/// The one run of a job with this name, by its directory.
fn dir_of(place: &Place, name: &str) -> String {
    let runs = std::fs::read_dir(place.path("mailsweep-runs")).unwrap();
    let mut names = runs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.find(|dir| dir.ends_with(&format!("Z-{name}"))).unwrap()
}

fn history(place: &Place, address: &str, code: i32) -> (serde_json::Value, Output) {
    let output = expect(place.mailsweep(&["history", address, "--json"]), code);
    (serde_json::from_str(&stdout(&output)).unwrap(), output)
}

fn of<'a>(history: &'a serde_json::Value, key: &str) -> Vec<&'a serde_json::Value> {
    history["operations"].as_array().unwrap().iter().map(|deed| &deed[key]).collect()
}

#[test]
fn every_operation_of_every_run_is_listed_with_who_and_why_and_the_newest_last() {
    let place = Place::new();
    let busy =
        Rule::new(Fault::ApiFailure("Busy.".into())).function("suspend_outgoing").email("user001").once();
    let sandbox = server(3, 0, Script::of([busy]));
    expect(run(&place, &sandbox, "first", &job(3), &["--operator", "anna", "--ticket", "INC-1"]), 1);
    let first = dir_of(&place, "first");
    let again = ["resume", &first, "--retry-failed", "--operator", "ben", "--ticket", "INC-2"];
    expect(place.mailsweep(&again), 0);
    let others = "email,action,channel\nuser002@example.com,suspend,incoming\n";
    expect(run(&place, &sandbox, "others", others, &[]), 0);
    expect(run(&place, &sandbox, "rehearsed", &job(3), &["--dry-run"]), 0);
    let back =
        "email,action,channel\n USER001@Example.com,unsuspend,login\nuser001@example.com,unsuspend,login\n";
    expect(run(&place, &sandbox, "back", back, &["--operator", "cleo"]), 0);
    let back = dir_of(&place, "back");

    let (found, _) = history(&place, "User001@example.COM", 0);
    assert_eq!((&found["mailbox"], &found["runs"]), (&"user001@example.com".into(), &4.into()));
    assert_eq!(of(&found, "channel"), ["login", "outgoing", "login", "login"]);
    assert_eq!(of(&found, "action"), ["suspend", "suspend", "unsuspend", "unsuspend"]);
    assert_eq!(of(&found, "status"), ["ok", "ok", "ok", "duplicate"]);
    assert_eq!(of(&found, "run"), [&first, &first, &back, &back]);
    assert_eq!(
        of(&found, "operator"),
        ["anna", "ben", "cleo", "cleo"],
        "the second one was done by the resume"
    );
    let null = &serde_json::Value::Null;
    assert_eq!(of(&found, "ticket"), [&"INC-1".into(), &"INC-2".into(), null, null]);
    assert_eq!(of(&found, "account"), [USER; 4]);
    assert_eq!(of(&found, "state_before")[2], "suspended");
    assert_eq!(of(&found, "verified")[2], true);
    let results = place.results(&format!("mailsweep-runs/{first}"));
    let server = results[0]["server"].clone();
    assert_eq!(of(&found, "server"), [server.as_str(); 4]);

    let output = expect(place.mailsweep(&["history", "user001@example.com"]), 0);
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for part in ["suspend", "outgoing", "ok", "ben", "INC-2", &first, &server] {
        assert!(lines[2].contains(part), "{part} is not in {}", lines[2]);
    }
    assert!(lines[0].starts_with("time") && lines[4].contains("duplicate"), "{lines:?}");

    let none = expect(place.mailsweep(&["history", "nobody@example.com"]), 0);
    assert!(stdout(&none).is_empty() && stderr(&none).contains("in 4 runs of"), "{}", stderr(&none));
    expect(place.mailsweep(&["history", "nobody"]), 2);
}

#[test]
fn what_was_taken_back_is_told_with_the_run_that_did_it() {
    let place = Place::new();
    let sandbox = server(2, 0, Script::default());
    expect(run(&place, &sandbox, "first", &job(2), &[]), 0);
    let first = dir_of(&place, "first");
    place.write("part.txt", "user001@example.com\n");
    let undo = ["undo", &first, "--yes", "--only", "part.txt", "--rate", "none"];
    expect(place.mailsweep(&undo), 0);
    let undo = dir_of(&place, &format!("undo-{first}"));
    let null = &serde_json::Value::Null;
    let (found, _) = history(&place, "user001@example.com", 0);
    assert_eq!(of(&found, "action"), ["suspend", "suspend", "unsuspend", "unsuspend"]);
    assert_eq!(of(&found, "run"), [&first, &first, &undo, &undo]);
    assert_eq!(of(&found, "undone_by"), [&undo.clone().into(), &undo.clone().into(), null, null]);
    let (other, _) = history(&place, "user000@example.com", 0);
    assert_eq!(of(&other, "undone_by"), [null; 2]);
    let told = stdout(&expect(place.mailsweep(&["history", "user001@example.com"]), 0));
    assert!(told.contains("taken back by"), "{told}");
}

#[test]
fn what_went_wrong_is_told_in_the_servers_words_and_cannot_move_a_cursor() {
    let place = Place::new();
    let fails = Rule::new(Fault::ApiFailure("No\u{1b}[2J way.".into()));
    let sandbox = server(1, 0, Script::of([fails]));
    let text = job(1).replace("+outgoing", "");
    expect(run(&place, &sandbox, "failed", &text, &["--ticket", "INC-1"]), 1);
    let (found, output) = history(&place, "user000@example.com", 0);
    assert_eq!(of(&found, "status"), ["failed"]);
    assert_eq!(of(&found, "error_class"), ["api"]);
    let told = stdout(&expect(place.mailsweep(&["history", "user000@example.com"]), 0));
    assert!(told.contains("api: No [2J way.") && !told.contains('\u{1b}'), "{told}");
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn runs_that_never_had_to_do_with_it_are_passed_over_and_those_that_cannot_be_read_are_named() {
    let place = Place::new();
    let sandbox = server(3, 0, Script::default());
    let only = |n: usize| format!("email,action,channel\nuser00{n}@example.com,suspend,login\n");
    for name in ["sound", "damaged", "hidden", "headless"] {
        expect(run(&place, &sandbox, name, &only(1), &[]), 0);
    }
    expect(run(&place, &sandbox, "other", &only(2), &[]), 0);
    let path = |name: &str, file: &str| format!("mailsweep-runs/{}/{file}", dir_of(&place, name));
    place.write(&path("other", "journal.jsonl"), "nonsense\n");
    let (found, _) = history(&place, "user001@example.com", 0);
    assert_eq!(of(&found, "status").len(), 4, "the journal of a run that does not name it is not even read");

    place.write(&path("damaged", "journal.jsonl"), "nonsense\n");
    place.write(&path("hidden", "input.csv"), only(0));
    std::fs::remove_file(place.path(&path("headless", "run.json"))).unwrap();
    std::fs::create_dir(place.path("mailsweep-runs/notes")).unwrap();
    place.write("mailsweep-runs/list.txt", "mine");
    let (found, output) = history(&place, "user001@example.com", 1);
    assert_eq!(of(&found, "run"), [&dir_of(&place, "sound")]);
    let unreadable = found["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 3, "{unreadable:?}");
    for (name, why) in
        [("damaged", "line 1"), ("hidden", "input.csv was altered"), ("headless", "no run.json")]
    {
        let dir = dir_of(&place, name);
        let is_told = |unreadable: &serde_json::Value| {
            let text = |key: &str| unreadable[key].as_str().unwrap();
            text("run_dir").ends_with(&dir) && text("reason").contains(why)
        };
        assert!(unreadable.iter().any(is_told), "{name}: {unreadable:?}");
        assert!(stderr(&output).contains(&dir), "{}", stderr(&output));
    }
}

#[test]
fn a_run_at_work_is_listed_and_not_disturbed() {
    let place = Place::new();
    place.write("mailsweep.toml", "runs_dir = \"elsewhere\"\n");
    let sandbox = server(60, 200, Script::default());
    let mut at_work = run(&place, &sandbox, "slow", &job(60), &["--jobs", "1", "--operator", "anna"]);
    let mut at_work = at_work.stderr(std::process::Stdio::null()).spawn().unwrap();
    let entry = || std::fs::read_dir(place.path("elsewhere")).ok()?.next()?.ok();
    support::wait_until("a run", || entry().is_some());
    let dir = format!("elsewhere/{}", entry().unwrap().file_name().to_string_lossy());
    place.wait_for_journal(&dir, ENDED, 2);
    let (done, _) = history(&place, "user000@example.com", 0);
    let (waits, _) = history(&place, "user059@example.com", 0);
    let ended = place.read(format!("{dir}/journal.jsonl")).matches(ENDED).count();
    place.wait_for_journal(&dir, ENDED, ended + 2);
    let told = stdout(&expect(place.mailsweep(&["history", "user059@example.com"]), 0));
    at_work.kill().unwrap();
    at_work.wait().unwrap();
    assert_eq!(of(&done, "status")[0], "ok");
    assert_eq!(of(&waits, "status"), [&serde_json::Value::Null; 2]);
    assert!(told.contains("at work") && told.contains("anna"), "{told}");
    let (killed, _) = history(&place, "user059@example.com", 0);
    assert_eq!(of(&killed, "status"), ["not_attempted"; 2]);
}
