//! What `plan` foresees, what it costs, and what a run that is bound to a plan does.

#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/states.rs"]
mod states;
mod support;

use std::process::{Command, Output};

use fleet::{counting, cpanel, logins, many, serve, serve_slowly, whm};
use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use rustix::process::Signal;
use states::{changing, readings, set, signal, state};
use support::{ENDED, Place, TOKEN, USER, expect, server, stderr, stdout, wait_until};

/// `plan job.csv` with the servers that are configured.
fn plan(place: &Place, args: &[&str]) -> Command {
    let mut command = place.mailsweep(&["plan", "job.csv"]);
    command.args(args);
    command
}

/// `plan job.csv` of one account's server.
fn plan_at(place: &Place, sandbox: &Sandbox, args: &[&str]) -> Command {
    let url = sandbox.url();
    let server = ["--server", &url, "--user", USER, "--token-file", "token", "--rate", "none"];
    let mut command = plan(place, &server);
    command.args(args);
    command
}

/// That nothing was changed, nor could have been: every request was a reading one.
fn only_read(sandbox: &Sandbox) {
    assert!(changing(sandbox).is_empty(), "{:?}", changing(sandbox));
    for request in sandbox.requests() {
        assert_eq!(request.method, "GET", "{request:?}");
        assert!(!request.had_effect, "{request:?}");
    }
}

/// The lines of a table, their blanks squeezed.
fn table(output: &Output) -> Vec<String> {
    let lines = stderr(output).lines().map(str::to_owned).collect::<Vec<_>>();
    lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

const ALFA: &str = "u0@alfa.example u1@alfa.example";
const BETA: &str = "u0@beta.example u1@beta.example";

/// Two servers of WHM, on the first of which one login is suspended already.
fn two_servers(place: &Place) -> [Sandbox; 2] {
    let servers = [serve(&[("alfa", ALFA)]), serve(&[("beta", BETA)])];
    set(&servers[0], "u1@alfa.example", "l");
    place.configure(&[whm("web01", &servers[0].url()), whm("web02", &servers[1].url())]);
    place.write("job.csv", logins(&[ALFA, BETA]));
    servers
}

#[test]
fn it_shows_by_server_and_account_what_would_change_and_changes_nothing() {
    let place = Place::new();
    let servers = two_servers(&place);
    let output = expect(plan(&place, &["-o", "plan.csv"]), 0);
    let table = table(&output);
    for line in [
        "web01 alfa suspend login 1 1 0",
        "web02 beta suspend login 2 0 0",
        "3 operations would change something: 1 unchanged",
    ] {
        assert!(table.iter().any(|told| told == line), "{line}: {table:#?}");
    }
    let told = ["u0 suspend login planned", "u1 suspend login unchanged"];
    assert_eq!(place.told_in("plan.csv")[..2], told);
    let rows = place.csv("plan.csv");
    assert_eq!((rows[0]["state_before"].as_str(), rows[1]["state_before"].as_str()), ("active", "suspended"));
    assert_eq!((rows[0]["verified"].as_str(), rows[1]["verified"].as_str()), ("", "yes"));
    assert!(rows.iter().all(|row| row["attempts"].is_empty() && row["started_at"].is_empty()));
    assert_eq!((rows[3]["server"].as_str(), rows[3]["account"].as_str()), ("web02", "beta"));
    for sandbox in &servers {
        only_read(sandbox);
        assert_eq!(readings(sandbox), 1);
    }
    assert!(!place.path("mailsweep-runs").exists(), "a plan is no run");
}

#[test]
fn a_thousand_accounts_cost_a_thousand_readings_and_not_one_call() {
    const ACCOUNTS: usize = 1000;
    let place = Place::new();
    let accounts: Vec<(String, String)> =
        (0..ACCOUNTS).map(|n| (format!("acc{n:04}"), many(2, &format!("d{n:04}.example")))).collect();
    let accounts: Vec<(&str, &str)> = accounts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let sandbox = serve(&accounts);
    for n in 0..ACCOUNTS / 2 {
        set(&sandbox, &format!("u0@d{n:04}.example"), "l");
    }
    place.configure(&[whm("web01", &sandbox.url())]);
    let lists: Vec<&str> = accounts.iter().map(|(_, list)| *list).collect();
    place.write("job.csv", logins(&lists));
    let output = expect(plan(&place, &["--json", "--jobs", "16"]), 0);
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&told["counts"]["planned"], &told["counts"]["unchanged"]), (&1500.into(), &500.into()));
    only_read(&sandbox);
    assert_eq!(readings(&sandbox), ACCOUNTS);
    let others = sandbox.requests().len() - ACCOUNTS;
    assert_eq!(others, 1, "which domains the server has");
}

#[test]
fn a_mailbox_that_is_not_listed_is_planned_with_a_note() {
    let place = Place::new();
    place.write("job.csv", support::job(2) + "nobody@example.com,suspend,login\n");
    let sandbox = server(2, 0, Script::default());
    let output = expect(plan_at(&place, &sandbox, &["-o", "-"]), 0);
    place.write("plan.csv", stdout(&output));
    let row = place.csv("plan.csv").pop().unwrap();
    assert_eq!((row["status"].as_str(), row["state_before"].as_str()), ("planned", ""));
    assert!(row["error"].contains("does not list this mailbox"), "{row:?}");
    assert!(stderr(&output).contains("! 1 of them not in the list"), "{}", stderr(&output));
    only_read(&sandbox);
}

#[test]
fn an_account_that_cannot_be_read_is_planned_and_said_to_be_unknown() {
    let place = Place::new();
    place.write("job.csv", support::job(2));
    let refusal = Rule::new(Fault::ApiFailure("no".into())).function("list_pops_with_disk");
    let sandbox = server(2, 0, Script::of([refusal]));
    let output = expect(plan_at(&place, &sandbox, &["-o", "plan.csv", "--exit-code"]), 9);
    assert!(place.csv("plan.csv").iter().all(|row| row["status"] == "planned" && !row["error"].is_empty()));
    assert!(stderr(&output).contains("! 4 of them of unknown state"), "{}", stderr(&output));
}

#[test]
fn with_exit_code_it_tells_whether_something_would_change() {
    let place = Place::new();
    place.write("job.csv", support::job(2));
    let sandbox = server(2, 0, Script::default());
    expect(plan_at(&place, &sandbox, &[]), 0);
    expect(plan_at(&place, &sandbox, &["--exit-code"]), 9);
    set(&sandbox, "user000@example.com", "lo");
    set(&sandbox, "user001@example.com", "lo");
    let quiet = expect(plan_at(&place, &sandbox, &["--exit-code", "-q"]), 0);
    assert_eq!((stderr(&quiet), stdout(&quiet)), (String::new(), String::new()));
    set(&sandbox, "user001@example.com", "l");
    let quiet = expect(plan_at(&place, &sandbox, &["--exit-code", "-q"]), 9);
    assert_eq!(stderr(&quiet).trim(), "3 unchanged, 1 planned");
}

#[test]
fn the_output_has_the_form_of_results_and_json_the_table() {
    let place = Place::new();
    let job = "email,ticket,action,channel\nuser000@example.com,7,suspend,login\n\
               user000@example.com,8,suspend,login\n";
    place.write("job.csv", job);
    let sandbox = server(1, 0, Script::default());
    let output = expect(plan_at(&place, &sandbox, &["-o", "plan.csv", "--json"]), 0);
    let first = place.read("plan.csv").lines().next().unwrap().to_owned();
    assert_eq!(first, mailsweep::job::RESULT_COLUMNS.join(",") + ",ticket");
    let told = ["user000 suspend login planned", "user000 suspend login duplicate"];
    assert_eq!(place.told_in("plan.csv"), told);
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&told["exit_code"], &told["operations"]), (&0.into(), &2.into()));
    let row = &told["rows"][0];
    assert_eq!(
        (&row["action"], &row["channel"], &row["changes"]),
        (&"suspend".into(), &"login".into(), &1.into())
    );
}

#[test]
fn what_belongs_to_a_dead_server_or_a_refused_token_fails_with_its_class() {
    let place = Place::new();
    let servers = two_servers(&place);
    servers[1].set_dead(true).unwrap();
    // Where a dead server may have a domain that no other has, that is not known.
    expect(plan(&place, &["-o", "plan.csv", "--retries", "0"]), 1);
    assert_eq!(
        place.told_in("plan.csv")[1..3],
        ["u1 suspend login unchanged", "u0 suspend login failed/unrouted"]
    );

    // With the accounts named, it is known.
    let entries = [cpanel("web01", &servers[0].url(), "alfa"), cpanel("web02", &servers[1].url(), "beta")];
    let domains = ["alfa", "beta"].map(|user| format!("domains = [\"{user}.example\"]\n"));
    place.configure(&[entries[0].clone() + &domains[0], entries[1].clone() + &domains[1]]);
    let output = expect(plan(&place, &["-o", "plan.csv", "--retries", "0"]), 1);
    assert_eq!(
        place.told_in("plan.csv")[2..],
        ["u0 suspend login failed/connect", "u1 suspend login failed/connect"]
    );
    assert!(
        table(&output).iter().any(|line| line == "web02 beta suspend login 0 0 2"),
        "{:#?}",
        table(&output)
    );
    let quiet = stderr(&expect(plan(&place, &["-q", "--retries", "0"]), 1));
    assert_eq!(quiet.trim(), "1 unchanged, 2 failed, 1 planned");

    servers[1].set_dead(false).unwrap();
    place.write("beta.token", "ANOTHER");
    let before = servers[1].requests().len();
    let output = expect(plan(&place, &["-o", "plan.csv"]), 1);
    assert_eq!(
        place.told_in("plan.csv")[2..],
        ["u0 suspend login failed/auth", "u1 suspend login failed/auth"]
    );
    assert_eq!(servers[1].requests().len() - before, 1, "one bad login and no more");
    assert!(stderr(&output).contains("The first that cannot be done:"), "{}", stderr(&output));

    // And if none is left, that is the code.
    place.write("alfa.token", "ANOTHER");
    expect(plan(&place, &["--exit-code"]), 4);
}

#[test]
fn a_token_that_was_refused_twice_is_not_sent_a_third_time() {
    let place = Place::new();
    place.write("job.csv", support::job(1));
    let sandbox = server(1, 0, Script::default());
    sandbox.set_token(USER, "ANOTHER").unwrap();
    for _ in 0..2 {
        expect(plan_at(&place, &sandbox, &[]), 4);
    }
    assert_eq!(sandbox.requests().len(), 2);
    let barred = expect(plan_at(&place, &sandbox, &[]), 4);
    assert!(stderr(&barred).contains("--try-again"), "{}", stderr(&barred));
    assert_eq!(sandbox.requests().len(), 2);
    place.write("token", "ANOTHER");
    expect(plan_at(&place, &sandbox, &[]), 0);
}

#[test]
fn a_plan_that_cannot_be_saved_is_refused_before_anything_is_asked() {
    let place = Place::new();
    place.write("job.csv", support::job(1));
    let sandbox = server(1, 0, Script::default());
    for to in ["none/plan", "."] {
        let told = stderr(&expect(plan_at(&place, &sandbox, &["--save", to]), 2));
        assert!(told.contains("--save"), "{told}");
    }
    assert!(sandbox.requests().is_empty());
}

#[test]
fn an_embedded_server_leaves_nothing_behind() {
    let place = Place::new();
    place.write("job.csv", support::job(2));
    expect(plan(&place, &["--sandbox", "--exit-code", "--rate", "none"]), 9);
    let mut left: Vec<_> =
        std::fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["job.csv", "token"]);
}

#[test]
fn interrupted_it_has_foreseen_nothing_that_could_be_saved() {
    let place = Place::new();
    let sandbox = serve_slowly(&[("alfa", ALFA), ("beta", BETA)], 300);
    place.configure(&[whm("web01", &sandbox.url())]);
    place.write("job.csv", logins(&[ALFA, BETA]));
    let mut child = plan(&place, &["--save", "saved", "--jobs", "1", "-o", "plan.csv"]).spawn().unwrap();
    wait_until("the first reading", || readings(&sandbox) > 0);
    signal(&child, Signal::INT);
    assert_eq!(states::ended(&mut child).code(), Some(130));
    assert!(!place.path("saved").exists());
    assert!(place.told_in("plan.csv").contains(&"u1 suspend login failed/interrupted".to_owned()));
    only_read(&sandbox);
}

/// A plan of four mailboxes, of which the second is suspended already, in `saved`.
fn saved() -> (Place, Sandbox) {
    let place = Place::new();
    place.write(
        "job.csv",
        logins(&["user000@example.com user001@example.com user002@example.com user003@example.com"]),
    );
    let sandbox = server(4, 0, Script::default());
    set(&sandbox, "user001@example.com", "l");
    expect(plan_at(&place, &sandbox, &["--save", "saved"]), 0);
    (place, sandbox)
}

#[test]
fn a_run_that_is_bound_to_a_plan_leaves_what_has_drifted_and_does_the_rest() {
    let (place, sandbox) = saved();
    // A colleague has restored the one and suspended another meanwhile.
    set(&sandbox, "user001@example.com", "");
    set(&sandbox, "user002@example.com", "l");
    let output = expect(place.run_against(&sandbox.url(), &["--plan", "saved", "--rate", "none"]), 1);
    let told = [
        "user000 suspend login ok",
        "user001 suspend login blocked/drifted",
        "user002 suspend login unchanged",
        "user003 suspend login ok",
    ];
    assert_eq!(place.told("run"), told);
    assert_eq!(place.column("run", "error")[1], "the plan has it as unchanged, and login is active now");
    assert!(stderr(&output).contains("login is active now"), "{}", stderr(&output));
    assert_eq!(
        changing(&sandbox),
        ["suspend_login user000@example.com", "suspend_login user003@example.com"]
    );
    assert_eq!(state(&sandbox, "user001@example.com"), "-");
    assert!(!place.path("run/unfinished.csv").exists(), "to run that again would do it after all");
}

#[test]
fn as_planned_it_ends_well() {
    let (place, sandbox) = saved();
    expect(place.run_against(&sandbox.url(), &["--plan", "saved", "--rate", "none"]), 0);
    let statuses = place.column("run", "status");
    assert_eq!(statuses, ["ok", "unchanged", "ok", "ok"]);
}

#[test]
fn a_plan_that_was_edited_or_is_of_something_else_is_refused_and_nothing_sent() {
    let (place, sandbox) = saved();
    let (job, plan, before) = (place.read("job.csv"), place.read("saved"), sandbox.requests().len());
    let refused = |args: &[&str], why: &str| {
        let mut all = vec!["--plan", "saved"];
        all.extend(args);
        let told = stderr(&expect(place.run_against(&sandbox.url(), &all), 2));
        assert!(told.contains(why), "{why}: {told}");
        assert!(!place.path("run").exists(), "{why}");
    };
    refused(&["--skip-invalid"], "the flags");
    refused(&["--blind"], "--blind");
    place.write("job.csv", job.clone() + "user000@example.com,suspend,incoming\n");
    refused(&[], "its content differs");
    place.write("job.csv", job.replace("user003", "user002"));
    refused(&[], "its content differs");
    place.write("job.csv", &job);
    place.write("saved", plan.replace("\"unchanged\":[[1,1]]", "\"unchanged\":[]"));
    assert_ne!(place.read("saved"), plan);
    refused(&[], "altered");
    place.write("saved", &job);
    refused(&[], "is no plan");
    std::fs::remove_file(place.path("saved")).unwrap();
    refused(&[], "cannot be read");
    assert_eq!(sandbox.requests().len(), before, "nothing was sent");
    place.write("saved", plan);
    expect(place.run_against(&sandbox.url(), &["--plan", "saved", "--rate", "none"]), 0);
}

#[test]
fn a_resume_keeps_to_the_plan_of_its_run() {
    let (place, sandbox) = saved();
    set(&sandbox, "user001@example.com", "");
    set(&sandbox, "user003@example.com", "l");
    expect(plan_at(&place, &sandbox, &["--save", "saved"]), 0);
    sandbox.set_script(Script::of([Rule::new(Fault::Hang).email("user001")]));
    let mut child = place.run_against(&sandbox.url(), &["--plan", "saved", "--jobs", "1"]).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.set_script(Script::default());
    // The plan is the run's now, whatever has become of the file.
    std::fs::remove_file(place.path("saved")).unwrap();
    set(&sandbox, "user003@example.com", "");
    expect(place.mailsweep(&["resume", "run", "--rate", "none"]), 1);
    let told =
        ["user001 suspend login ok", "user002 suspend login ok", "user003 suspend login blocked/drifted"];
    assert_eq!(place.told("run")[1..], told);
    assert_eq!(state(&sandbox, "user003@example.com"), "-");
}

#[test]
fn what_a_plan_could_not_foresee_its_run_does_not_do() {
    let place = Place::new();
    let servers = two_servers(&place);
    let entries = [cpanel("web01", &servers[0].url(), "alfa"), cpanel("web02", &servers[1].url(), "beta")];
    let domains = ["alfa", "beta"].map(|user| format!("domains = [\"{user}.example\"]\n"));
    place.configure(&[entries[0].clone() + &domains[0], entries[1].clone() + &domains[1]]);
    servers[1].set_dead(true).unwrap();
    expect(plan(&place, &["--save", "saved", "--retries", "0"]), 1);
    servers[1].set_dead(false).unwrap();
    set(&servers[1], "u1@beta.example", "l");
    expect(place.fleet_run(&["--plan", "saved"]), 1);
    let told = [
        "u0 suspend login ok",
        "u1 suspend login unchanged",
        "u0 suspend login blocked/drifted",
        "u1 suspend login unchanged",
    ];
    assert_eq!(place.told("run"), told);
    assert!(changing(&servers[1]).is_empty());
}

#[test]
fn what_to_type_next_is_told_with_all_that_it_needs() {
    let place = Place::new();
    let servers = two_servers(&place);
    let next = |args: &[&str]| {
        let told = stderr(&expect(plan(&place, args), 0));
        let line = told.lines().skip_while(|line| !line.starts_with("To carry it out:")).nth(1);
        line.map(|line| line.trim().to_owned())
    };
    assert_eq!(next(&["--save", "a"]).unwrap(), "mailsweep run job.csv --plan a");
    std::fs::rename(place.path("mailsweep.toml"), place.path("fleet.toml")).unwrap();
    let told = next(&["--save", "b", "--config", "fleet.toml"]).unwrap();
    assert_eq!(told, "mailsweep run job.csv --plan b --config fleet.toml");
    let args = told.strip_prefix("mailsweep ").unwrap().split(' ').collect::<Vec<_>>();
    let mut run = place.mailsweep(&args);
    run.args(["--yes", "--run-dir", "run"]);
    expect(run, 0);
    assert_eq!(place.column("run", "status"), ["ok", "unchanged", "ok", "ok"]);
    // What it would leave out is not for a line to be pasted.
    place.write("some.txt", "u0@alfa.example\n");
    assert_eq!(next(&["--save", "c", "--config", "fleet.toml", "--only", "some.txt"]), None);
    assert!(servers.iter().all(|sandbox| readings(sandbox) > 0));
}

#[test]
fn a_server_that_is_left_out_is_not_spoken_to() {
    let place = Place::new();
    let sandbox = serve(&[("alfa", ALFA)]);
    let (url, connections) = counting();
    place.configure(&[whm("web01", &sandbox.url()), whm("web02", &url)]);
    place.write("job.csv", logins(&[ALFA]));
    place.write("token", TOKEN);
    expect(plan(&place, &["--except-servers", "web02", "-o", "plan.csv"]), 0);
    assert_eq!(place.told_in("plan.csv"), ["u0 suspend login planned", "u1 suspend login planned"]);
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 0);
}
