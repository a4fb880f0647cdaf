//! `mailsweep audit`: what was changed, lost, added, swapped or cut off is found, and named, and is
//! nothing that `resume` would go on from.

mod support;

use std::collections::BTreeMap;
use std::process::Output;

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use support::{ENDED, Place, code, expect, job, server, stderr, stdout};

const MAILBOXES: usize = 3;

/// A run of two sessions that have ended, on a server that is there still.
fn ended() -> (Place, Sandbox) {
    ended_with(MAILBOXES)
}

fn ended_with(mailboxes: usize) -> (Place, Sandbox) {
    let place = Place::new();
    let fails = Rule::new(Fault::ApiFailure("=Busy, ü".into())).email("user001");
    let sandbox = server(mailboxes, 0, Script::of([fails.function("suspend_login")]));
    let text = job(mailboxes).replace("channel\n", "channel,note\n").replace("outgoing\n", "outgoing,0815\n");
    place.write("job.csv", text);
    expect(place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "1"]), 1);
    expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 1);
    (place, sandbox)
}

/// What an audit finds: each file's verdict, its line and what is said of it.
struct Found {
    code: i32,
    told: String,
    json: serde_json::Value,
}

impl Found {
    fn of(place: &Place, run: &str, args: &[&str]) -> Found {
        let mut command = place.mailsweep(&["audit", run, "--json"]);
        let output = command.args(args).output().unwrap();
        let json = serde_json::from_str(&stdout(&output)).unwrap_or_default();
        Found { code: code(&output), told: stderr(&output), json }
    }

    fn file(&self, name: &str) -> (&str, Option<u64>, &str) {
        let files = self.json["files"].as_array().unwrap_or_else(|| panic!("{}", self.told));
        let finding = files.iter().find(|finding| finding["file"] == name).unwrap();
        let text = |key: &str| finding[key].as_str().unwrap();
        (text("verdict"), finding["line"].as_u64(), text("says"))
    }

    /// The files against which something is said.
    fn unsound(&self) -> Vec<&str> {
        let files = self.json["files"].as_array().unwrap_or_else(|| panic!("{}", self.told));
        let is_sound = |verdict: &serde_json::Value| verdict == "ok" || verdict == "not_yet";
        files.iter().filter(|f| !is_sound(&f["verdict"])).map(|f| f["file"].as_str().unwrap()).collect()
    }
}

fn audit(place: &Place) -> Found {
    Found::of(place, "run", &[])
}

/// Every file of the run, with its bytes and the time of its last change.
fn everything(place: &Place) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let files = std::fs::read_dir(place.path("run")).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let changed = path.metadata().unwrap().modified().unwrap();
            (path.display().to_string(), (std::fs::read(&path).unwrap(), changed))
        })
        .collect()
}

fn resume(place: &Place) -> Output {
    place.mailsweep(&["resume", "run", "--retry-failed"]).output().unwrap()
}

/// The lines of a text, each with its end.
fn lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// The journal with something done to it, and the first of its lines that then does not fit.
fn altered(journal: &[String]) -> Vec<(String, usize, String)> {
    let mut all = Vec::new();
    let mut add = |what: String, line: usize, text: Vec<String>| all.push((what, line + 1, text.concat()));
    for at in 0..journal.len() {
        let line = &journal[at];
        let with = |line: String| [&journal[..at], &[line], &journal[at + 1..]].concat();
        // In the middle, in the hash, and the line's end.
        for byte in [line.len() / 2, line.len() - 10, line.len() - 1] {
            let mut bytes = line.clone().into_bytes();
            bytes[byte] ^= 1;
            add(format!("a flip of byte {byte}"), at, with(String::from_utf8(bytes).unwrap()));
        }
        add("a loss".into(), at, with(String::new()));
        add("a repetition".into(), at + 1, with(line.repeat(2)));
        let foreign = "{\"t\":\"begin\",\"at\":\"2026-11-23T19:00:00.123Z\",\"ops\":[0],\"h\":\"0\"}\n";
        add("an addition".into(), at + 1, with(format!("{line}{foreign}")));
        if at + 1 < journal.len() {
            let mut swapped = journal.to_vec();
            swapped.swap(at, at + 1);
            add("a swap".into(), at, swapped);
        }
    }
    all
}

#[test]
fn no_line_can_be_changed_lost_added_or_swapped_and_no_end_cut_off() {
    let (place, sandbox) = ended_with(2);
    assert_eq!(audit(&place).code, 0, "{}", audit(&place).told);
    let journal = lines(&place.read("run/journal.jsonl"));
    assert!(
        journal.len() > 15 && journal.iter().filter(|line| line.contains("\"t\":\"close\"")).count() == 2
    );
    let before = sandbox.requests().len();
    let mut alterations = altered(&journal);
    for kept in 0..journal.len() {
        let whole = journal[..kept].concat();
        alterations.push(("a cut".into(), 0, whole.clone()));
        let half = &journal[kept][..journal[kept].len() / 2];
        alterations.push(("a cut in a line".into(), 0, format!("{whole}{half}")));
    }
    for (what, line, text) in alterations {
        place.write("run/journal.jsonl", &text);
        let files = everything(&place);
        let found = audit(&place);
        assert_eq!(found.code, 1, "{what} in line {line}: {}", found.told);
        let (verdict, named, says) = found.file("journal.jsonl");
        assert_eq!(verdict, "altered", "{what} in line {line}: {says}");
        for other in ["input.csv", "results.csv", "unfinished.csv", "summary.json"] {
            assert_ne!(found.file(other).0, "altered", "{what} in line {line}: {}", found.told);
        }
        // Where the last line is gone, what is wrong is where the journal ends.
        if line > 0 && line < journal.len() {
            assert_eq!(named, Some(line as u64), "{what}: {says}");
        }
        let refused = resume(&place);
        assert_eq!(code(&refused), 6, "{what} in line {line}: {}", stderr(&refused));
        assert!(everything(&place) == files, "{what} in line {line}: something was written");
    }
    assert_eq!(sandbox.requests().len(), before, "nothing was sent");
    place.write("run/journal.jsonl", journal.concat());
    assert_eq!(audit(&place).code, 0);
}

#[test]
fn of_a_run_that_has_not_ended_resume_takes_what_audit_calls_a_torn_end_and_nothing_else() {
    let (place, _sandbox) = ended_with(2);
    let journal = lines(&place.read("run/journal.jsonl"));
    let first_end = journal.iter().position(|line| line.contains("\"t\":\"close\"")).unwrap();
    for file in ["results.csv", "unfinished.csv", "summary.json"] {
        std::fs::remove_file(place.path("run").join(file)).unwrap();
    }
    // As a kill would leave it, at every line of the first session.
    let killed = &journal[..first_end];
    let kept = everything(&place);
    let (mut torn, mut refused) = (0, 0);
    let alterations = altered(killed).into_iter().chain([("a kill".into(), killed.len(), killed.concat())]);
    for (what, line, text) in alterations {
        place.write("run/journal.jsonl", &text);
        let found = audit(&place);
        assert_eq!(found.code, 1, "{what} in line {line}: {}", found.told);
        let (verdict, ..) = found.file("journal.jsonl");
        let resumed = resume(&place);
        match verdict {
            "not_ended" => {
                torn += 1;
                assert!(found.told.contains("mailsweep resume run"), "{}", found.told);
                assert_eq!(code(&resumed), 1, "{what} in line {line}: {}", stderr(&resumed));
                assert_eq!(audit(&place).code, 0, "{what} in line {line}: {}", audit(&place).told);
            }
            verdict => {
                refused += 1;
                assert_eq!(verdict, "altered", "{what} in line {line}");
                assert_eq!(code(&resumed), 6, "{what} in line {line}: {}", stderr(&resumed));
            }
        }
        for entry in std::fs::read_dir(place.path("run")).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, (bytes, _)) in &kept {
            std::fs::write(path, bytes).unwrap();
        }
    }
    assert!(torn > 5 && refused > 5, "{torn} taken up, {refused} refused");
}

#[test]
fn a_fragment_behind_an_end_is_a_session_that_was_killed_at_its_beginning() {
    let (place, _sandbox) = ended();
    let journal = place.read("run/journal.jsonl");
    place.write("run/journal.jsonl", format!("{journal}{{\"t\":\"session\",\"at\":\"20"));
    let found = audit(&place);
    assert_eq!((found.code, found.file("journal.jsonl").0), (1, "not_ended"));
    assert_eq!(found.unsound(), ["journal.jsonl"], "the results are those of the session before");
    assert_eq!(code(&resume(&place)), 1);
    assert_eq!(audit(&place).code, 0);
    // A kill between the journal's last line and the summary.
    std::fs::remove_file(place.path("run/summary.json")).unwrap();
    assert_eq!(audit(&place).unsound(), ["summary.json"]);
    expect(place.mailsweep(&["resume", "run"]), 1);
    assert_eq!(audit(&place).code, 0, "{}", audit(&place).told);
}

#[test]
fn a_summary_that_resume_writes_for_a_killed_session_is_the_one_that_this_would_have_written() {
    let place = Place::new();
    place.write("job.csv", job(1));
    let fails = Rule::new(Fault::ApiFailure("Busy.".into())).function("suspend_outgoing");
    let sandbox = server(1, 0, Script::of([fails]));
    // Stopped by its last operation: its own code is not that of its results.
    let flags = ["--rate", "none", "--jobs", "1", "--max-errors", "0", "--blind"];
    expect(place.run_against(&sandbox.url(), &flags), 3);
    let summary = place.read("run/summary.json");
    std::fs::remove_file(place.path("run/summary.json")).unwrap();
    expect(place.mailsweep(&["resume", "run"]), 1);
    assert_eq!(place.read("run/summary.json"), summary);
    assert_eq!(audit(&place).code, 0);
}

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

/// The journal with its last such line changed, and all hashes from there on made anew.
fn forged(journal: &str, from: &str, to: &str) -> String {
    const TAIL: usize = ",\"h\":\"\"}".len() + 32;
    let mut chain: Option<[u8; 16]> = None;
    let mut out = String::new();
    let changed = journal.lines().collect::<Vec<_>>().iter().rposition(|line| line.contains(from)).unwrap();
    for (number, line) in journal.lines().enumerate() {
        let (content, tail) = line.split_at(line.len() - TAIL);
        let is_changed = number >= changed;
        let content = if number == changed { content.replacen(from, to, 1) } else { content.to_owned() };
        let old: Vec<u8> =
            (0..16).map(|i| u8::from_str_radix(&tail[6 + 2 * i..8 + 2 * i], 16).unwrap()).collect();
        let new = match chain {
            Some(before) if is_changed => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&before).update(content.as_bytes());
                hasher.finalize().as_bytes()[..16].to_vec()
            }
            _ => old,
        };
        let digits: String = new.iter().map(|byte| format!("{byte:02x}")).collect();
        out += &format!("{content},\"h\":\"{digits}\"}}\n");
        chain = Some(new.try_into().unwrap());
    }
    assert_ne!(out, journal);
    out
}

#[test]
fn a_journal_whose_hashes_were_made_anew_does_not_come_to_the_results_that_it_names() {
    let (place, _sandbox) = ended();
    let journal = place.read("run/journal.jsonl");
    place.write("run/journal.jsonl", forged(&journal, "\"status\":\"failed\"", "\"status\":\"ok\""));
    let found = audit(&place);
    assert_eq!(found.file("journal.jsonl").0, "altered", "the summary still knows its end: {}", found.told);
    std::fs::remove_file(place.path("run/summary.json")).unwrap();
    let found = audit(&place);
    let (verdict, line, says) = found.file("journal.jsonl");
    assert_eq!((verdict, line), ("altered", Some(journal.lines().count() as u64)), "{says}");
    assert!(says.contains("other results"), "{says}");
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

#[test]
fn what_an_undo_notes_behind_the_end_is_as_safe_as_what_stands_before_it() {
    let place = Place::new();
    place.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    let results = place.read("run/results.csv");
    expect(place.mailsweep(&["undo", "run", "--yes", "--run-dir", "back", "--rate", "none"]), 0);
    let found = audit(&place);
    assert_eq!(found.code, 0, "{}", found.told);
    assert!(found.file("journal.jsonl").2.contains("1 note behind the last end"), "{}", found.told);
    assert_eq!(Found::of(&place, "back", &[]).code, 0);
    assert_eq!(place.read("run/results.csv"), results, "the results stay what they were at the end");

    let journal = lines(&place.read("run/journal.jsonl"));
    let (note, before) = journal.split_last().unwrap();
    assert!(note.contains("\"t\":\"undone\""), "{note}");
    let half = &note[..note.len() / 2];
    for text in [before.concat(), before.concat() + half, before.concat() + &note.replace("back", "bacK")] {
        place.write("run/journal.jsonl", &text);
        let found = audit(&place);
        assert_eq!((found.code, found.file("journal.jsonl").0), (1, "altered"), "{}", found.told);
        assert_eq!(code(&resume(&place)), 6);
        expect(place.mailsweep(&["undo", "run", "--yes", "--run-dir", "again"]), 6);
    }
    // A kill between the note and the summary leaves the summary of before.
    place.write("run/journal.jsonl", journal.concat());
    let summary = place.read("run/summary.json");
    let last = summary.lines().find(|line| line.starts_with("  \"chain\"")).unwrap();
    let of_end = place.summary("run")["sessions"][0]["chain"].as_str().unwrap().to_owned();
    place.write("run/summary.json", summary.replace(last, &format!("  \"chain\": \"{of_end}\"")));
    assert_eq!(audit(&place).code, 0, "{}", audit(&place).told);
    place.write("run/summary.json", summary.replace(last, "  \"chain\": null"));
    assert_eq!(audit(&place).file("summary.json").0, "altered");
}
