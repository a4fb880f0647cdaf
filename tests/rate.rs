//! The rate, for real: what arrives at a server never exceeds what was promised, in any window.

mod support;

use std::time::Duration;

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use support::{Place, assert_rate_is_kept, expect, job, server, stderr};

const RATE: f64 = 50.0;
const BURST: f64 = 2.0;

fn run(mailboxes: usize, script: Script, flags: &[&str], expected: i32) -> (Place, Sandbox) {
    let place = Place::blind();
    place.write("job.csv", job(mailboxes));
    let sandbox = server(mailboxes, 0, script);
    let mut command = place.run_against(&sandbox.url(), flags);
    command.args(if flags.contains(&"--rate") { &[][..] } else { &["--rate", "50/s", "--jobs", "16"] });
    expect(command, expected);
    (place, sandbox)
}

#[test]
fn no_window_holds_more_than_the_rate_and_the_burst() {
    let (_place, sandbox) = run(75, Script::default(), &[], 0);
    let requests = sandbox.requests();
    assert_eq!(requests.len(), 150);
    assert_rate_is_kept(&requests, RATE, BURST);
}

#[test]
fn tries_in_vain_are_calls_too() {
    // Every third call fails at first, and its second try comes within half a second.
    let rules =
        (0..75).step_by(3).map(|i| Rule::new(Fault::status(500)).email(&format!("user{i:03}")).times(2));
    let (place, sandbox) = run(75, Script::of(rules), &["--max-errors", "1000"], 0);
    let requests = sandbox.requests();
    assert_eq!(requests.len(), 200);
    assert_rate_is_kept(&requests, RATE, BURST);
    let attempts: u32 = place.column("run", "attempts").iter().map(|n| n.parse::<u32>().unwrap()).sum();
    assert_eq!(attempts, 200, "the results count them too");
    assert_eq!(place.summary("run")["servers"][0]["requests"], 200);
}

#[test]
fn a_larger_burst_is_what_was_asked_for_and_comes_once() {
    let (_place, sandbox) = run(75, Script::default(), &["--burst", "40"], 0);
    assert_rate_is_kept(&sandbox.requests(), RATE, 40.0);
}

#[test]
fn a_resume_begins_with_a_rate_of_its_own_and_keeps_it() {
    let place = Place::blind();
    place.write("job.csv", job(60));
    let sandbox = server(60, 0, Script::of([Rule::new(Fault::ApiFailure("Busy.".into())).nth(20)]));
    let flags = ["--rate", "50/s", "--max-errors", "0"];
    expect(place.run_against(&sandbox.url(), &flags), 3);
    let before = sandbox.requests().len();
    expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 0);
    assert_rate_is_kept(&sandbox.requests()[before..], RATE, BURST);
    assert_eq!(place.column("run", "status"), ["ok"; 120]);
}

#[test]
fn a_server_that_says_when_to_come_again_is_left_alone_until_then() {
    let rule = Rule::new(Fault::retry_after(429, 1)).email("user004").function("suspend_login").once();
    let (place, sandbox) = run(20, Script::of([rule]), &["--rate", "none", "--jobs", "2"], 0);
    let requests = sandbox.requests();
    assert_eq!(requests.len(), 41);
    let throttled = requests.iter().find(|request| request.status == Some(429)).unwrap();
    let told = throttled.ended.unwrap();
    // One other call can have been on its way when the answer came.
    let meanwhile = requests
        .iter()
        .filter(|request| request.started > told && request.started < told + Duration::from_millis(900))
        .count();
    assert!(meanwhile <= 2, "{meanwhile} requests while it was to be left alone");
    assert_eq!(place.column("run", "attempts").iter().filter(|n| *n == "2").count(), 1);
}

#[test]
fn a_rate_needs_its_unit_and_must_be_one() {
    for rate in ["10", "0/s", "-1/s", "10/d", "fast", "", "1e3/s/s"] {
        let place = Place::blind();
        place.write("job.csv", job(1));
        let output = expect(place.run_against("http://127.0.0.1:9", &[&format!("--rate={rate}")]), 2);
        assert!(stderr(&output).contains("--rate"), "{rate}: {}", stderr(&output));
        assert!(!place.path("run").exists());
    }
}
