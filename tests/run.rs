//! `mailsweep run` from outside: what is read, what is sent, what is written and where, and the
//! exit code.

mod support;

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use support::{Place, TOKEN, USER, code, expect, job, server, stderr, stdout};

const COLUMNS: &str = "row,email,action,channel,status,verified,error_class,error,http_status,attempts,\
                       server,account,state_before,state_after,started_at,duration_ms";
const FAST: [&str; 2] = ["--rate", "none"];

fn sample(name: &str) -> String {
    format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// An address at which connections are counted and never answered.
fn counting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

/// Runs a job that must be refused with this code, before anything is sent or made.
fn refused(place: &Place, job: &[u8], args: &[&str], expected: i32) -> String {
    let (url, connections) = counting();
    place.write("job.csv", job);
    let output = expect(place.run_against(&url, args), expected);
    assert_eq!(connections.load(Ordering::SeqCst), 0, "something was sent");
    assert!(!place.path("run").exists(), "a run directory was made");
    assert_eq!(stdout(&output), "");
    stderr(&output)
}

/// Runs a job against a server with the mailboxes of [`job`], ten of them.
fn sent(place: &Place, text: &str, args: &[&str], expected: i32) -> (Output, Sandbox) {
    let sandbox = server(10, 0, Script::default());
    place.write("job.csv", text);
    let mut command = place.run_against(&sandbox.url(), &FAST);
    command.args(args);
    (expect(command, expected), sandbox)
}

fn fed(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_first_command_of_the_readme_works_as_it_stands() {
    let place = Place::blind();
    std::fs::create_dir(place.path("samples")).unwrap();
    std::fs::copy(sample("breach.csv"), place.path("samples/breach.csv")).unwrap();
    let output = expect(place.mailsweep(&["run", "samples/breach.csv", "--sandbox", "--yes"]), 0);
    assert_eq!(stdout(&output), "");
    let mut runs = std::fs::read_dir(place.path("mailsweep-runs")).unwrap();
    let name = runs.next().unwrap().unwrap().file_name().into_string().unwrap();
    assert!(runs.next().is_none());
    let (time, job) = name.split_once('-').unwrap();
    assert_eq!(job, "breach");
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, "99999999T999999Z");
    let statuses = place.column(&format!("mailsweep-runs/{name}"), "status");
    assert!(statuses.len() > 20 && statuses.iter().all(|status| status == "ok"), "{statuses:?}");
    assert!(stderr(&output).contains(&format!("mailsweep-runs/{name}/results.csv")));
}

#[test]
fn every_sample_runs() {
    let place = Place::new();
    let mut command =
        place.mailsweep(&["run", &sample("spreadsheet.csv"), "--sandbox", "--yes", "--run-dir", "a"]);
    command.args(FAST);
    expect(command, 0);
    assert_eq!(place.results("a")[0]["Customer"], "Berger & Söhne");
    let bare = ["run", &sample("addresses.txt"), "--sandbox", "--yes", "--run-dir", "b"];
    let told = stderr(&expect(place.mailsweep(&bare), 2));
    assert!(told.contains("--action"), "{told}");
    let mut command = place.mailsweep(&bare);
    command.args(["--action", "suspend", "--channel", "login,outgoing"]).args(FAST);
    expect(command, 0);
    assert_eq!(place.column("b", "channel")[..2], ["login", "outgoing"]);
    assert!(place.column("b", "status").iter().all(|status| status == "ok"));
}

#[test]
fn a_dry_run_opens_no_connection_needs_no_credential_and_names_what_it_would_do() {
    let place = Place::new();
    let (url, connections) = counting();
    place.write(
        "job.csv",
        "email,action,channel,note\nA@Example.com,suspend,all,x\na@example.com,hold,outgoing,y\n",
    );
    let args = ["run", "job.csv", "-n", "--server", &url, "--user", USER, "--run-dir", "run"];
    let output = expect(place.mailsweep(&args), 0);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    let text = place.read("run/results.csv");
    assert_eq!(text.lines().next().unwrap(), format!("{COLUMNS},note"));
    assert_eq!(place.column("run", "status"), ["planned"; 4]);
    assert_eq!(place.column("run", "row"), ["1", "1", "1", "2"]);
    assert_eq!(place.column("run", "email"), ["a@example.com"; 4]);
    assert!(place.column("run", "attempts").iter().all(String::is_empty));
    assert!(!place.path("run/journal.jsonl").exists() && !place.path("run/unfinished.csv").exists());
    let summary = place.summary("run");
    assert_eq!((&summary["operations"], &summary["counts"]["planned"]), (&4.into(), &4.into()));
    assert!(stderr(&output).contains("nothing is sent"), "{}", stderr(&output));
    // It is no run to go on with.
    assert!(stderr(&expect(place.mailsweep(&["resume", "run"]), 6)).contains("dry run"));
    // Nor does it need to know a server, or a terminal; and a token command is not run.
    expect(place.mailsweep(&["run", "job.csv", "-n", "--run-dir", "two"]), 0);
    assert_eq!(place.column("two", "server"), [""; 4]);
    let mut command = place.mailsweep(&args[..7]);
    command.args(["--token-command", "touch ran; echo T", "--run-dir", "three"]);
    expect(command, 0);
    assert!(!place.path("ran").exists());
}

#[test]
fn a_dry_run_finds_the_faults_that_the_run_would_find() {
    let place = Place::new();
    place.write("job.csv", "email,action,channel\nno-address,suspend,login\na@example.com,suspend,login\n");
    expect(place.mailsweep(&["run", "job.csv", "-n", "--run-dir", "run"]), 2);
    assert!(!place.path("run").exists());
    expect(place.mailsweep(&["run", "job.csv", "-n", "--run-dir", "run", "--skip-invalid"]), 1);
    assert_eq!(place.column("run", "status"), ["invalid", "planned"]);
}

#[test]
fn other_columns_are_carried_through_and_renamed_where_they_clash() {
    let place = Place::new();
    let text = "ticket;status;Mailbox;ACTION;channel;Note\n\
                =1+1;left;USER001@example.com;Suspend;login;\"a;b \"\"c\"\"\"\n";
    sent(&place, text, &[], 0);
    let header = place.read("run/results.csv").lines().next().unwrap().to_owned();
    assert_eq!(header, format!("{COLUMNS},ticket,input.status,Note"));
    let row = &place.results("run")[0];
    assert_eq!((row["ticket"].as_str(), row["input.status"].as_str()), ("=1+1", "left"), "never altered");
    assert_eq!((row["Note"].as_str(), row["status"].as_str()), ("a;b \"c\"", "ok"));
}

#[test]
fn standard_input_is_a_job_too() {
    let place = Place::new();
    let sandbox = server(3, 0, Script::default());
    let url = sandbox.url();
    let mut args =
        vec!["run", "-", "--server", &url, "--user", USER, "--token-file", "token", "--run-dir", "run"];
    args.push("--yes");
    let output = fed(place.mailsweep(&args), &job(3));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(place.read("run/input.csv"), job(3), "kept byte for byte");
    assert_eq!(place.column("run", "status"), ["ok"; 6]);
    // Nobody types a token twice because a pipe was empty.
    let output = fed(place.mailsweep(&["run", "-", "--sandbox", "--yes", "--run-dir", "none"]), "");
    assert_eq!(code(&output), 2);
    assert!(!place.path("none").exists());
}

#[test]
fn standard_output_holds_only_what_was_asked_for() {
    let place = Place::new();
    let (output, _server) = sent(&place, &job(3), &["-o", "-", "-v"], 0);
    assert_eq!(stdout(&output), place.read("run/results.csv"));

    let place = Place::new();
    let (output, _server) = sent(&place, &job(3), &["-o", "copy.csv", "--json"], 0);
    assert_eq!(place.read("copy.csv"), place.read("run/results.csv"));
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one JSON object");
    assert_eq!(told, place.summary("run"));

    let place = Place::new();
    let (output, _server) = sent(&place, &job(3), &["--log-format", "json"], 0);
    assert_eq!(stdout(&output), "");
    for line in stderr(&output).lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(value.is_object(), "{line}");
    }
}

#[test]
fn quiet_is_silent_when_all_is_well_and_short_when_not() {
    let place = Place::new();
    let (output, _server) = sent(&place, &job(5), &["-q"], 0);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));

    let place = Place::new();
    let (output, _server) = sent(&place, &job(40), &["-q", "--json"], 1);
    let told = stderr(&output);
    assert!((1..=15).contains(&told.lines().count()), "{told}");
    assert!(told.contains("user010@example.com") && told.contains("run/results.csv"), "{told}");
    serde_json::from_str::<serde_json::Value>(&stdout(&output)).unwrap();

    let faults = "email,action,channel\n".to_owned() + &"no-address,suspend,login\n".repeat(100);
    let told = refused(&Place::new(), faults.as_bytes(), &["-q"], 2);
    assert!((1..=15).contains(&told.lines().count()), "{told}");
}

#[test]
fn a_place_for_the_results_that_is_none_is_found_before_the_first_call() {
    for place in ["no/such/place.csv", "."] {
        let told = refused(&Place::new(), job(1).as_bytes(), &["-o", place], 2);
        assert!(told.contains("--output"), "{told}");
    }
}

#[test]
fn results_that_cannot_be_copied_in_the_end_are_told_and_counted() {
    let place = Place::new();
    let (output, _server) = sent(&place, &job(2), &["-o", "/dev/full", "-q", "--json"], 1);
    assert!(stderr(&output).contains("could not be written to /dev/full"), "{}", stderr(&output));
    assert_eq!(place.column("run", "status"), ["ok"; 4], "the run itself is sound");
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told["exit_code"], 1);
    let place = Place::new();
    let (output, _server) = sent(&place, &job(40), &["-o", "/dev/full", "-q"], 1);
    assert!(stderr(&output).lines().count() <= 15, "{}", stderr(&output));
}

#[test]
fn faults_in_the_input_are_listed_with_their_lines_and_nothing_is_sent() {
    let text = "email,action,channel\n# a comment\n\nno-address,suspend,login\na@example.com,delete,login\n\
                a@example.com,hold,login\n";
    let told = refused(&Place::new(), text.as_bytes(), &[], 2);
    for part in ["row 1", "line 4", "row 2", "line 5", "row 3", "line 6", "--skip-invalid"] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    let many = "email,action,channel\n".to_owned() + &"no-address,suspend,login\n".repeat(70);
    let told = refused(&Place::new(), many.as_bytes(), &[], 2);
    assert!(told.contains("20 more") && told.contains("row 50") && !told.contains("row 51"), "{told}");
    for text in ["a@example.com,suspend,login\n", "email,action\na@example.com,suspend\n", "\u{0}\u{1}\n"] {
        refused(&Place::new(), text.as_bytes(), &[], 2);
    }
    expect(Place::new().mailsweep(&["run", "none.csv", "--sandbox", "--yes"]), 2);
}

#[test]
fn with_skip_invalid_the_sound_rows_go_on_and_the_order_stays() {
    let place = Place::blind();
    let text = "email,action,channel\nuser001@example.com,suspend,login\nNo Address,Suspend,login+x\n\
                user002@example.com,suspend,login\nuser003@example.com,explode,login\n";
    let (_, sandbox) = sent(&place, text, &["--skip-invalid"], 1);
    assert_eq!(place.column("run", "status"), ["ok", "invalid", "ok", "invalid"]);
    assert_eq!(place.column("run", "row"), ["1", "2", "3", "4"]);
    let row = &place.results("run")[1];
    let as_written = (row["email"].as_str(), row["action"].as_str(), row["channel"].as_str());
    assert_eq!(as_written, ("No Address", "Suspend", "login+x"));
    assert_eq!(row["error_class"], "invalid_row");
    assert!(!row["error"].is_empty() && row["attempts"].is_empty());
    assert_eq!(sandbox.requests().len(), 2);
    assert!(!place.path("run/unfinished.csv").exists());
}

#[test]
fn conflicts_are_refused_unless_allowed_and_then_run_in_file_order() {
    let text = "email,action,channel\nuser001@example.com,suspend,login\nuser002@example.com,suspend,login\n\
                user001@example.com,unsuspend,login\n";
    let told = refused(&Place::new(), text.as_bytes(), &[], 2);
    assert!(
        told.contains("line 2") && told.contains("line 4") && told.contains("--allow-conflicts"),
        "{told}"
    );
    let place = Place::new();
    let (_, sandbox) = sent(&place, text, &["--allow-conflicts", "--jobs", "8"], 0);
    assert_eq!(place.column("run", "status"), ["ok"; 3]);
    let of_one: Vec<_> = sandbox
        .requests()
        .into_iter()
        .filter(|r| r.email.as_deref() == Some("user001@example.com"))
        .collect();
    let functions: Vec<_> = of_one.iter().map(|request| request.function.as_str()).collect();
    assert_eq!(functions, ["suspend_login", "unsuspend_login"]);
    assert!(of_one[0].ended.unwrap() <= of_one[1].started, "they never overlap");
}

#[test]
fn what_comes_twice_is_called_once_and_warned_about() {
    let place = Place::blind();
    let text = "email,action,channel\nuser001@example.com,suspend,login\nUSER001@Example.com ,suspend,all\n";
    let (output, sandbox) = sent(&place, text, &[], 0);
    assert_eq!(place.column("run", "status"), ["ok", "duplicate", "ok", "ok"]);
    assert_eq!(sandbox.requests().len(), 3);
    assert!(stderr(&output).contains("duplicate"), "{}", stderr(&output));
    assert_eq!(place.summary("run")["counts"]["duplicate"], 1);
}

#[test]
fn an_empty_input_must_be_allowed() {
    for text in ["", "email,action,channel\n", "# nothing\n\n"] {
        let told = refused(&Place::new(), text.as_bytes(), &[], 2);
        assert!(told.contains("--allow-empty"), "{told}");
        let place = Place::new();
        let (_, sandbox) = sent(&place, text, &["--allow-empty"], 0);
        assert_eq!(sandbox.requests().len(), 0);
        assert_eq!(place.read("run/results.csv").lines().next().unwrap(), COLUMNS);
        assert_eq!(place.summary("run")["operations"], 0);
    }
}

#[test]
fn without_a_terminal_nothing_starts_unasked() {
    let place = Place::new();
    let (url, connections) = counting();
    place.write("job.csv", job(3));
    let args =
        ["run", "job.csv", "--server", &url, "--user", USER, "--token-file", "token", "--run-dir", "run"];
    for input in ["", "y\n"] {
        let output = fed(place.mailsweep(&args), input);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains("--yes"), "{}", stderr(&output));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    assert!(!place.path("run").exists());
}

#[test]
fn a_run_directory_is_new_or_empty_and_closed_to_others() {
    let place = Place::blind();
    std::fs::create_dir(place.path("run")).unwrap();
    sent(&place, &job(2), &["-o", "copy.csv"], 0);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path("run")), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(place.path("run")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert_eq!(
        files, 6,
        "run.json, input.csv, journal.jsonl, results.csv, report.html, summary.json and nothing else"
    );

    let before = place.read("run/journal.jsonl");
    let sandbox = server(2, 0, Script::default());
    let told = stderr(&expect(place.run_against(&sandbox.url(), &[]), 2));
    assert!(told.contains("not empty"), "{told}");
    assert_eq!(sandbox.requests().len(), 0);
    assert_eq!(place.read("run/journal.jsonl"), before);
}

#[test]
fn runs_of_the_same_second_get_a_number() {
    let place = Place::new();
    place.write("job.csv", job(1));
    let rehearse = || stdout(&expect(place.mailsweep(&["run", "job.csv", "-n", "--json", "-q"]), 0));
    let ids: Vec<String> = (0..12)
        .map(|_| {
            serde_json::from_str::<serde_json::Value>(&rehearse()).unwrap()["run_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    let base = ids[0].split('-').next().unwrap();
    let second = ids.iter().find(|id| id.starts_with(base) && id.as_str() != ids[0]);
    assert!(second.is_none_or(|id| *id == format!("{}-2", ids[0])), "{ids:?}");
}

#[test]
fn a_run_directory_that_cannot_be_written_is_code_8_and_nothing_is_sent() {
    let place = Place::new();
    place.write("file", "");
    place.write("job.csv", job(2));
    let (url, connections) = counting();
    // The last one is plainly the wrong name, and so wrong usage.
    for (dir, code) in [("file/run", 8), ("/proc/mailsweep-run", 8), ("file", 2)] {
        let args = [
            "run",
            "job.csv",
            "--server",
            &url,
            "--user",
            USER,
            "--token-file",
            "token",
            "--yes",
            "--run-dir",
        ];
        let mut command = place.mailsweep(&args);
        command.arg(dir);
        let told = stderr(&expect(command, code));
        assert!(told.contains(dir), "{told}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn a_server_that_may_not_be_asked_is_refused_before_anything_happens() {
    for (server, user, word) in [
        ("http://mail.example.net:2082", USER, "--allow-plaintext"),
        ("http://192.0.2.1:2082", USER, "--allow-plaintext"),
        ("https://127.0.0.1:2083/execute", USER, "path"),
        ("https://127.0.0.1:2083", "a b", "user"),
        ("https://127.0.0.1:2083", "", "user"),
    ] {
        let place = Place::new();
        place.write("job.csv", job(1));
        let mut command = place.mailsweep(&["run", "job.csv", "--server", server, "--user", user]);
        command.args(["--token-file", "token", "--yes", "--run-dir", "run"]);
        let told = stderr(&expect(command, 2));
        assert!(told.contains(word), "{server}: {told}");
        assert!(!place.path("run").exists(), "{server}");
        assert!(!told.contains(TOKEN));
    }
}

#[test]
fn a_credential_must_be_named_once_and_be_there() {
    let place = Place::new();
    place.write("job.csv", job(1));
    let (url, connections) = counting();
    let args = ["run", "job.csv", "--server", &url, "--user", USER, "--yes", "--run-dir", "run"];
    let told = stderr(&expect(place.mailsweep(&args), 2));
    assert!(told.contains("--token-file") && told.contains("MAILSWEEP_TOKEN"), "{told}");
    for more in [
        &["--token-file", "none"][..],
        &["--token-command", "exit 3"],
        &["--token-file", "token", "--password-file", "token"],
    ] {
        let mut command = place.mailsweep(&args);
        command.args(more);
        expect(command, 2);
    }
    let mut both = place.mailsweep(&args);
    both.env("MAILSWEEP_TOKEN", "a").env("MAILSWEEP_PASSWORD", "b");
    expect(both, 2);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    assert!(!place.path("run").exists());
}

#[test]
fn max_errors_stops_the_run_and_a_dead_server_halts_it() {
    let place = Place::blind();
    let sandbox =
        server(10, 0, Script::of([Rule::new(Fault::ApiFailure("The disk is full.".into())).nth(3)]));
    place.write("job.csv", job(10));
    let output =
        expect(place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "1", "--max-errors", "0"]), 3);
    let statuses = place.column("run", "status");
    assert_eq!(statuses[..3], ["ok", "ok", "failed"]);
    assert!(statuses[3..].iter().all(|status| status == "not_attempted"), "{statuses:?}");
    assert!(place.column("run", "error_class")[3..].iter().all(|class| class == "error_budget"));
    assert!(stderr(&output).contains("--max-errors") && stderr(&output).contains("mailsweep resume run"));
    assert_eq!(sandbox.requests().len(), 3);

    let place = Place::blind();
    place.write("job.csv", job(10));
    sandbox.set_dead(true).unwrap();
    expect(place.run_against(&sandbox.url(), &["--retries", "0"]), 4);
    assert!(place.column("run", "error_class").iter().all(|class| class == "connect"));
    assert!(place.summary("run")["servers"][0]["halted"].as_str().unwrap().starts_with("connect"));
}

#[test]
fn the_statuses_add_up_and_the_summary_has_what_it_promises() {
    let place = Place::blind();
    let text = job(12) + "no-address,suspend,login\nuser000@example.com,suspend,login\n";
    sent(&place, &text, &["--skip-invalid"], 1);
    let summary = place.summary("run");
    let counts = summary["counts"].as_object().unwrap();
    let sum: u64 = counts.values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!((sum, &summary["operations"]), (26, &26.into()));
    for (status, number) in counts {
        let seen = place.column("run", "status").iter().filter(|s| *s == status).count() as u64;
        assert_eq!(Some(seen), number.as_u64(), "{status}");
    }
    for key in
        ["run_id", "exit_code", "started_at", "ended_at", "operations", "counts", "servers", "sessions"]
    {
        assert!(!summary[key].is_null(), "{key}");
    }
    assert_eq!((&summary["exit_code"], &summary["run_id"]), (&1.into(), &"run".into()));
    for key in ["name", "requests", "halted"] {
        assert!(summary["servers"][0].as_object().unwrap().contains_key(key), "{key}");
    }
    for key in ["operator", "host", "started_at", "ended_at", "exit_code", "chain"] {
        assert!(summary["sessions"][0].as_object().unwrap().contains_key(key), "{key}");
    }
    assert_eq!(summary["servers"][0]["requests"], 24);
    let channels = summary["channels"].as_object().unwrap();
    let timed: u64 = channels.values().map(|channel| channel["operations"].as_u64().unwrap()).sum();
    assert_eq!(Some(timed), counts["ok"].as_u64());
    assert_eq!(summary["servers"][0]["channels"], summary["channels"], "there is one server");
}

#[test]
fn two_things_on_standard_output_are_refused() {
    let place = Place::new();
    place.write("job.csv", job(1));
    let refused = expect(place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--json", "-o", "-"]), 2);
    assert!(stderr(&refused).contains("--output - and --json"), "{}", stderr(&refused));
    assert!(!place.path("mailsweep-runs").exists());
}

#[test]
fn results_asked_for_where_they_are_kept_stay_whole() {
    let place = Place::new();
    place.write("job.csv", job(2));
    std::fs::create_dir(place.path("run")).unwrap();
    let (output, _server) = sent(&place, &job(2), &["-o", "run/results.csv"], 0);
    assert_eq!(place.column("run", "status"), ["ok"; 4], "{}", stderr(&output));
}

#[test]
fn a_dry_run_does_not_look_at_credentials() {
    let place = Place::new();
    place.write("job.csv", job(1));
    let args = ["run", "job.csv", "-n", "--server", "https://web01.example.net:2083", "--user", USER];
    let mut command = place.mailsweep(&args);
    command.env("MAILSWEEP_TOKEN", "x").env("MAILSWEEP_PASSWORD", "y");
    expect(command, 0);
}
