//! Signals, closed pipes and lost terminals: what ends a run, what does not, and that it can always
//! be gone on with.
#![cfg(unix)]

mod support;

use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use rustix::process::{Pid, Signal, kill_process};
use support::{ENDED, Place, expect, job, server, stderr, wait_until};

const MAILBOXES: usize = 20;
const JOBS: usize = 3;
const STOP: &str = "\"t\":\"stop\"";

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for its end, but not for ever.
fn ended(child: &mut Child) -> ExitStatus {
    wait_until("the program's end", || child.try_wait().unwrap().is_some());
    child.wait().unwrap()
}

fn output(mut child: Child) -> Output {
    ended(&mut child);
    child.wait_with_output().unwrap()
}

/// A job with two operations for each of the mailboxes, and a server that takes its time.
fn begun(script: Script) -> (Place, Sandbox, Command) {
    let place = Place::blind();
    place.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, 40, script);
    let mut command = place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", &JOBS.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    (place, sandbox, command)
}

/// Resumes and checks that the end is as if nothing had been.
fn resumes_to_the_end(place: &Place, sandbox: &Sandbox) {
    sandbox.set_script(Script::default());
    sandbox.set_latency(Duration::ZERO);
    let mut resume = place.mailsweep(&["resume", "run"]);
    resume.args(["--rate", "none"]);
    expect(resume, 0);
    assert_eq!(place.column("run", "status"), ["ok"; 2 * MAILBOXES]);
    assert!(sandbox.world().mailboxes().all(|(_, _, state)| state.flags.login && state.flags.outgoing));
    assert!(!place.path("run/unfinished.csv").exists());
}

#[test]
fn the_first_signal_lets_what_is_in_flight_end_and_says_how_to_go_on() {
    for (first, code, word) in [(Signal::INT, 130, "SIGINT"), (Signal::TERM, 143, "SIGTERM")] {
        let (place, sandbox, mut command) = begun(Script::default());
        // Slow enough that the signal finds it at work, however busy this machine is.
        sandbox.set_latency(Duration::from_millis(200));
        let child = command.spawn().unwrap();
        place.wait_for_journal("run", ENDED, 1);
        signal(&child, first);
        let output = output(child);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains("mailsweep resume run") && told.contains(word), "{told}");
        let statuses = place.column("run", "status");
        let done = statuses.iter().filter(|status| *status == "ok").count();
        let left = statuses.iter().filter(|status| *status == "not_attempted").count();
        assert_eq!(done + left, 2 * MAILBOXES, "{statuses:?}");
        assert!(left > 0);
        let requests = sandbox.requests();
        assert_eq!(requests.len(), done, "each request was waited for");
        assert!(requests.iter().all(|request| request.carried_out));
        let classes = place.column("run", "error_class");
        assert_eq!(classes.iter().filter(|class| *class == "interrupted").count(), left);
        assert_eq!(place.summary("run")["exit_code"], code);
        assert!(place.path("run/unfinished.csv").exists());
        resumes_to_the_end(&place, &sandbox);
        assert_eq!(sandbox.requests().len(), 2 * MAILBOXES, "nothing was sent twice");
    }
}

#[test]
fn the_second_signal_ends_it_at_once_and_nothing_is_lost() {
    for (first, second, code) in [(Signal::INT, Signal::INT, 130), (Signal::INT, Signal::TERM, 143)] {
        let hangs = Rule::new(Fault::Hang).email("user005").function("suspend_login");
        let (place, sandbox, mut command) = begun(Script::of([hangs]));
        let mut child = command.spawn().unwrap();
        // All but those of the mailbox that hangs.
        place.wait_for_journal("run", ENDED, 20);
        signal(&child, first);
        place.wait_for_journal("run", STOP, 1);
        assert!(child.try_wait().unwrap().is_none(), "it waits for the call that hangs");
        signal(&child, second);
        let output = output(child);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let hung = &place.results("run")[10];
        assert_eq!((hung["email"].as_str(), hung["status"].as_str()), ("user005@example.com", "unknown"));
        assert_eq!(place.column("run", "status")[11], "not_attempted");
        assert!(stderr(&output).contains("mailsweep resume run"), "{}", stderr(&output));
        resumes_to_the_end(&place, &sandbox);
    }
}

#[test]
fn the_first_signal_is_the_first_also_when_the_run_is_stopping_already() {
    let rules = [
        Rule::new(Fault::Delay(Duration::from_secs(2))).email("user005").function("suspend_login"),
        Rule::new(Fault::ApiFailure("Busy.".into())).email("user007"),
    ];
    let (place, sandbox, mut command) = begun(Script::of(rules));
    let child = command.args(["--max-errors", "0"]).spawn().unwrap();
    place.wait_for_journal("run", STOP, 1);
    signal(&child, Signal::INT);
    let output = output(child);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(place.column("run", "status")[10], "ok", "it was waited for");
    sandbox.set_script(Script::default());
    sandbox.set_latency(Duration::ZERO);
    expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 0);
}

#[test]
fn a_run_that_waits_is_interrupted_all_the_same() {
    // For the rate.
    let place = Place::blind();
    place.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, 0, Script::default());
    let mut command = place.run_against(&sandbox.url(), &["--rate", "1/h", "--burst", "2"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 2);
    signal(&child, Signal::INT);
    assert_eq!(output(child).status.code(), Some(130));
    resumes_to_the_end(&place, &sandbox);
    // For a server that asked for five minutes, and for one that is gone.
    for fault in [Fault::retry_after(503, 300), Fault::ResetBefore] {
        let (place, sandbox, mut command) = begun(Script::of([Rule::new(fault).email("user003")]));
        let child = command.args(["--retries", "50"]).spawn().unwrap();
        place.wait_for_journal("run", "\"t\":\"try\"", 1);
        signal(&child, Signal::INT);
        let output = output(child);
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        resumes_to_the_end(&place, &sandbox);
    }
}

#[test]
fn a_hangup_ends_nothing() {
    let (place, sandbox, mut command) = begun(Script::default());
    let child = command.spawn().unwrap();
    for times in [1, 5, 9] {
        place.wait_for_journal("run", ENDED, times);
        signal(&child, Signal::HUP);
    }
    let output = output(child);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.column("run", "status"), ["ok"; 2 * MAILBOXES]);
    assert_eq!(sandbox.requests().len(), 2 * MAILBOXES);
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    for flags in [&["-v"][..], &["-v", "--log-format", "json"], &["--json"], &["-o", "-"]] {
        let (place, sandbox, mut command) =
            begun(Script::of([Rule::new(Fault::status(500)).email("user001")]));
        let mut child = command.args(["--retries", "0"]).args(flags).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(ended(&mut child).code(), Some(1), "{flags:?}");
        let statuses = place.column("run", "status");
        assert_eq!(statuses.iter().filter(|status| *status == "ok").count(), 2 * MAILBOXES - 2);
        assert_eq!(place.summary("run")["exit_code"], 1);
        assert_eq!(sandbox.requests().len(), 2 * MAILBOXES);
    }
}

#[test]
fn without_any_output_at_all_it_runs() {
    let (place, sandbox, command) = begun(Script::default());
    let line = "exec \"$0\" \"$@\" >&- 2>&-";
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(place.path(".")).stdin(Stdio::null());
    assert_eq!(ended(&mut shell.spawn().unwrap()).code(), Some(0));
    assert_eq!(place.column("run", "status"), ["ok"; 2 * MAILBOXES]);
    // What the program opens must not have landed where the output would have gone.
    let journal = place.read("run/journal.jsonl");
    assert!(journal.lines().all(|line| line.starts_with("{\"t\":")), "{journal}");
    assert_eq!(sandbox.requests().len(), 2 * MAILBOXES);
}

/// A terminal: the program's side of it as three descriptors, and ours.
fn terminal() -> (OwnedFd, [Stdio; 2]) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (ours, [theirs.try_clone().unwrap().into(), theirs.into()])
}

#[test]
fn a_terminal_that_vanishes_ends_nothing() {
    let (place, sandbox, mut command) = begun(Script::default());
    let (ours, [input, error]) = terminal();
    let mut child = command.stdin(input).stderr(error).spawn().unwrap();
    drop(command); // It holds the program's side too.
    place.wait_for_journal("run", ENDED, 3);
    drop(ours);
    signal(&child, Signal::HUP);
    assert_eq!(ended(&mut child).code(), Some(0));
    assert_eq!(place.column("run", "status"), ["ok"; 2 * MAILBOXES]);
    assert_eq!(sandbox.requests().len(), 2 * MAILBOXES);
}

#[test]
fn at_a_terminal_it_asks_and_no_is_an_answer() {
    use std::io::{Read, Write};
    for (answer, code) in [("n\n", 2), ("\n", 2), ("y\n", 0)] {
        let place = Place::blind();
        place.write("job.csv", job(2));
        let sandbox = server(2, 0, Script::default());
        let url = sandbox.url();
        let args = ["run", "job.csv", "--server", &url, "--user", support::USER, "--token-file", "token"];
        let mut command = place.mailsweep(&args);
        let (ours, [input, error]) = terminal();
        let mut child = command.args(["--run-dir", "run"]).stdin(input).stderr(error).spawn().unwrap();
        drop(command);
        let mut ours = std::fs::File::from(ours);
        ours.write_all(answer.as_bytes()).unwrap();
        let mut shown = Vec::new();
        // Ends with an error when the program's side is closed.
        let _ = ours.read_to_end(&mut shown);
        let shown = String::from_utf8_lossy(&shown);
        assert_eq!(ended(&mut child).code(), Some(code), "{shown}");
        assert!(shown.contains("Go on?"), "{shown}");
        assert_eq!(sandbox.requests().len(), if code == 0 { 4 } else { 0 });
        assert_eq!(place.path("run").exists(), code == 0);
    }
}
