//! The page and the workbook from outside: when they are written, and that the page is always the same.

#[path = "support/made_up.rs"]
mod made_up;
mod support;

use std::path::Path;
use std::process::Stdio;

use calamine::{Data, Reader, Xlsx, open_workbook};
use mailsweep::sandbox::{Fault, Rule, Script};
use support::{ENDED, Place, expect, job, server, stderr};

const FAST: [&str; 4] = ["--rate", "none", "--retries", "0"];

/// The hash of the page that the journal's last line has.
fn noted(place: &Place) -> String {
    let journal = place.read("run/journal.jsonl");
    let last: serde_json::Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert_eq!(last["t"], "close");
    last["report"].as_str().expect("a hash of the report").to_owned()
}

fn rows(path: &Path, sheet: &str) -> Vec<Vec<Data>> {
    let mut book: Xlsx<_> = open_workbook(path).unwrap();
    book.worksheet_range(sheet).unwrap().rows().map(<[Data]>::to_vec).collect()
}

#[test]
fn the_page_is_written_with_its_hash_in_the_journal_and_made_again_the_same() {
    let rules = [
        Rule::new(Fault::ApiFailure("No <b>such</b> thing.".into())).email("user003"),
        Rule::new(Fault::status(500)).email("user004").function("suspend_login"),
    ];
    let sandbox = server(10, 0, Script::of(rules));
    let place = Place::new();
    place.write("job.csv", job(10) + "user000@example.com,suspend,login\n");
    let mut command = place.run_against(&sandbox.url(), &FAST);
    command.args(["--ticket", "INC-7"]).env("MAILSWEEP_OPERATOR", "anna");
    let told = expect(command, 1);
    assert!(stderr(&told).contains("report      run/report.html"), "{}", stderr(&told));
    for resumes in 0..3 {
        let page = place.read("run/report.html");
        assert_eq!(noted(&place), blake3::hash(page.as_bytes()).to_hex().to_string());
        for word in
            ["INC-7", "anna on ", "No &lt;b&gt;such&lt;&#x2f;b&gt; thing.", "user004<wbr>@example.com"]
        {
            assert!(page.contains(word), "{word}");
        }
        std::fs::remove_file(place.path("run/report.html")).unwrap();
        expect(place.mailsweep(&["report", "run", "-q"]), 0);
        assert!(place.read("run/report.html") == page, "another page after {resumes} resumes");
        // Wherever it lies by then.
        std::fs::rename(place.path("run"), place.path("elsewhere")).unwrap();
        expect(place.mailsweep(&["report", "elsewhere"]), 0);
        assert!(place.read("elsewhere/report.html") == page, "another page elsewhere");
        std::fs::rename(place.path("elsewhere"), place.path("run")).unwrap();
        expect(place.mailsweep(&["resume", "run", "--retry-failed", "-q"]), 1);
    }
    assert!(place.read("run/report.html").contains("in 4 sessions"));
}

#[test]
fn a_run_at_work_gives_a_workbook_alone_and_a_killed_one_a_page_that_says_so() {
    let sandbox = server(10, 50, Script::default());
    let place = Place::new();
    place.write("job.csv", job(10));
    let mut child =
        place.run_against(&sandbox.url(), &["--rate", "10/s"]).stderr(Stdio::null()).spawn().unwrap();
    place.wait_for_journal("run", ENDED, 2);
    let refused = stderr(&expect(place.mailsweep(&["report", "run"]), 5));
    assert!(refused.contains("is at work") && refused.contains("--xlsx"), "{refused}");
    let told = stderr(&expect(place.mailsweep(&["report", "run", "--xlsx", "so-far.xlsx"]), 0));
    assert_eq!(told, "wrote so-far.xlsx\n");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("run/report.html").exists());
    assert_eq!(rows(&place.path("so-far.xlsx"), "operations").len(), 21);
    let told = stderr(&expect(place.mailsweep(&["report", "run"]), 0));
    assert_eq!(told, "wrote run/report.html\n");
    let page = place.read("run/report.html");
    assert!(page.contains("Has not ended") && page.contains(">killed</td>"));
    expect(place.mailsweep(&["resume", "run", "--rate", "none", "-q"]), 0);
    let page = place.read("run/report.html");
    assert!(page.contains("every mailbox is in its wanted state") && page.contains(">killed</td>"));
    assert_eq!(noted(&place), blake3::hash(page.as_bytes()).to_hex().to_string());
}

#[test]
fn a_rehearsal_has_a_page_and_cannot_be_told_again() {
    let place = Place::new();
    place.write("job.csv", job(3));
    expect(place.mailsweep(&["run", "job.csv", "--dry-run", "--run-dir", "run"]), 0);
    let page = place.read("run/report.html");
    assert!(page.contains("This was a rehearsal") && page.contains("Operations planned"));
    let told = stderr(&expect(place.mailsweep(&["report", "run"]), 6));
    assert!(told.contains("is a dry run"), "{told}");
    assert_eq!(place.read("run/report.html"), page);
}

#[test]
fn the_workbook_has_every_operation_as_the_results_have_it() {
    let place = Place::new();
    made_up::run(&place.path("run"), 3000, 7, "=1+1");
    let told = stderr(&expect(place.mailsweep(&["report", "run", "--xlsx", "run.xlsx"]), 0));
    assert_eq!(told, "wrote run/report.html\nwrote run.xlsx\n");
    let rows = rows(&place.path("run.xlsx"), "operations");
    let text = |data: &Data| match data {
        Data::Empty => String::new(),
        Data::DateTime(at) => format!("{:.6}", at.as_f64()),
        other => other.to_string(),
    };
    let column = |name: &str| rows[0].iter().position(|cell| text(cell) == name).unwrap();
    let results = place.results("run");
    assert_eq!(rows.len(), results.len() + 1);
    let same = [
        ("Row", "row"),
        ("Mailbox", "email"),
        ("Status", "status"),
        ("Error class", "error_class"),
        ("Attempts", "attempts"),
        ("Server", "server"),
        ("Account", "account"),
        ("Duration (ms)", "duration_ms"),
        ("ticket", "ticket"),
    ];
    for (row, result) in rows[1..].iter().zip(&results) {
        for (sheet, csv) in same {
            assert_eq!(text(&row[column(sheet)]), result[csv], "{sheet} of {result:?}");
        }
        // A text cell needs no defusing.
        assert_eq!(text(&row[column("Error")]), result["error"].trim_start_matches('\''));
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(place.path("run.xlsx")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it has the addresses in it");
}

#[test]
fn what_cannot_be_told_is_refused_before_anything_is_read() {
    let place = Place::new();
    let told = stderr(&expect(place.mailsweep(&["report", "run", "--xlsx", "none/run.xlsx"]), 2));
    assert!(told.contains("there is no directory none"), "{told}");
    expect(place.mailsweep(&["report", "run"]), 6);
    expect(place.mailsweep(&["report"]), 2);
}
