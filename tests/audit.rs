//! `mailsweep audit`: what each file of a run is found to be, and what vouches for it.

#[path = "support/audit.rs"]
mod audited;
mod support;

use std::process::Output;

use audited::{Found, MAILBOXES, audit, ended, ended_with, everything, lines};
use mailsweep::sandbox::{Fault, Rule, Script};
use support::{ENDED, Place, expect, job, server, stderr, stdout};

#[test]
fn an_audit_writes_nothing_and_says_little_if_it_is_asked_to() {
    let (place, _sandbox) = ended();
    let files = everything(&place);
    let well = expect(place.mailsweep(&["audit", "run", "-q"]), 0);
    assert_eq!(stdout(&well) + &stderr(&well), "");
    for name in ["run.json", "input.csv", "journal.jsonl", "results.csv", "unfinished.csv", "summary.json"] {
        assert!(audit(&place).told.contains(&format!("{name} ")));
    }
    assert!(everything(&place) == files);
    for file in ["input.csv", "results.csv", "unfinished.csv", "summary.json"] {
        place.write(&format!("run/{file}"), "nonsense\n");
    }
    let files = everything(&place);
    let bad = expect(place.mailsweep(&["audit", "run", "-q"]), 1);
    assert!((5..=15).contains(&stderr(&bad).lines().count()), "{}", stderr(&bad));
    assert!(stdout(&bad).is_empty() && everything(&place) == files);
}

#[test]
fn each_file_that_was_altered_is_named_with_its_first_line_that_does_not_fit() {
    let (place, _sandbox) = ended();
    let unsound = |file: &str, from: &str, to: &str| {
        let path = format!("run/{file}");
        let text = place.read(&path);
        assert!(text.contains(from), "{file} has no {from}");
        place.write(&path, text.replacen(from, to, 1));
        let found = audit(&place);
        assert_eq!(found.code, 1, "{}", found.told);
        place.write(&path, text);
        let (verdict, line, says) = found.file(file);
        let named = found.unsound().into_iter().map(str::to_owned).collect::<Vec<_>>();
        (named, verdict.to_owned(), line, says.to_owned())
    };
    let (named, verdict, line, says) = unsound(
        "results.csv",
        "3,user002@example.com,suspend,login,ok",
        "3,user002@example.com,suspend,login,failed",
    );
    assert_eq!((named, verdict.as_str(), line), (vec!["results.csv".into()], "altered", Some(6)));
    assert_eq!(says, "status is “failed” and was “ok”");
    let (named, verdict, line, _) = unsound("unfinished.csv", "user001", "user002");
    assert_eq!((named, verdict.as_str(), line), (vec!["unfinished.csv".into()], "altered", Some(2)));
    let (named, verdict, line, says) = unsound("summary.json", "\"ok\": 5", "\"ok\": 6");
    let text = place.read("run/summary.json");
    let counts = text.lines().position(|line| line.contains("\"ok\": 5")).unwrap() as u64 + 1;
    assert_eq!((named, verdict.as_str(), line), (vec!["summary.json".into()], "altered", Some(counts)));
    assert_eq!(says, "counts.ok is 6 and was 5");
    let operator = text.lines().find(|line| line.contains("operator")).unwrap();
    assert_eq!(unsound("summary.json", operator, "\"operator\": \"eve\",").1, "altered");
    assert_eq!(unsound("summary.json", "{", "").1, "altered");
    let (named, verdict, ..) = unsound("input.csv", "user000", "user009");
    assert_eq!((named[0].as_str(), verdict.as_str()), ("input.csv", "altered"));
    let (named, verdict, _, says) = unsound("run.json", "\"retries\": 4", "\"retries\": 5");
    assert_eq!(
        (&named[..2], verdict.as_str()),
        (&["run.json".into(), "journal.jsonl".into()][..], "doubtful")
    );
    assert!(says.contains("line 1 of journal.jsonl"), "{says}");
    assert_eq!(audit(&place).code, 0);
    for file in ["input.csv", "journal.jsonl", "results.csv", "unfinished.csv", "summary.json"] {
        let path = place.path("run").join(file);
        let text = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let found = audit(&place);
        assert_eq!((found.code, found.file(file).0), (1, "missing"), "{}", found.told);
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn what_a_spreadsheet_saved_is_told_from_what_was_altered_and_is_written_again_byte_for_byte() {
    let (place, _sandbox) = ended();
    let results = place.read("run/results.csv");
    let unfinished = place.read("run/unfinished.csv");
    let mut sorted = lines(&results);
    sorted[1..].reverse();
    let utf16 =
        |text: &str| [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(results.contains("'=Busy, ü") && !results.contains(';'), "{results}");
    let semicolons = results.replace(',', ";").replace("\"'=Busy; ü\"", "'=Busy, ü");
    let western: Vec<u8> = semicolons.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("line ends", results.replace('\n', "\r\n").into()),
        ("mark", format!("\u{feff}{results}").into()),
        ("quotes", results.replace(",suspend,", ",\"suspend\",").into()),
        ("; between", semicolons.replace('\n', "\r\n").into()),
        ("encoding", western),
        ("UTF-16", utf16(&semicolons.replace(';', "\t"))),
        ("in another form", results.replace("0815", "815").replace("'=Busy", "=Busy").into()),
        ("another order", sorted.concat().into()),
    ];
    let rewritten = |place: &Place| {
        let output = expect(place.mailsweep(&["audit", "run", "--rewrite-results"]), 0);
        assert_eq!(place.read("run/results.csv"), results);
        assert_eq!(place.read("run/unfinished.csv"), unfinished);
        stderr(&output)
    };
    for (what, bytes) in forms {
        place.write("run/results.csv", bytes);
        let found = audit(&place);
        let (verdict, line, says) = found.file("results.csv");
        assert_eq!((found.code, verdict, line), (1, "saved_again", None), "{what}: {says}");
        assert!(says.contains(what), "{what}: {says}");
        assert!(found.told.contains("mailsweep audit run --rewrite-results"), "{}", found.told);
        assert!(rewritten(&place).contains("results.csv is written again"));
    }
    for bytes in [results.replace("failed", "ok"), lines(&results)[..3].concat(), String::new()] {
        place.write("run/results.csv", bytes);
        place.write("run/unfinished.csv", unfinished.replace('\n', "\r\n"));
        let found = audit(&place);
        assert_eq!((found.file("results.csv").0, found.file("unfinished.csv").0), ("altered", "saved_again"));
        assert_eq!(found.file("journal.jsonl").0, "ok");
        rewritten(&place);
    }
    std::fs::remove_file(place.path("run/results.csv")).unwrap();
    rewritten(&place);
    assert!(!rewritten(&place).contains("written again"), "where all is well nothing is written");
    // From a journal that is not whole nothing is written.
    let journal = place.read("run/journal.jsonl");
    place.write("run/journal.jsonl", journal.replacen("user", "usee", 1).replacen("\"ok\"", "\"no\"", 1));
    place.write("run/results.csv", "mine\n");
    let told = stderr(&expect(place.mailsweep(&["audit", "run", "--rewrite-results"]), 1));
    assert!(!told.contains("--rewrite-results"), "{told}");
    assert_eq!(place.read("run/results.csv"), "mine\n");
}

#[test]
fn a_hash_that_was_kept_elsewhere_vouches_up_to_its_line_and_an_unknown_one_is_told() {
    let place = Place::new();
    place.write("job.csv", job(MAILBOXES));
    let fails = Rule::new(Fault::ApiFailure("Busy.".into())).email("user001").once();
    let sandbox = server(MAILBOXES, 0, Script::of([fails]));
    let printed = |output: &Output| {
        let told = stderr(output);
        let line =
            told.lines().find(|line| line.starts_with("Chain hash")).unwrap_or_else(|| panic!("{told}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let first = printed(&expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 1));
    let lines_of_first = place.read("run/journal.jsonl").lines().count();
    let second = printed(&expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 0));
    let lines_in_all = place.read("run/journal.jsonl").lines().count();
    let summary = place.summary("run");
    assert_eq!(
        (&summary["sessions"][0]["chain"], &summary["sessions"][1]["chain"]),
        (&first.clone().into(), &second.clone().into())
    );

    let found = audit(&place);
    assert!(found.told.contains("cannot be excluded") && found.told.contains(&second), "{}", found.told);
    for (hash, session, line) in [(&first, 1, lines_of_first), (&second, 2, lines_in_all)] {
        let found = Found::of(&place, "run", &["--expect", &hash.to_uppercase()]);
        assert_eq!(found.code, 0, "{}", found.told);
        let expected = &found.json["expected"];
        assert_eq!((&expected["session"], &expected["line"]), (&session.into(), &line.into()));
        assert_eq!(expected["ended_at"], summary["sessions"][session - 1]["ended_at"]);
        assert!(
            found.told.contains(&format!("up to line {line}, the end of session {session}")),
            "{}",
            found.told
        );
        assert!(!found.told.contains("cannot be excluded"));
    }
    // The same work recorded anew is as sound as the first, but for the hash.
    std::fs::rename(place.path("run"), place.path("first")).unwrap();
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    assert_eq!(audit(&place).code, 0);
    let found = Found::of(&place, "run", &["--expect", &second, "-q"]);
    assert_eq!((found.code, &found.json["expected"]["line"]), (1, &serde_json::Value::Null));
    assert!(found.unsound().is_empty() && found.told.contains(&second), "{}", found.told);
    assert_eq!(Found::of(&place, "first", &["--expect", &second]).code, 0, "a directory may be moved");
    let wrong = expect(place.mailsweep(&["audit", "run", "--expect", "cafe"]), 2);
    assert!(stderr(&wrong).contains("not a chain hash"), "{}", stderr(&wrong));
}

#[test]
fn what_is_no_run_has_code_6_and_what_was_killed_before_it_began_has_not_ended() {
    let place = Place::new();
    place.write("job.csv", job(MAILBOXES));
    std::fs::create_dir(place.path("empty")).unwrap();
    for none in ["none", "empty", "job.csv"] {
        let told = stderr(&expect(place.mailsweep(&["audit", none]), 6));
        assert!(told.contains(none), "{told}");
    }
    expect(place.mailsweep(&["run", "job.csv", "--sandbox", "--dry-run", "--run-dir", "dry"]), 0);
    assert!(stderr(&expect(place.mailsweep(&["audit", "dry"]), 6)).contains("dry run"));
    expect(
        place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--rate", "none", "--run-dir", "run"]),
        0,
    );
    for file in ["journal.jsonl", "results.csv", "summary.json", "sandbox.json"] {
        std::fs::remove_file(place.path("run").join(file)).unwrap();
    }
    let found = audit(&place);
    assert_eq!((found.code, found.file("journal.jsonl").0), (1, "not_ended"), "{}", found.told);
    assert!(found.told.contains("mailsweep resume run"), "{}", found.told);
    place.write("run/journal.jsonl", "");
    assert_eq!((audit(&place).code, audit(&place).file("journal.jsonl").0), (1, "not_ended"));
    expect(place.mailsweep(&["resume", "run", "--rate", "none"]), 0);
    assert_eq!(audit(&place).code, 0);
    assert_eq!(audit(&place).json["unvouched"], serde_json::json!(["sandbox.json"]));
    let text = place.read("run/run.json");
    place.write("run/run.json", text.replacen("\"format\": 2", "\"format\": 3", 1));
    expect(place.mailsweep(&["audit", "run"]), 6);
}

#[test]
fn a_report_that_is_another_one_is_told_and_is_no_fault() {
    let (place, _sandbox) = ended_with(2);
    assert_eq!(audit(&place).file("report.html").0, "ok");
    place.write("run/report.html", "mine");
    let found = audit(&place);
    assert_eq!((found.code, found.file("report.html").0), (0, "not_yet"), "{}", found.told);
    assert!(found.told.contains("or altered"), "{}", found.told);
    std::fs::remove_file(place.path("run/report.html")).unwrap();
    assert_eq!((audit(&place).code, audit(&place).file("report.html").0), (0, "not_yet"));
    expect(place.mailsweep(&["report", "run"]), 0);
    assert_eq!(audit(&place).file("report.html").0, "ok", "it comes out the same");
}

#[test]
fn a_run_at_work_is_audited_without_being_disturbed() {
    let place = Place::new();
    place.write("job.csv", job(100));
    // Slow enough to be at work for longer than an audit takes on a busy machine.
    let sandbox = server(100, 200, Script::default());
    let mut run = place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "1"]);
    let mut run = run.stderr(std::process::Stdio::null()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 2);
    let found = audit(&place);
    let ended_meanwhile = place.read("run/journal.jsonl").matches(ENDED).count();
    place.wait_for_journal("run", ENDED, ended_meanwhile + 2);
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!((found.code, found.unsound()), (1, vec!["journal.jsonl"]), "{}", found.told);
    assert!(found.json["in_use"] == true && found.told.contains("at work"), "{}", found.told);
    let killed = audit(&place);
    assert!(
        killed.json["in_use"] == false && killed.told.contains("mailsweep resume run"),
        "{}",
        killed.told
    );
}
