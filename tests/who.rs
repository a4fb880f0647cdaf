//! Who works on a run, and why: found, kept with each session, and asked for where that is a must.

mod support;

use std::process::Command;

use mailsweep::sandbox::{Fault, Rule, Script};
use support::{Place, expect, job, server, stderr};

/// A command without a word about who it is.
fn nobody(place: &Place, args: &[&str]) -> Command {
    let mut command = place.mailsweep(args);
    for name in ["SUDO_USER", "LOGNAME", "USER"] {
        command.env_remove(name);
    }
    command
}

/// Who a dry run says that it is, with these variables and flags.
fn operator(config: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let place = Place::new();
    place.write("job.csv", job(1));
    place.write("mailsweep.toml", config);
    let mut command = nobody(&place, &["run", "job.csv", "--sandbox", "--dry-run", "--run-dir", "run"]);
    command.envs(variables.iter().copied()).args(flags);
    expect(command, 0);
    let facts: serde_json::Value = serde_json::from_str(&place.read("run/run.json")).unwrap();
    let text = |key: &str| facts[key].as_str().unwrap().to_owned();
    assert_eq!(text("unix_user"), unix_user(), "whoever it says that it is");
    let session = &place.summary("run")["sessions"][0];
    assert_eq!((&session["operator"], &session["unix_user"]), (&facts["operator"], &facts["unix_user"]));
    text("operator")
}

fn unix_user() -> String {
    let name = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(name.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_nearest_word_about_the_operator_counts() {
    let config = "operator = \"configured\"\n";
    let all =
        [("MAILSWEEP_OPERATOR", "variable"), ("SUDO_USER", "caller"), ("LOGNAME", "login"), ("USER", "user")];
    assert_eq!(operator(config, &all, &["--operator", "flag"]), "flag");
    assert_eq!(operator(config, &all, &[]), "variable");
    assert_eq!(operator(config, &all[1..], &[]), "configured");
    assert_eq!(operator("", &all[1..], &[]), "caller");
    assert_eq!(operator("", &all[2..], &[]), "login");
    assert_eq!(operator("", &all[3..], &[]), "user");
    assert_eq!(operator("", &[], &[]), unix_user());
    assert_eq!(operator(config, &[("MAILSWEEP_OPERATOR", "")], &["--operator", " "]), "configured");
    assert_eq!(operator(config, &[("MAILSWEEP_OPERATOR", "")], &[]), "configured");
}

#[test]
fn each_session_has_its_own_operator_and_ticket_in_journal_and_summary() {
    let place = Place::new();
    place.write("job.csv", job(3));
    let fails = Rule::new(Fault::ApiFailure("Busy.".into())).email("user001").once();
    let sandbox = server(3, 0, Script::of([fails]));
    let flags = ["--rate", "none", "--operator", "anna", "--ticket", " INC-1\u{1b}[2J "];
    expect(place.run_against(&sandbox.url(), &flags), 1);
    let mut again = place.mailsweep(&["resume", "run", "--retry-failed", "--operator", "ben"]);
    again.args(["--ticket", "INC-2"]);
    expect(again, 0);
    let summary = place.summary("run");
    let journal = place.read("run/journal.jsonl");
    let entries: Vec<serde_json::Value> = journal
        .lines()
        .filter(|line| line.starts_with("{\"t\":\"session\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for told in [summary["sessions"].as_array().unwrap(), &entries] {
        let of = |key: &str| told.iter().map(|session| session[key].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(of("operator"), ["anna", "ben"]);
        assert_eq!(of("ticket"), ["INC-1 [2J", "INC-2"]);
        assert_eq!(of("unix_user"), [unix_user(), unix_user()]);
    }
    let facts: serde_json::Value = serde_json::from_str(&place.read("run/run.json")).unwrap();
    assert_eq!((&facts["operator"], &facts["ticket"]), (&"anna".into(), &"INC-1 [2J".into()));
}

#[test]
fn where_a_ticket_is_a_must_a_run_without_one_is_not_begun_and_its_resume_needs_none() {
    let place = Place::new();
    place.write("job.csv", job(2));
    place.write("mailsweep.toml", "require_ticket = true\n");
    let sandbox = server(
        2,
        0,
        Script::of([Rule::new(Fault::ApiFailure("Busy.".into())).function("suspend_login").once()]),
    );
    for without in [&[][..], &["--ticket", " "]] {
        let told = stderr(&expect(place.run_against(&sandbox.url(), without), 2));
        assert!(told.contains("requires a ticket") && told.contains("--ticket TEXT"), "{told}");
        assert!(sandbox.requests().is_empty() && !place.path("run").exists());
    }
    expect(place.run_against(&sandbox.url(), &["--ticket", "INC-1", "--rate", "none"]), 1);
    expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 0);
    assert_eq!(place.summary("run")["sessions"][1]["ticket"], serde_json::Value::Null);
    place.write("mailsweep.toml", "require_ticket = true\nticket = \"INC-9\"\n");
    std::fs::remove_dir_all(place.path("run")).unwrap();
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    assert_eq!(place.summary("run")["sessions"][0]["ticket"], "INC-9");
}
