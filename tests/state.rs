//! The state of mailboxes from outside: what is read, what is not called for, what is found out, and
//! what bounds a run that goes by it.

#[path = "support/fleet.rs"]
mod fleet;
mod support;

use std::process::{Command, Stdio};

use fleet::{functions, many, serve, whm};
use mailsweep::sandbox::{Fault, Rule, Sandbox, Script, World};
use rustix::process::{Pid, Signal, kill_process};
use support::{ENDED, Place, USER, expect, job, server, stderr, wait_until};

const READ: &str = "list_pops_with_disk";
const END: &str = "terminate_mailbox_sessions";

/// What is said of an operation that was called for, and of one that was so already.
const CHANGED: &str = "ok yes active suspended";
const UNCHANGED: &str = "unchanged yes suspended suspended";

/// A server with the mailboxes of [`job`], of which every third one's login is suspended already.
fn partly(n: usize, script: Script) -> (Place, Sandbox) {
    let place = Place::new();
    place.write("job.csv", job(n));
    let sandbox = server(n, 0, script);
    sandbox.change(|world| (0..n).step_by(3).for_each(|i| suspend_login(world, i))).unwrap();
    (place, sandbox)
}

fn suspend_login(world: &mut World, i: usize) {
    let address = format!("user{i:03}@example.com");
    let mut state = world.mailbox(&address).unwrap();
    state.flags.login = true;
    assert!(world.set_mailbox(&address, state));
}

/// A run into a directory, without a limit on the rate.
fn command(place: &Place, sandbox: &Sandbox, run: &str, args: &[&str]) -> Command {
    let url = sandbox.url();
    let fixed = ["run", "job.csv", "--server", &url, "--user", USER, "--token-file", "token", "--yes"];
    place.mailsweep(&[&fixed[..], &["--rate", "none", "--run-dir", run], args].concat())
}

fn run(place: &Place, sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    stderr(&expect(command(place, sandbox, "run", args), code))
}

fn resume(place: &Place, args: &[&str], code: i32) -> String {
    stderr(&expect(place.mailsweep(&[&["resume", "run", "--rate", "none"], args].concat()), code))
}

/// Each operation as `STATUS VERIFIED BEFORE AFTER`, with `-` for nothing.
fn told(place: &Place, run: &str) -> Vec<String> {
    let cell = |text: &String| if text.is_empty() { "-".to_owned() } else { text.clone() };
    let columns = ["status", "verified", "state_before", "state_after"];
    place.results(run).iter().map(|row| columns.map(|column| cell(&row[column])).join(" ")).collect()
}

fn ends(place: &Place) -> Vec<String> {
    place.results("run").iter().map(|row| format!("{}/{}", row["status"], row["error_class"])).collect()
}

fn count(sandbox: &Sandbox, function: &str) -> usize {
    functions(sandbox).iter().filter(|name| *name == function).count()
}

#[test]
fn what_is_so_already_is_not_called_for_and_the_same_run_again_changes_nothing() {
    let (place, sandbox) = partly(4, Script::default());
    run(&place, &sandbox, &[], 0);
    let expected = [UNCHANGED, CHANGED, CHANGED, CHANGED, CHANGED, CHANGED, UNCHANGED, CHANGED];
    assert_eq!(told(&place, "run"), expected);
    assert_eq!(sandbox.requests().len(), 1 + 6 + 1, "a reading, six calls, a reading");
    expect(command(&place, &sandbox, "again", &[]), 0);
    assert_eq!(told(&place, "again"), [UNCHANGED; 8]);
    assert_eq!(functions(&sandbox)[8..], [READ]);
    assert_eq!(place.summary("again")["counts"], serde_json::json!({ "unchanged": 8 }));
    assert!(!place.path("again/unfinished.csv").exists());
}

#[test]
fn a_mailbox_that_is_not_there_is_called_for_and_its_neighbours_are_not() {
    let (place, sandbox) = partly(2, Script::default());
    place.write(
        "job.csv",
        "email,action,channel\nser001@example.com,suspend,login\nUSER001@Example.COM,suspend,login\n",
    );
    run(&place, &sandbox, &[], 1);
    assert_eq!(ends(&place), ["failed/no_such_mailbox", "ok/"]);
    assert_eq!(told(&place, "run")[0], "failed - - -");
    // They may go out together, and then come in any order.
    let mut called = fleet::called(&sandbox);
    called.sort();
    assert_eq!(called, ["ser001@example.com", "user001@example.com"]);
}

#[test]
fn a_blind_run_reads_nothing_and_says_that_it_cannot_be_undone() {
    let (place, sandbox) = partly(2, Script::default());
    let said = run(&place, &sandbox, &["--blind"], 0);
    assert!(said.contains("cannot be undone"), "{said}");
    assert_eq!(told(&place, "run"), ["ok - - -"; 4]);
    assert_eq!((sandbox.requests().len(), count(&sandbox, READ)), (4, 0));
    resume(&place, &[], 0);
    assert_eq!(sandbox.requests().len(), 4, "a resume reads nothing either");
    for (flags, says) in [
        (["--blind", "--max-changes", "5"], "--max-changes needs the state"),
        (["--blind", "--require-state", "--no-verify"], "--require-state needs the state"),
    ] {
        let refused = stderr(&expect(command(&place, &sandbox, "no", &flags), 2));
        assert!(refused.contains(says), "{refused}");
    }
    let refused = resume(&place, &["--max-changes", "5"], 2);
    assert!(refused.contains("--max-changes needs the state"), "{refused}");
    expect(command(&place, &sandbox, "all", &["--blind", "--max-changes", "100%"]), 0);
}

#[test]
fn without_verifying_the_state_is_read_before_and_not_after() {
    let (place, sandbox) = partly(2, Script::of([Rule::new(Fault::NoEffect).email("user001")]));
    run(&place, &sandbox, &["--no-verify"], 0);
    let expected = [UNCHANGED, "ok - active -", "ok - active -", "ok - active -"];
    assert_eq!(told(&place, "run"), expected);
    assert_eq!(count(&sandbox, READ), 1);
    resume(&place, &[], 0);
    assert_eq!(count(&sandbox, READ), 1);
}

#[test]
fn a_call_that_did_nothing_is_found_out() {
    let no_effect = Rule::new(Fault::NoEffect).email("user001").function("suspend_outgoing");
    let (place, sandbox) = partly(3, Script::of([no_effect]));
    let said = run(&place, &sandbox, &[], 1);
    let odd = "failed no active active";
    assert_eq!(told(&place, "run"), [UNCHANGED, CHANGED, CHANGED, odd, CHANGED, CHANGED]);
    assert_eq!(ends(&place)[3], "failed/not_applied");
    let error = &place.results("run")[3]["error"];
    assert!(error.contains("accepted the call, and it had no effect"), "{error}");
    assert!(said.contains("not_applied"), "{said}");
    // Taken up again once the server does what it says.
    sandbox.set_script(Script::default());
    resume(&place, &["--retry", "not_applied"], 0);
    assert_eq!(told(&place, "run")[3], CHANGED);
}

#[test]
fn a_fault_after_the_effect_ends_ok_and_one_before_it_failed() {
    let after = Rule::new(Fault::status_after(500)).email("user001");
    let before = Rule::new(Fault::status(500)).email("user002");
    let (place, sandbox) = partly(3, Script::of([after, before]));
    run(&place, &sandbox, &["--retries", "1"], 1);
    let failed = "failed no active active";
    assert_eq!(told(&place, "run"), [UNCHANGED, CHANGED, CHANGED, CHANGED, failed, failed]);
    assert_eq!(ends(&place)[4..], ["failed/http", "failed/http"]);
    assert_eq!(place.results("run")[2]["attempts"], "2");
    assert_eq!(place.results("run")[2]["error"], "");
    let error = &place.results("run")[4]["error"];
    assert!(error.contains("read afterwards: login is active"), "{error}");
}

#[test]
fn where_no_state_can_be_read_calls_go_on_with_a_warning_or_are_left() {
    let unread = || Script::of([Rule::new(Fault::ApiFailure("No list today.".into())).function(READ)]);
    let (place, sandbox) = partly(2, unread());
    let said = run(&place, &sandbox, &[], 0);
    assert_eq!(told(&place, "run"), ["ok - - -"; 4]);
    assert_eq!(said.matches("before cannot be read").count(), 1, "{said}");
    assert!(said.contains("No list today."), "{said}");

    let (place, sandbox) = partly(2, unread());
    run(&place, &sandbox, &["--require-state"], 1);
    assert_eq!(ends(&place), ["not_attempted/no_state"; 4]);
    assert_eq!(functions(&sandbox), [READ]);
    assert!(place.results("run")[0]["error"].contains("--require-state"));
    assert_eq!(place.read("run/unfinished.csv").lines().count(), 3);
    resume(&place, &[], 1);
    assert_eq!(functions(&sandbox), [READ, READ], "the run's own setting");
    resume(&place, &["--require-state=false"], 0);
    assert_eq!(told(&place, "run"), ["ok - - -"; 4]);
}

#[test]
fn over_max_changes_nothing_is_changed_and_the_value_that_passes_is_told() {
    for (most, passes) in [("4", "5"), ("80%", "84%")] {
        let (place, sandbox) = partly(3, Script::default());
        let said = run(&place, &sandbox, &["--max-changes", most], 3);
        assert!(said.contains("5 of 6 operations would change something"), "{said}");
        assert!(said.contains(&format!("--max-changes {passes} lets it through")), "{said}");
        assert_eq!(ends(&place), ["not_attempted/max_changes"; 6]);
        assert_eq!(functions(&sandbox), [READ]);
        assert!(said.contains("mailsweep resume run"), "{said}");
        resume(&place, &["--max-changes", passes], 0);
        assert_eq!(told(&place, "run"), [UNCHANGED, CHANGED, CHANGED, CHANGED, CHANGED, CHANGED]);
    }
}

/// What a dry run keeps of what it would read.
fn settings(config: &str, variables: &[(&str, &str)], args: &[&str]) -> serde_json::Value {
    let place = Place::new();
    place.write("job.csv", job(1));
    place.write("mailsweep.toml", config);
    let fixed = ["run", "job.csv", "--sandbox", "--dry-run", "--run-dir", "run"];
    let mut command = place.mailsweep(&[&fixed[..], args].concat());
    command.envs(variables.iter().copied());
    expect(command, 0);
    let facts: serde_json::Value = serde_json::from_str(&place.read("run/run.json")).unwrap();
    let reading = &facts["settings"]["reading"];
    serde_json::json!([reading["max_changes"], reading["require_state"], reading["state_max_age_ms"]])
}

#[test]
fn the_guards_may_stand_in_the_configuration_and_variables_and_flags_go_over_it() {
    let file = "max_changes = \"5%\"\nrequire_state = true\nstate_max_age = \"2m\"\n";
    let variables =
        [("MAILSWEEP_MAX_CHANGES", "7"), ("MAILSWEEP_REQUIRE_STATE", "0"), ("MAILSWEEP_STATE_MAX_AGE", "3m")];
    let flags = ["--max-changes", "8", "--require-state", "--state-max-age", "4m"];
    let none: &[(&str, &str)] = &[];
    assert_eq!(settings("", none, &[]), serde_json::json!([null, false, null]));
    assert_eq!(settings(file, none, &[]), serde_json::json!(["5%", true, 120_000]));
    assert_eq!(settings(file, &variables, &[]), serde_json::json!(["7", false, 180_000]));
    assert_eq!(settings(file, &variables, &flags), serde_json::json!(["8", true, 240_000]));
    assert_eq!(settings(file, none, &["--require-state=false"])[1], false);
}

#[test]
fn the_preview_shows_what_bounds_a_run_and_what_reaches_beyond_the_job() {
    let place = Place::new();
    let two = serve(&[("alfa", &many(2, "a.example")), ("beta", &many(2, "b.example"))]);
    place.configure(&[whm("web01", &two.url())]);
    let servers = place.read("mailsweep.toml");
    place.write("mailsweep.toml", format!("protect = [\"u1@a*\"]\nmax_changes = 50\n{servers}"));
    let rows = "email,action,channel\nu0@a.example,suspend,login\nu1@a.example,suspend,login\n\
                u0@b.example,suspend,login\nu1@b.example,suspend,incoming\n";
    place.write("job.csv", rows);
    let said = stderr(&expect(place.fleet_run(&["--end-sessions"]), 1));
    for line in [
        "Left aside: 1 operation blocked (protected)",
        "Never touched: u1@a* (key protect of the configuration",
        "At most 50 changes, or nothing is changed",
        "(--max-changes N or N% overrides it)",
        "--end-sessions ends the open IMAP and POP sessions of all mailboxes of 2 accounts",
    ] {
        assert!(said.replace("\n  ", " ").contains(line), "{line}\n{said}");
    }
    let rehearsed = stderr(&expect(place.fleet_run_of("job.csv", "dry", &["--end-sessions", "-n"]), 1));
    assert!(rehearsed.replace("\n  ", " ").contains("of each account in which a login"), "{rehearsed}");
}

#[test]
fn sessions_are_ended_by_post_once_for_each_account_with_a_login_suspended() {
    let place = Place::new();
    let accounts = [("alfa", "a.example"), ("beta", "b.example"), ("gama", "c.example")];
    let lists = accounts.map(|(user, domain)| (user, many(3, domain)));
    let sandbox = serve(&lists.each_ref().map(|(user, list)| (*user, list.as_str())));
    place.configure(&[whm("web01", &sandbox.url())]);
    let rows = "email,action,channel\nu0@a.example,suspend,login\nu1@a.example,suspend,all\n\
                u0@b.example,suspend,login\nu0@c.example,suspend,outgoing\n";
    place.write("job.csv", rows);
    expect(place.fleet_run(&["--end-sessions"]), 0);
    let ended: Vec<_> = sandbox.requests().into_iter().filter(|request| request.function == END).collect();
    let mut named: Vec<_> = ended.iter().filter_map(|request| request.account.clone()).collect();
    named.sort();
    assert_eq!(named, ["alfa", "beta"]);
    assert!(ended.iter().all(|request| request.method == "POST"));
    for account in ["alfa", "beta"] {
        let of_account: Vec<_> = sandbox
            .requests()
            .into_iter()
            .filter(|request| request.account.as_deref() == Some(account))
            .map(|request| request.function)
            .collect();
        assert_eq!(of_account[of_account.len() - 2..], [END, READ], "{of_account:?}");
    }
    let figures = &place.summary("run")["sessions_ended"];
    assert_eq!(*figures, serde_json::json!({ "accounts": 2, "failed": [] }));
    let journal = place.read("run/journal.jsonl");
    assert_eq!(journal.matches("\"t\":\"end_sessions\"").count(), 2);
    assert_eq!(journal.matches("\"t\":\"sessions_ended\"").count(), 2);
}

#[test]
fn sessions_that_cannot_be_ended_are_a_warning_and_code_1_until_a_resume_has_ended_them() {
    let no = Rule::new(Fault::ApiFailure("No such function.".into())).function(END);
    let (place, sandbox) = partly(2, Script::of([no]));
    let said = run(&place, &sandbox, &["--end-sessions"], 1);
    assert_eq!(place.column("run", "status"), ["unchanged", "ok", "ok", "ok"], "no operation failed by it");
    assert!(said.contains("sessions of its mailboxes could not be ended"), "{said}");
    assert!(said.contains("mailsweep resume run"), "{said}");
    let failed = serde_json::json!([{
        "server": place.summary("run")["servers"][0]["name"], "account": USER, "error": "api: No such function.",
    }]);
    assert_eq!(
        place.summary("run")["sessions_ended"],
        serde_json::json!({ "accounts": 0, "failed": failed })
    );
    let before = sandbox.requests().len();
    resume(&place, &[], 1);
    assert_eq!(functions(&sandbox)[before..], [END], "that alone is taken up");
    sandbox.set_script(Script::default());
    resume(&place, &[], 0);
    assert_eq!(place.summary("run")["sessions_ended"], serde_json::json!({ "accounts": 1, "failed": [] }));
    let before = sandbox.requests().len();
    resume(&place, &[], 0);
    assert_eq!(sandbox.requests().len(), before);
    assert!(expect(place.mailsweep(&["audit", "run"]), 0).status.success());
}

#[test]
fn without_end_sessions_none_are_ended_and_the_summary_does_not_speak_of_them() {
    let (place, sandbox) = partly(2, Script::default());
    run(&place, &sandbox, &[], 0);
    assert_eq!(count(&sandbox, END), 0);
    assert!(place.summary("run").get("sessions_ended").is_none());
}

#[test]
fn what_an_interrupted_run_did_not_read_afterwards_a_resume_does() {
    // A reading and a call come at once; the reading afterwards waits a minute for the rate.
    let place = Place::new();
    place.write("job.csv", "email,action,channel\nuser000@example.com,suspend,login\n");
    let sandbox = server(1, 0, Script::default());
    let limits = ["--rate", "1/m", "--burst", "2"];
    let mut command = place.run_against(&sandbox.url(), &limits);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 1);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    wait_until("the program's end", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("mailsweep resume run"), "{}", stderr(&output));
    assert_eq!(told(&place, "run"), ["ok - active -"]);
    let said = resume(&place, &[], 0);
    assert!(said.contains("0 of 1 operations to do, 1 to be looked at again"), "{said}");
    assert_eq!(told(&place, "run"), [CHANGED]);
    assert_eq!(functions(&sandbox), [READ, "suspend_login", READ]);
    resume(&place, &[], 0);
    assert_eq!(sandbox.requests().len(), 3, "and then nothing is left");
}

#[test]
fn a_refusal_at_the_reading_calls_for_nothing_and_one_at_the_last_reading_is_code_4() {
    let (place, sandbox) = partly(2, Script::default());
    assert!(sandbox.set_token(USER, "ANOTHER-TOKEN-1234567890").unwrap());
    run(&place, &sandbox, &[], 4);
    assert_eq!(functions(&sandbox), [READ]);
    assert_eq!(ends(&place), ["not_attempted/auth"; 4]);

    let (place, sandbox) = partly(2, Script::of([Rule::new(Fault::status(403)).function(READ).nth(2)]));
    let said = run(&place, &sandbox, &[], 4);
    assert_eq!(told(&place, "run")[1..], ["ok - active -"; 3]);
    assert!(said.contains("mailsweep resume run"), "{said}");
    sandbox.set_script(Script::default());
    resume(&place, &[], 0);
    assert_eq!(told(&place, "run")[1..], [CHANGED; 3]);
}
