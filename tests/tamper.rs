//! What was changed, lost, added, swapped or cut off in a journal is found and named by an audit, and
//! is nothing that `resume` would go on from.

#[path = "support/audit.rs"]
mod audited;
mod support;

use audited::{Found, MAILBOXES, audit, ended, ended_with, everything, lines, resume};
use mailsweep::sandbox::{Fault, Rule, Script};
use support::{Place, code, expect, job, server, stderr};

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
            // Behind the last line nothing shows that one was before it.
            let is_at_the_end = ["a loss", "a swap"].contains(&what.as_str()) && line + 1 == journal.len();
            assert_eq!(named, Some((line - usize::from(is_at_the_end)) as u64), "{what}: {says}");
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
fn what_an_undo_notes_behind_the_end_is_as_safe_as_what_stands_before_it() {
    let place = Place::new();
    place.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    let (results, earlier) = (place.read("run/results.csv"), place.read("run/summary.json"));
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
    place.write("run/summary.json", earlier);
    assert_eq!(audit(&place).code, 0, "{}", audit(&place).told);
    place.write("run/summary.json", summary.replace(last, "  \"chain\": null"));
    assert_eq!(audit(&place).file("summary.json").0, "altered");
}
