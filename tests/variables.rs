//! Variables of the environment give limits, below flags; an empty one is as good as none.

mod support;

use support::{Place, expect, stderr};

const JOB: &str = "email,action,channel\nann@example.com,suspend,login\n";

/// The limits that a dry run records with these variables and arguments.
fn limits(variables: &[(&str, &str)], args: &[&str]) -> serde_json::Value {
    let place = Place::new();
    place.write("job.csv", JOB);
    let mut command = place.mailsweep(&["run", "job.csv", "--sandbox", "--dry-run", "--run-dir", "run"]);
    command.args(args).envs(variables.iter().copied());
    expect(command, 0);
    let facts: serde_json::Value = serde_json::from_str(&place.read("run/run.json")).unwrap();
    facts["servers"][0]["limits"].clone()
}

#[test]
fn each_limit_has_its_variable_and_a_flag_goes_over_it() {
    let variables = [
        ("MAILSWEEP_RATE", "7/m"),
        ("MAILSWEEP_BURST", "8"),
        ("MAILSWEEP_BATCH", "4"),
        ("MAILSWEEP_JOBS", "9"),
        ("MAILSWEEP_RETRIES", "11"),
        ("MAILSWEEP_MAX_ERRORS", "12%"),
        ("MAILSWEEP_MAX_OUTAGE", "13s"),
        ("MAILSWEEP_TIMEOUT", "14s"),
        ("MAILSWEEP_CONNECT_TIMEOUT", "15s"),
    ];
    let expected = serde_json::json!({
        "rate": "6/m", "burst": 8, "batch": "4", "jobs": 9, "retries": 11, "max_errors": "12%", "max_outage": "13s",
        "timeout": "14s", "connect_timeout": "15s",
    });
    assert_eq!(limits(&variables, &["--rate", "6/m"]), expected);
}

#[test]
fn an_empty_variable_is_not_set_and_a_wrong_one_is_refused() {
    assert_eq!(limits(&[("MAILSWEEP_RATE", ""), ("MAILSWEEP_JOBS", "")], &[]), limits(&[], &[]));
    let place = Place::new();
    place.write("job.csv", JOB);
    let mut command = place.mailsweep(&["run", "job.csv", "--dry-run"]);
    command.env("MAILSWEEP_RATE", "fast");
    let told = stderr(&expect(command, 2));
    assert!(told.contains("--rate") && told.contains("not a rate"), "{told}");
}
