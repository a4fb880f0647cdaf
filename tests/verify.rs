//! Whether what a run did still holds: what `verify` finds, says, writes down and leaves alone.

#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/states.rs"]
mod states;
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use fleet::{serve, whm};
use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use rustix::process::Signal;
use states::{changing, ended, readings, set, signal};
use support::{ENDED, Place, USER, expect, job, server, stderr, stdout, wait_until};

fn verify(place: &Place, args: &[&str]) -> Command {
    let mut command = place.mailsweep(&["verify", "run", "--rate", "none"]);
    command.args(args);
    command
}

/// The files that `verify` has written, in order.
fn files(place: &Place) -> Vec<PathBuf> {
    let files = std::fs::read_dir(place.path("run")).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("verify-");
    let mut files: Vec<PathBuf> = files.filter(is_one).collect();
    // The second of one second has a number behind it.
    files.sort_by_key(|path| path.with_extension("").display().to_string());
    files
}

/// The one file that was written, one map of columns per row.
fn rows(place: &Place) -> Vec<std::collections::BTreeMap<String, String>> {
    let files = files(place);
    assert_eq!(files.len(), 1, "{files:?}");
    place.csv(files[0].to_str().unwrap())
}

/// A run over two accounts, of each two mailboxes.
fn swept() -> (Place, Sandbox) {
    let place = Place::new();
    let accounts = [("alfa", "u0@alfa.example u1@alfa.example"), ("beta", "u0@beta.example u1@beta.example")];
    let sandbox = serve(&accounts);
    set(&sandbox, "u1@alfa.example", "l");
    place.configure(&[whm("web01", &sandbox.url())]);
    place.write("job.csv", fleet::logins(&accounts.map(|(_, list)| list)));
    expect(place.fleet_run(&[]), 0);
    (place, sandbox)
}

#[test]
fn what_holds_is_told_in_a_line_and_written_down() {
    let (place, sandbox) = swept();
    let (record, calls, read) = (place.bytes_of("run"), changing(&sandbox).len(), readings(&sandbox));
    let seen = sandbox.requests().len();
    let output = expect(verify(&place, &[]), 0);
    assert!(stderr(&output).contains("4 operations looked at: 4 hold\n"), "{}", stderr(&output));
    let rows = rows(&place);
    assert!(rows.iter().all(|row| row["holds"] == "yes" && row["state_now"] == "suspended"), "{rows:?}");
    assert!(rows.iter().all(|row| row["state_then"] == "suspended" && row["error"].is_empty()));
    let results = place.results("run");
    for (row, result) in rows.iter().zip(&results) {
        for column in ["row", "email", "action", "channel", "server", "account"] {
            assert_eq!(row[column], result[column]);
        }
        // What was so already was never done.
        assert_eq!(row["ended_at"].is_empty(), result["status"] == "unchanged");
        let at = |time: &str| time.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        if result["status"] == "ok" {
            let done = at(&result["started_at"]) + result["duration_ms"].parse::<i64>().unwrap();
            assert_eq!(at(&row["ended_at"]), done);
            assert!(at(&row["read_at"]) >= done);
        }
    }
    assert_eq!(rows.iter().filter(|row| row["ended_at"].is_empty()).count(), 1);
    assert_eq!((changing(&sandbox).len(), readings(&sandbox) - read), (calls, 2), "once for each account");
    assert!(sandbox.requests()[seen..].iter().all(|request| request.method == "GET"));
    let after = place.bytes_of("run");
    assert!(record.iter().all(|(path, bytes)| after[path] == *bytes), "the record is as it was");
    let quiet = expect(verify(&place, &["-q"]), 0);
    assert_eq!((stderr(&quiet), stdout(&quiet)), (String::new(), String::new()));
    expect(place.mailsweep(&["audit", "run"]), 0);
}

#[test]
fn what_holds_no_longer_or_cannot_be_read_is_told_with_its_times() {
    let (place, sandbox) = swept();
    set(&sandbox, "u0@alfa.example", "io");
    let unreadable = Rule::new(Fault::ApiFailure("not now".into())).function("list_pops_with_disk");
    sandbox.set_script(Script::of([unreadable.account("beta")]));
    let before = place.read("run/journal.jsonl");
    let output = expect(verify(&place, &["-o", "copy.csv"]), 1);
    let told = stderr(&output);
    assert!(told.contains("4 operations looked at: 1 hold, 1 no longer, 2 could not be read"), "{told}");
    let rows = rows(&place);
    let holds: Vec<&str> = rows.iter().map(|row| row["holds"].as_str()).collect();
    assert_eq!(holds, ["no", "yes", "unknown", "unknown"]);
    assert_eq!(rows[0]["state_now"], "active");
    assert!(
        told.contains(&format!(
            "row 1 u0@alfa.example suspend login: now active, done {}",
            rows[0]["ended_at"]
        )),
        "{told}"
    );
    assert!(told.contains("row 3 u0@beta.example suspend login: now cannot be read"), "{told}");
    assert!(rows[2]["error"].contains("state is not known"), "{rows:?}");
    assert_eq!(place.read("copy.csv"), std::fs::read_to_string(&files(&place)[0]).unwrap());
    let quiet = stderr(&expect(verify(&place, &["-q"]), 1));
    assert_eq!(quiet.lines().count(), 1, "{quiet}");
    assert!(
        quiet.starts_with("run: 4 operations looked at: 1 hold, 1 no longer") && quiet.contains(".csv"),
        "{quiet}"
    );
    let output = expect(verify(&place, &["--json"]), 1);
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let counts = ["operations", "hold", "no_longer", "unknown", "undone", "exit_code"]
        .map(|key| told[key].as_u64().unwrap());
    assert_eq!(counts, [4, 1, 1, 2, 0, 1]);
    assert_eq!(place.read("run/journal.jsonl"), before);
    assert_eq!(files(&place).len(), 3, "each look has its file");
}

#[test]
fn of_several_operations_on_a_flag_the_last_one_is_to_hold() {
    let place = Place::new();
    place.write(
        "job.csv",
        "email,action,channel\nuser000@example.com,suspend,login\nuser000@example.com,unsuspend,login\n",
    );
    let sandbox = server(1, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--allow-conflicts", "--rate", "none"]), 0);
    expect(verify(&place, &[]), 0);
    let rows = rows(&place);
    assert_eq!((rows.len(), rows[0]["action"].as_str()), (1, "unsuspend"));
}

#[test]
fn what_was_taken_back_is_passed_over_and_the_undo_can_be_verified() {
    let (place, sandbox) = swept();
    place.write("part.txt", "u0@alfa.example\n");
    expect(place.mailsweep(&["undo", "run", "--yes", "--only", "part.txt", "--run-dir", "undo"]), 0);
    let told = stderr(&expect(verify(&place, &[]), 0));
    assert!(told.contains("3 operations looked at: 3 hold; 1 taken back and passed over"), "{told}");
    let told = stderr(&expect(place.mailsweep(&["verify", "undo"]), 0));
    assert!(told.contains("1 operation looked at: 1 hold"), "{told}");
    set(&sandbox, "u0@alfa.example", "l");
    expect(place.mailsweep(&["verify", "undo"]), 1);
}

#[test]
fn a_part_can_be_verified() {
    let (place, sandbox) = swept();
    set(&sandbox, "u0@alfa.example", "");
    place.write("part.txt", "u0@alfa.example\n");
    let told = stderr(&expect(verify(&place, &["--only", "part.txt"]), 1));
    assert!(told.contains("1 operation looked at: 0 hold, 1 no longer"), "{told}");
    let told = stderr(&expect(verify(&place, &["--except", "part.txt"]), 0));
    assert!(told.contains("3 operations looked at: 3 hold"), "{told}");
}

#[test]
fn a_run_can_be_verified_while_it_runs() {
    let place = Place::new();
    place.write("job.csv", job(20));
    let sandbox = server(20, 0, Script::of([Rule::new(Fault::Hang).email("user010")]));
    let mut run = place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "1", "--timeout", "3s"]);
    let mut run = run.stderr(Stdio::null()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 20);
    let told = stderr(&expect(verify(&place, &[]), 0));
    assert!(told.contains("20 operations looked at: 20 hold"), "{told}");
    sandbox.set_script(Script::default());
    assert_eq!(ended(&mut run).code(), Some(0));
    let told = stderr(&expect(verify(&place, &[]), 0));
    assert!(told.contains("40 operations looked at: 40 hold"), "{told}");
}

#[test]
fn an_embedded_server_is_looked_at_without_being_touched() {
    let place = Place::new();
    place.write("job.csv", job(10));
    let args = ["run", "job.csv", "--sandbox", "--yes", "--run-dir", "run", "--rate", "20/s"];
    let mut run = place.mailsweep(&args).stderr(Stdio::null()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 4);
    expect(verify(&place, &[]), 0);
    assert_eq!(ended(&mut run).code(), Some(0));
    // It works on in its own file.
    let world = mailsweep::sandbox::World::load(&place.path("run/sandbox.json")).unwrap();
    assert!(world.mailboxes().all(|(_, _, state)| state.flags.login && state.flags.outgoing));
    let before = place.read("run/sandbox.json");
    let told = stderr(&expect(verify(&place, &[]), 0));
    assert!(told.contains("20 operations looked at: 20 hold"), "{told}");
    assert_eq!(place.read("run/sandbox.json"), before);
}

#[test]
fn a_dead_server_or_a_refused_token_is_its_own_code_and_sent_no_third_time() {
    let place = Place::new();
    place.write("job.csv", job(2));
    let sandbox = server(2, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    sandbox.set_dead(true).unwrap();
    let told = stderr(&expect(verify(&place, &["--retries", "0", "-q"]), 4));
    assert!(told.contains("0 hold, 4 could not be read"), "{told}");
    sandbox.set_dead(false).unwrap();
    sandbox.set_token(USER, "ANOTHER").unwrap();
    let seen = sandbox.requests().len();
    for _ in 0..3 {
        expect(verify(&place, &[]), 4);
    }
    assert_eq!(sandbox.requests().len() - seen, 2, "each bad login brings the lock nearer");
    place.write("new", "ANOTHER");
    expect(verify(&place, &["--token-file", "new"]), 0);
}

#[test]
fn what_is_no_run_is_refused() {
    let place = Place::new();
    place.write("job.csv", job(2));
    expect(verify(&place, &[]), 6);
    expect(place.mailsweep(&["run", "job.csv", "--dry-run", "--run-dir", "run"]), 0);
    let told = stderr(&expect(verify(&place, &[]), 6));
    assert!(told.contains("dry run"), "{told}");
}

#[test]
fn interrupted_it_says_so() {
    let place = Place::new();
    let sandbox = serve(&[("alfa", "u0@alfa.example"), ("beta", "u0@beta.example")]);
    place.configure(&[whm("web01", &sandbox.url())]);
    place.write("job.csv", fleet::logins(&["u0@alfa.example u0@beta.example"]));
    expect(place.fleet_run(&[]), 0);
    for (kind, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        sandbox.set_latency(std::time::Duration::from_millis(300));
        let before = readings(&sandbox);
        let mut looking = verify(&place, &["--jobs", "1"]).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the first reading", || readings(&sandbox) > before);
        signal(&looking, kind);
        assert_eq!(ended(&mut looking).code(), Some(code));
    }
}

/// A watch, and what it says on standard output: a JSON object for each look.
struct Watch {
    child: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Watch {
    fn start(place: &Place, args: &[&str]) -> Watch {
        use std::io::BufRead;
        let mut command = verify(place, &["--watch", "50ms", "--json"]);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Watch { child, lines }
    }

    /// Waits for a look that has found so many that hold, so many that do not and so many taken back.
    fn until(&mut self, hold: u64, no_longer: u64, undone: u64) {
        for _ in 0..500 {
            let line = self.lines.next().expect("it goes on").unwrap();
            let told: serde_json::Value = serde_json::from_str(&line).unwrap();
            let counts = ["hold", "no_longer", "undone"].map(|key| told[key].as_u64().unwrap());
            if counts == [hold, no_longer, undone] {
                return;
            }
        }
        panic!("never {hold} {no_longer} {undone}");
    }

    /// Ends it; returns its code and what it has said to people.
    fn end(mut self, kind: Signal) -> (Option<i32>, String) {
        use std::io::Read;
        signal(&self.child, kind);
        for line in self.lines.by_ref() {
            drop(line);
        }
        let code = ended(&mut self.child).code();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (code, told)
    }
}

#[test]
fn it_watches_until_a_signal_and_the_code_is_the_last_looks() {
    let (place, sandbox) = swept();
    let before = place.read("run/journal.jsonl");
    let mut watch = Watch::start(&place, &[]);
    watch.until(4, 0, 0);
    watch.until(4, 0, 0);
    set(&sandbox, "u0@alfa.example", "");
    watch.until(3, 1, 0);
    let (code, told) = watch.end(Signal::INT);
    assert_eq!(code, Some(1), "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("run: 4 operations looked at")).collect();
    assert!(lines.len() >= 3, "{told}");
    assert!(lines.iter().all(|line| line.starts_with("20") && line.contains("Z run: ")), "{told}");
    assert!(files(&place).len() >= 3);
    assert_eq!(place.read("run/journal.jsonl"), before);

    set(&sandbox, "u0@alfa.example", "l");
    let mut watch = Watch::start(&place, &["-q"]);
    watch.until(4, 0, 0);
    assert_eq!(watch.end(Signal::TERM), (Some(0), String::new()));
}

#[test]
fn a_watch_sees_what_is_taken_back_meanwhile_and_what_a_resume_does() {
    let place = Place::new();
    place.write("job.csv", fleet::logins(&["user000@example.com user001@example.com user002@example.com"]));
    let sandbox = server(3, 0, Script::of([Rule::new(Fault::ApiFailure("no".into())).email("user002")]));
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 1);
    sandbox.set_script(Script::default());
    let mut watch = Watch::start(&place, &["-q"]);
    watch.until(2, 0, 0);
    expect(place.mailsweep(&["resume", "run", "--retry-failed", "--rate", "none"]), 0);
    watch.until(3, 0, 0);
    expect(place.mailsweep(&["undo", "run", "--yes", "--run-dir", "undo", "--rate", "none"]), 0);
    watch.until(0, 0, 3);
    let (code, _) = watch.end(Signal::TERM);
    assert_eq!(code, Some(0));
}

#[test]
fn a_watch_outlives_a_server_that_is_away() {
    let (place, sandbox) = swept();
    let mut watch = Watch::start(&place, &["--retries", "0"]);
    watch.until(4, 0, 0);
    sandbox.set_dead(true).unwrap();
    watch.until(0, 0, 0);
    sandbox.set_dead(false).unwrap();
    watch.until(4, 0, 0);
    assert_eq!(watch.end(Signal::INT).0, Some(0));
}

#[test]
fn a_signal_in_the_middle_of_a_look_leaves_what_the_look_before_has_found() {
    let place = Place::new();
    let sandbox = serve(&[("alfa", "u0@alfa.example")]);
    place.configure(&[whm("web01", &sandbox.url())]);
    place.write("job.csv", fleet::logins(&["u0@alfa.example"]));
    expect(place.fleet_run(&[]), 0);
    let mut watch = Watch::start(&place, &["--timeout", "1s"]);
    watch.until(1, 0, 0);
    sandbox.set_script(Script::of([Rule::new(Fault::Hang).function("list_pops_with_disk")]));
    let hanging = || sandbox.requests().iter().any(|request| request.fault == Some("hang"));
    wait_until("a reading that hangs", hanging);
    let (code, told) = watch.end(Signal::INT);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn an_account_that_no_longer_has_the_domain_cannot_be_read() {
    let (place, sandbox) = swept();
    let moved = [("new", "u0@alfa.example u1@alfa.example"), ("beta", "u0@beta.example u1@beta.example")];
    sandbox.change(|world| *world = fleet::world(&moved)).unwrap();
    moved.iter().for_each(|(_, list)| list.split(' ').for_each(|address| set(&sandbox, address, "l")));
    expect(verify(&place, &[]), 1);
    let rows = rows(&place);
    let holds: Vec<&str> = rows.iter().map(|row| row["holds"].as_str()).collect();
    assert_eq!(holds, ["unknown", "unknown", "yes", "yes"]);
    assert!(rows[0]["error"].contains("alfa"), "{rows:?}");
}
