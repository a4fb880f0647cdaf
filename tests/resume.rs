//! `mailsweep resume`, and the other way to go on: running `unfinished.csv`.

mod support;

use std::process::{Command, Stdio};

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use support::{ENDED, Place, TOKEN, USER, code, expect, job, server, stderr, stdout};

const ONE_BY_ONE: [&str; 4] = ["--rate", "none", "--jobs", "1"];

/// `n` mailboxes with one operation each.
fn logins(n: usize) -> String {
    job(n).replace("login+outgoing", "login")
}

fn failing(mailboxes: usize, rules: impl IntoIterator<Item = Rule>) -> Sandbox {
    server(mailboxes, 0, Script::of(rules))
}

fn api_failure() -> Rule {
    Rule::new(Fault::ApiFailure("The system is busy.".into()))
}

/// The addresses that were asked for, in order.
fn asked(sandbox: &Sandbox) -> Vec<String> {
    sandbox.requests().into_iter().filter_map(|request| request.email).collect()
}

fn all_suspended(sandbox: &Sandbox) -> bool {
    sandbox.world().mailboxes().all(|(_, _, state)| state.flags.login && state.flags.outgoing)
}

#[test]
fn what_is_unfinished_can_be_run_as_it_is_until_all_is_done() {
    let place = Place::blind();
    let rules = [
        api_failure().email("user001").function("suspend_outgoing"),
        api_failure().email("user003"),
        Rule::new(Fault::status(500)).email("user005").function("suspend_login"),
    ];
    let sandbox = failing(8, rules);
    let text = job(8)
        .replace("email,action,channel", "Mailbox;Ticket;Channel;Action")
        .replace(",suspend,login+outgoing", ";x, y;;");
    place.write("job.csv", text);
    let flags = ["--rate", "none", "--retries", "1", "--action", "suspend", "--channel", "login,outgoing"];
    let output = expect(place.run_against(&sandbox.url(), &flags), 1);
    assert!(stderr(&output).contains("run/unfinished.csv"), "{}", stderr(&output));
    assert_eq!(
        place.read("run/unfinished.csv"),
        "Mailbox;Ticket;Channel;Action\n\
         user001@example.com;x, y;outgoing;suspend\n\
         user003@example.com;x, y;login+outgoing;suspend\n\
         user005@example.com;x, y;login;suspend\n"
    );
    sandbox.set_script(Script::default());
    let before = sandbox.requests().len();
    let url = sandbox.url();
    let args =
        ["run", "run/unfinished.csv", "--server", &url, "--user", USER, "--token-file", "token", "--yes"];
    let mut again = place.mailsweep(&args);
    again.args(["--run-dir", "again"]);
    expect(again, 0);
    assert_eq!(sandbox.requests().len() - before, 4, "nothing is done twice");
    assert_eq!(place.column("again", "status"), ["ok"; 4]);
    assert!(!place.path("again/unfinished.csv").exists());
    assert!(all_suspended(&sandbox));
}

#[test]
fn a_bare_list_has_an_unfinished_list_that_names_its_columns() {
    let place = Place::new();
    let sandbox = failing(3, [api_failure().email("user001")]);
    place.write("job.csv", "user000@example.com\nuser001@example.com\nuser002@example.com\n");
    expect(place.run_against(&sandbox.url(), &["--action", "suspend", "--channel", "login"]), 1);
    assert_eq!(place.read("run/unfinished.csv"), "email,action,channel\nuser001@example.com,suspend,login\n");
}

#[test]
fn a_run_directory_is_one_processs_at_a_time() {
    let place = Place::blind();
    place.write("job.csv", job(30));
    let sandbox = server(30, 20, Script::default());
    let mut first = place.run_against(&sandbox.url(), &ONE_BY_ONE).stderr(Stdio::null()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 2);
    let second = expect(place.mailsweep(&["resume", "run"]), 5);
    assert!(stderr(&second).contains("in use"), "{}", stderr(&second));
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(sandbox.requests().len(), 60, "the second one sent nothing");
    expect(place.mailsweep(&["resume", "run"]), 0);
}

#[test]
fn what_is_no_run_or_was_altered_is_refused() {
    let place = Place::new();
    place.write("job.csv", logins(3));
    let sandbox = failing(3, [api_failure().email("user001")]);
    expect(place.run_against(&sandbox.url(), &ONE_BY_ONE), 1);
    sandbox.set_script(Script::default());
    std::fs::create_dir(place.path("empty")).unwrap();
    let mut refusals = vec![("none", None), ("empty", None), ("job.csv", None)];
    let input = place.read("run/input.csv");
    let facts = place.read("run/run.json");
    refusals.push(("run", Some(("input.csv", input.replace("user002", "user009")))));
    refusals.push(("run", Some(("input.csv", input.clone() + "\n"))));
    refusals.push(("run", Some(("input.csv", "nonsense\n".to_owned()))));
    refusals.push(("run", Some(("run.json", facts.replace("\"jobs\": 1", "\"jobs\": 9")))));
    refusals.push(("run", Some(("run.json", facts.replace("\"format\": 2", "\"format\": 3")))));
    refusals.push(("run", Some(("run.json", facts[..facts.len() / 2].to_owned()))));
    let before = sandbox.requests().len();
    for (dir, alteration) in refusals {
        if let Some((file, text)) = &alteration {
            assert_ne!(&place.read(format!("run/{file}")), text);
            place.write(&format!("run/{file}"), text);
        }
        let output = expect(place.mailsweep(&["resume", dir, "--retry-failed"]), 6);
        assert!(stderr(&output).contains(dir), "{alteration:?}: {}", stderr(&output));
        place.write("run/input.csv", &input);
        place.write("run/run.json", &facts);
    }
    std::fs::remove_file(place.path("run/input.csv")).unwrap();
    expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 6);
    place.write("run/input.csv", &input);
    assert_eq!(sandbox.requests().len(), before, "nothing was sent");
    expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 0);
}

#[test]
fn with_nothing_to_take_up_it_sends_nothing_and_gives_the_runs_code() {
    let place = Place::new();
    place.write("job.csv", logins(3));
    let mut sandbox = failing(3, [api_failure().email("user001")]);
    expect(place.run_against(&sandbox.url(), &ONE_BY_ONE), 1);
    sandbox.stop();
    std::fs::remove_file(place.path("token")).unwrap();
    let before = place.read("run/journal.jsonl");
    let output = expect(place.mailsweep(&["resume", "run", "--json", "-o", "copy.csv"]), 1);
    assert!(stderr(&output).contains("nothing to resume"), "{}", stderr(&output));
    assert_eq!(place.read("copy.csv"), place.read("run/results.csv"));
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&told["exit_code"], &told["counts"]["failed"]), (&1.into(), &1.into()));
    assert_eq!(place.read("run/journal.jsonl"), before);
    let quiet = expect(place.mailsweep(&["resume", "run", "-q"]), 1);
    assert!((1..=15).contains(&stderr(&quiet).lines().count()));
}

#[test]
fn failed_operations_are_taken_up_only_when_asked_for() {
    let place = Place::blind();
    place.write("job.csv", logins(6));
    let rules = [
        api_failure().email("user001"),
        Rule::new(Fault::ApiFailure("You do not have an email account named “x”.".into())).email("user002"),
        Rule::new(Fault::status(500)).email("user003"),
    ];
    let sandbox = failing(6, rules);
    expect(place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "1", "--retries", "0"]), 1);
    let statuses = |place: &Place| place.column("run", "status").join(" ");
    assert_eq!(statuses(&place), "ok failed failed unknown ok ok");
    sandbox.set_script(Script::default());
    let taken_up = |args: &[&str], expected: i32| {
        let before = asked(&sandbox).len();
        let mut command = place.mailsweep(&["resume", "run"]);
        command.args(args);
        expect(command, expected);
        asked(&sandbox).split_off(before).concat().replace("@example.com", "")
    };
    assert_eq!(taken_up(&[], 1), "");
    assert_eq!(taken_up(&["--retry", "throttled,tls"], 1), "");
    assert_eq!(taken_up(&["--retry", "api"], 1), "user001");
    assert_eq!(statuses(&place), "ok ok failed unknown ok ok");
    assert_eq!(place.column("run", "error")[1], "", "what was wrong is no longer so");
    assert_eq!(taken_up(&["--retry-failed"], 0), "user002user003");
    assert_eq!(statuses(&place), "ok ok ok ok ok ok");
    assert_eq!(place.column("run", "attempts")[1..4], ["2", "2", "2"]);
    assert!(!place.path("run/unfinished.csv").exists());
    let summary = place.summary("run");
    assert_eq!(summary["sessions"].as_array().unwrap().len(), 3, "two of them did nothing");
    let at = |time: &serde_json::Value| {
        time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
    };
    let (login, sessions) = (&summary["channels"]["login"], &summary["sessions"]);
    assert_eq!(login["operations"], 6);
    let since_the_first = at(&login["last_ended_at"]) - at(&sessions[0]["started_at"]);
    assert_eq!(login["max_ms"], since_the_first, "its time counts from the first session");
    assert!(at(&login["last_ended_at"]) >= at(&sessions[2]["started_at"]), "the last one did the last of it");
    let told = stderr(&expect(place.mailsweep(&["resume", "run", "--retry", "nonsense"]), 2));
    assert!(told.contains("nonsense"), "{told}");
}

#[test]
fn what_a_later_operation_has_overtaken_is_superseded() {
    let place = Place::blind();
    let text = "email,action,channel\nuser000@example.com,suspend,login\nuser000@example.com,unsuspend,login\n\
                user001@example.com,suspend,login\n";
    place.write("job.csv", text);
    let sandbox = failing(2, [api_failure().function("suspend_login").email("user000")]);
    expect(place.run_against(&sandbox.url(), &["--allow-conflicts"]), 1);
    assert_eq!(place.column("run", "status"), ["failed", "ok", "ok"]);
    assert!(!place.path("run/unfinished.csv").exists(), "to run that row again would undo the later one");
    sandbox.set_script(Script::default());
    let before = sandbox.requests().len();
    let mut resume = place.mailsweep(&["resume", "run", "--retry-failed"]);
    // Of no use to a run that has a token file, and no reason to stop either.
    resume.env("MAILSWEEP_TOKEN", "x").env("MAILSWEEP_PASSWORD", "y");
    expect(resume, 0);
    assert_eq!(place.column("run", "status"), ["superseded", "ok", "ok"]);
    assert_eq!(sandbox.requests().len(), before);
    assert!(!sandbox.world().mailbox("user000@example.com").unwrap().flags.login);
}

#[test]
fn after_a_refused_token_the_new_one_is_read_and_the_refused_operation_goes_last() {
    for again in [&["resume", "run"][..], &["resume", "run", "--token-file", "new"]] {
        let place = Place::blind();
        place.write("job.csv", job(5));
        let sandbox = server(5, 0, Script::default());
        sandbox.set_token(USER, "ANOTHER-TOKEN").unwrap();
        expect(place.run_against(&sandbox.url(), &ONE_BY_ONE), 4);
        assert_eq!(asked(&sandbox), ["user000@example.com"], "one request and no more");
        assert!(place.column("run", "error_class").iter().all(|class| class == "auth"));
        assert!(place.column("run", "status").iter().all(|status| status == "not_attempted"));
        place.write(again.get(3).unwrap_or(&"token"), "ANOTHER-TOKEN\n");
        expect(place.mailsweep(again), 0);
        let requests = sandbox.requests().split_off(1);
        // It comes when all else has ended, and with it what comes behind it in its mailbox.
        let refused: Vec<_> =
            (0..10).filter(|i| requests[*i].email.as_deref() == Some("user000@example.com")).collect();
        assert_eq!(refused, [8, 9]);
        assert_eq!(requests[refused[0]].function, "suspend_login");
        assert_eq!(requests[refused[1]].function, "suspend_outgoing");
        assert_eq!(requests.len(), 10);
        assert!(all_suspended(&sandbox));
    }
}

#[test]
fn a_refusal_after_good_answers_is_told_as_what_it_likely_is() {
    let place = Place::blind();
    place.write("job.csv", logins(30));
    let sandbox = server(30, 5, Script::of([Rule::new(Fault::status(403)).email("user007")]));
    let output = expect(place.run_against(&sandbox.url(), &ONE_BY_ONE), 4);
    assert!(stderr(&output).contains("after 7 good answers"), "{}", stderr(&output));
    assert_eq!(place.column("run", "status")[6..8], ["ok", "not_attempted"]);
    // Its own mailbox may be the cause: all others are done before it is met again.
    let resumed = expect(place.mailsweep(&["resume", "run"]), 4);
    assert!(stderr(&resumed).contains("after 22 good answers"), "{}", stderr(&resumed));
    assert_eq!(place.column("run", "status").iter().filter(|status| *status == "ok").count(), 29);
    assert_eq!(place.read("run/unfinished.csv"), "email,action,channel\nuser007@example.com,suspend,login\n");
}

#[test]
fn the_command_that_is_printed_can_be_pasted_whatever_the_name() {
    for name in ["-n", "it's a run", "--json", "a\u{1b}b"] {
        let place = Place::new();
        place.write("job.csv", logins(3));
        let sandbox = failing(3, [api_failure().email("user001").once()]);
        let url = sandbox.url();
        let mut command = place.mailsweep(&["run", "job.csv", "--server", &url, "--user", USER, "--yes"]);
        command.args(["--token-file", "token", "--max-errors", "0"]).args(ONE_BY_ONE);
        command.arg(format!("--run-dir={name}"));
        let told = stderr(&expect(command, 3));
        let line = told.lines().find(|line| line.trim_start().starts_with("mailsweep resume")).unwrap();
        let line = line.trim().replacen("mailsweep", env!("CARGO_BIN_EXE_mailsweep"), 1);
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("{line} --retry-failed")]).current_dir(place.path("."));
        if shell.output().is_err_and(|fault| fault.kind() == std::io::ErrorKind::NotFound) {
            return; // No bash here: nothing to ask.
        }
        assert_eq!(place.column(name, "status"), ["ok"; 3], "{line}");
    }
}

/// A run in the usual place that was stopped by its second failure.
fn stopped(place: &Place, sandbox: &Sandbox, name: &str) -> String {
    let job_file = format!("{name}.csv");
    place.write(&job_file, logins(3));
    let url = sandbox.url();
    let mut command = place.mailsweep(&["run", &job_file, "--server", &url, "--user", USER]);
    command.args(["--token-file", "token", "--yes", "--max-errors", "0"]).args(ONE_BY_ONE);
    let output = expect(command, 3);
    let told = stderr(&output);
    let from = told.find("mailsweep resume mailsweep-runs/").unwrap_or_else(|| panic!("{told}"));
    told[from..].split_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn without_a_name_the_newest_is_taken_and_named() {
    let place = Place::new();
    let none = expect(place.mailsweep(&["resume"]), 6);
    assert!(stderr(&none).contains("mailsweep-runs"), "{}", stderr(&none));
    let sandbox = failing(3, [api_failure().email("user001")]);
    // Names decide, and these are of the same second or in order.
    let older = stopped(&place, &sandbox, "a");
    let newer = stopped(&place, &sandbox, "b");
    sandbox.set_script(Script::default());
    let output = expect(place.mailsweep(&["resume", "--retry-failed"]), 0);
    assert!(stderr(&output).contains(&newer) && !stderr(&output).contains(&older), "{}", stderr(&output));
    // That one is through: now the other is the newest that waits. Its bare name will do too.
    let name = older.rsplit('/').next().unwrap();
    let output = expect(place.mailsweep(&["resume"]), 1);
    assert!(stderr(&output).contains(name), "{}", stderr(&output));
    expect(place.mailsweep(&["resume", name, "--retry-failed"]), 0);
    expect(place.mailsweep(&["resume"]), 6);
}

#[test]
fn a_run_that_left_but_one_open_call_is_found_too() {
    let place = Place::new();
    place.write("job.csv", logins(1));
    let sandbox = failing(1, [Rule::new(Fault::ResetAfter)]);
    let url = sandbox.url();
    let args = ["run", "job.csv", "--server", &url, "--user", USER, "--token-file", "token", "--yes"];
    let mut command = place.mailsweep(&args);
    command.args(["--retries", "0"]);
    let told = stderr(&expect(command, 4));
    assert!(told.contains("mailsweep resume mailsweep-runs/"), "{told}");
    sandbox.set_script(Script::default());
    expect(place.mailsweep(&["resume"]), 0);
}

#[test]
fn one_that_is_older_than_a_day_must_be_named() {
    let place = Place::new();
    let sandbox = failing(3, [api_failure().email("user001")]);
    let run = stopped(&place, &sandbox, "a");
    let facts = place.read(format!("{run}/run.json"));
    let from = facts.find("\"started_at\": \"").unwrap() + "\"started_at\": \"".len();
    let aged = format!("{}2020-01-01{}", &facts[..from], &facts[from + 10..]);
    place.write(&format!("{run}/run.json"), aged);
    let before = sandbox.requests().len();
    let output = place.mailsweep(&["resume"]).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains(&format!("mailsweep resume {run}")), "{}", stderr(&output));
    assert_eq!(sandbox.requests().len(), before);
}

#[test]
fn a_run_on_the_embedded_sandbox_is_resumed_with_its_state() {
    let place = Place::new();
    place.write("job.csv", job(20));
    let mut child = place
        .mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--run-dir", "run"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    place.wait_for_journal("run", ENDED, 3);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut resume = place.mailsweep(&["resume", "run"]);
    resume.args(["--rate", "none"]);
    expect(resume, 0);
    assert_eq!(place.column("run", "status"), ["ok"; 40]);
    let world = mailsweep::sandbox::World::load(&place.path("run/sandbox.json")).unwrap();
    assert!(world.mailboxes().all(|(_, _, state)| state.flags.login && state.flags.outgoing));
    assert!(!String::from_utf8_lossy(&place.all_bytes()).contains(TOKEN));
}

#[test]
fn what_is_taken_up_again_is_not_counted_as_done() {
    let place = Place::new();
    place.write("job.csv", job(3));
    let sandbox = failing(3, [api_failure().email("user001")]);
    expect(place.run_against(&sandbox.url(), &[]), 1);
    sandbox.set_script(Script::default());
    let resumed = expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 0);
    assert!(stderr(&resumed).contains("6 of 6"), "{}", stderr(&resumed));
}

#[test]
fn a_run_that_was_killed_before_its_journal_begins_with_it() {
    let place = Place::blind();
    place.write("job.csv", job(2));
    let sandbox = server(2, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &[]), 0);
    for made_later in ["journal.jsonl", "results.csv", "summary.json"] {
        std::fs::remove_file(place.path("run").join(made_later)).unwrap();
    }
    expect(place.mailsweep(&["resume", "run"]), 0);
    assert_eq!(place.column("run", "status"), ["ok"; 4]);
}

#[test]
fn a_summary_that_a_kill_left_out_is_written_by_the_next_resume() {
    let place = Place::blind();
    place.write("job.csv", job(2));
    let sandbox = server(2, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &[]), 0);
    let whole = place.summary("run");
    std::fs::remove_file(place.path("run/summary.json")).unwrap();
    expect(place.mailsweep(&["resume", "run"]), 0);
    assert_eq!(place.summary("run"), whole);
    assert_eq!(sandbox.requests().len(), 4, "nothing was sent");
}

#[test]
fn what_is_printed_to_be_typed_later_finds_the_credential_that_this_session_had() {
    let place = Place::new();
    place.write("job.csv", job(2));
    let sandbox = server(2, 0, Script::default());
    place.write("wrong", "not-the-token");
    place.write("right", support::TOKEN);
    let url = sandbox.url();
    let run = ["run", "job.csv", "--server", &url, "--user", "exampleu", "--token-file", "wrong"];
    expect(place.mailsweep(&[&run[..], &["--yes", "--run-dir", "run"]].concat()), 4);
    let told = stderr(&expect(place.mailsweep(&["resume", "run", "--token-file", "right"]), 0));
    for verb in ["verify", "undo"] {
        let command =
            told.lines().find_map(|line| line.find(&format!("mailsweep {verb}")).map(|at| &line[at..]));
        let mut words: Vec<&str> = command.expect(&told).split(' ').skip(1).collect();
        if verb == "undo" {
            words.push("--yes");
        }
        expect(place.mailsweep(&words), 0);
    }
}
