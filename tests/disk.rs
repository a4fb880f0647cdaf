//! A disk that is full, as the operating system makes one: a limit on the size of files.

mod support;

use std::process::Command;

use mailsweep::sandbox::Script;
use support::{Place, expect, job, server, stderr};

const MAILBOXES: usize = 300;

/// The same command, in a shell that lets no file grow beyond so many blocks of 512 bytes.
fn limited(command: &Command, blocks: usize) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("ulimit -f {blocks} && exec \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(std::process::Stdio::null());
    shell
}

#[test]
fn a_run_on_a_full_disk_takes_no_new_work_says_so_and_resumes_once_there_is_room() {
    let place = Place::new();
    place.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, 0, Script::default());
    let run = place.run_against(&sandbox.url(), &["--rate", "none"]);
    let full = expect(limited(&run, 64), 8);
    let told = stderr(&full);
    for part in ["the journal cannot be written", "File too large", "ulimit -f", "mailsweep resume run"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(std::fs::metadata(place.path("run/journal.jsonl")).unwrap().len(), 64 * 512);
    assert!(!place.path("run/results.csv").exists(), "nothing is half-written");
    // Nothing was called that the journal does not speak of.
    let journal = place.read("run/journal.jsonl");
    let begun: usize = journal
        .lines()
        .filter(|line| line.starts_with("{\"t\":\"begin\""))
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .map(|entry| entry["ops"].as_array().unwrap().len())
        .sum();
    let called = sandbox.requests().iter().filter(|request| !request.function.starts_with("list_")).count();
    assert!((10..=begun).contains(&called), "{called} calls, {begun} announced");

    // Still no room: it says so again, and nothing is lost by trying.
    expect(limited(&place.mailsweep(&["resume", "run"]), 64), 8);

    expect(place.mailsweep(&["resume", "run", "--rate", "none"]), 0);
    assert_eq!(place.column("run", "status"), vec!["ok"; 2 * MAILBOXES]);
    assert!(sandbox.world().mailboxes().all(|(_, _, state)| state.flags.login && state.flags.outgoing));
    let jobs = 16;
    let calls = sandbox.requests().len();
    assert!(calls <= 2 * MAILBOXES + 2 * jobs, "{calls} calls: what had ended was called again");
}

#[test]
fn a_disk_that_is_full_from_the_start_leaves_no_run_and_sends_nothing() {
    let place = Place::new();
    place.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, 0, Script::default());
    let run = place.run_against(&sandbox.url(), &["--rate", "none"]);
    // Room for a lock and not for the input.
    let told = stderr(&expect(limited(&run, 2), 8));
    assert!(told.contains("run/input.csv") && told.contains("ulimit -f"), "{told}");
    assert!(!place.path("run").exists());
    assert_eq!(sandbox.requests().len(), 0);
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
}
