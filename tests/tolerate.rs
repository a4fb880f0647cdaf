//! What cron is to be told, and what not: `--tolerate` and `-q`.

mod support;

use mailsweep::sandbox::{Fault, Rule, Script};
use support::{Place, code, expect, job, server, stderr, stdout};

/// A job of six operations, two of them for a mailbox that the server does not have.
fn with_a_gone_mailbox() -> (Place, mailsweep::sandbox::Sandbox) {
    let place = Place::new();
    place.write("job.csv", job(3));
    (place, server(2, 0, Script::default()))
}

#[test]
fn what_is_tolerated_keeps_its_status_and_counts_for_nothing() {
    let (place, sandbox) = with_a_gone_mailbox();
    let quiet = ["-q", "--tolerate", "no_such_mailbox,timeout"];
    let ended = expect(place.run_against(&sandbox.url(), &quiet), 0);
    assert_eq!((stdout(&ended), stderr(&ended)), (String::new(), String::new()));
    assert_eq!(place.column("run", "status")[4..], ["failed", "failed"]);
    assert_eq!(place.column("run", "error_class")[4..], ["no_such_mailbox"; 2]);
    assert_eq!(place.summary("run")["counts"]["failed"], 2);
    assert!(!place.path("run/unfinished.csv").exists());
    let facts: serde_json::Value = serde_json::from_str(&place.read("run/run.json")).unwrap();
    assert_eq!(facts["settings"]["tolerate"], serde_json::json!(["no_such_mailbox", "timeout"]));
    let told = stdout(&expect(place.mailsweep(&["status", "run"]), 0));
    assert!(told.contains("ok 4 (all verified), failed 2; nothing waits for you"), "{told}");

    // A resume heeds it, and one that is told otherwise does not.
    expect(place.mailsweep(&["resume", "run", "-q"]), 0);
    expect(place.mailsweep(&["resume", "run", "-q", "--tolerate", "none"]), 1);
    expect(place.mailsweep(&["resume", "run", "--retry-failed", "-q"]), 0);
    let other = expect(place.mailsweep(&["resume", "run", "--retry-failed", "--tolerate", "api"]), 1);
    assert!(place.path("run/unfinished.csv").exists());
    assert!(stderr(&other).contains("spelling, the account"), "{}", stderr(&other));
}

#[test]
fn without_it_the_same_is_a_failure() {
    let (place, sandbox) = with_a_gone_mailbox();
    let ended = expect(place.run_against(&sandbox.url(), &["-q"]), 1);
    assert!(place.path("run/unfinished.csv").exists());
    assert!(stdout(&ended).is_empty());
    let told = stderr(&ended);
    assert!(told.lines().count() <= 15 && told.contains("ok 4, failed 2"), "{told}");
    for word in ["user002@example.com", "run/results.csv", "run/unfinished.csv"] {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn what_is_tolerated_does_not_use_up_max_errors() {
    let refuses = || Script::of([Rule::new(Fault::ApiFailure("Busy.".into()))]);
    // One by one, and by the share of a server.
    for (max_errors, mailboxes) in [("0", 3), ("50%", 80)] {
        for (tolerate, expected) in [("api", 0), ("no_such_mailbox", 3)] {
            let place = Place::new();
            place.write("job.csv", job(mailboxes));
            let sandbox = server(mailboxes, 0, refuses());
            let flags = ["--rate", "none", "--max-errors", max_errors, "--tolerate", tolerate];
            expect(place.run_against(&sandbox.url(), &flags), expected);
            let failed = place.column("run", "status").iter().filter(|status| *status == "failed").count();
            assert_eq!(failed == 2 * mailboxes, expected == 0, "{max_errors} {tolerate}: {failed}");
        }
    }
}

#[test]
fn what_never_reached_a_server_is_tolerated_as_well() {
    let place = Place::new();
    place.write("job.csv", "email,action,channel\na@example.com,suspend,login\nnonsense,suspend,login\n");
    place.write(
        "mailsweep.toml",
        "protect = [\"a@*\"]\n[defaults]\ntolerate = [\"protected\"]\n\
         [[server]]\nname = \"web01\"\nurl = \"https://web01.example.net:2083\"\nuser = \"exampleu\"\n\
         token_file = \"token\"\n",
    );
    let rehearse = |more: &[&str], run: &str, expected| {
        let mut args = vec!["run", "job.csv", "--dry-run", "--skip-invalid", "--run-dir", run];
        args.extend(more);
        expect(place.mailsweep(&args), expected)
    };
    rehearse(&[], "one", 1);
    assert_eq!(place.column("one", "status"), ["blocked", "invalid"]);
    // The flag goes over the configuration.
    rehearse(&["--tolerate", "invalid_row"], "two", 1);
    let ended = rehearse(&["--tolerate", "invalid_row,protected", "-q"], "three", 0);
    assert_eq!(stderr(&ended), "");
    let mut by_variable = place.mailsweep(&["run", "job.csv", "-n", "--skip-invalid", "--run-dir", "four"]);
    by_variable.env("MAILSWEEP_TOLERATE", "invalid_row,protected");
    expect(by_variable, 0);
    let wrong = place.mailsweep(&["run", "job.csv", "-n", "--tolerate", "timeouts"]).output().unwrap();
    assert_eq!(code(&wrong), 2);
    assert!(
        stderr(&wrong).contains("timeouts") && stderr(&wrong).contains("bad_answer"),
        "{}",
        stderr(&wrong)
    );
    let text = place.read("mailsweep.toml");
    place.write("mailsweep.toml", text.replace("\"protected\"", "\"protect\""));
    let wrong = rehearse(&[], "five", 2);
    assert!(stderr(&wrong).contains("“tolerate” in [defaults] is wrong"), "{}", stderr(&wrong));
    place.write("mailsweep.toml", "tolerate = [\"protected\"]\n");
    let misplaced = rehearse(&[], "six", 2);
    assert!(stderr(&misplaced).contains("it belongs in [defaults]"), "{}", stderr(&misplaced));
}

#[test]
fn a_halt_that_is_tolerated_leaves_a_code_of_nothing() {
    let (place, sandbox) = with_a_gone_mailbox();
    place.write("token", "NOT-THE-TOKEN-1234567890\n");
    expect(place.run_against(&sandbox.url(), &["-q", "--tolerate", "auth"]), 0);
    assert_eq!(place.column("run", "status"), ["not_attempted"; 6]);
    assert!(!place.path("run/unfinished.csv").exists());
    expect(place.mailsweep(&["resume", "run", "-q", "--tolerate", "none"]), 4);
}

/// With `-q` cron's mail is nothing, or short and to the point.
#[test]
fn quiet_is_silent_or_short_whatever_happens() {
    let refuses = |message: &str| Script::of([Rule::new(Fault::ApiFailure(message.into()))]);
    let mut told = Vec::new();
    // Each fails in its own way: at every operation, at the token, at the input, at the configuration.
    let place = Place::new();
    place.write("job.csv", job(100));
    let sandbox = server(100, 0, refuses("No.\nReally\nnot."));
    told.push(expect(place.run_against(&sandbox.url(), &["-q", "--rate", "none"]), 3));
    place.write("token", "NOT-THE-TOKEN-1234567890\n");
    for (n, expected) in [(2, 4), (3, 4), (4, 4)] {
        let run = format!("run{n}");
        let mut command = place.run_against(&sandbox.url(), &["-q"]);
        command.args(["--run-dir", &run]);
        let output = command.output().unwrap();
        // The last of them is not sent any more.
        assert!([expected, 2].contains(&code(&output)), "{}", stderr(&output));
        told.push(output);
    }
    let place = Place::new();
    place.write("job.csv", "email,action,channel\n".to_owned() + &"nobody,suspend,login\n".repeat(60));
    told.push(expect(place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "-q"]), 2));
    place.write("mailsweep.toml", "[[server]]\nnonsense = 1\n".repeat(40));
    told.push(expect(place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "-q"]), 2));
    for output in told {
        let text = stderr(&output);
        assert!((1..=15).contains(&text.lines().count()), "{text}");
        assert!(stdout(&output).is_empty());
    }
}
