//! README.md says what the program does: its commands work as typed, and nothing that a user has to
//! know is missing from it.
//!
//! Commands are the lines of its `sh` blocks. What starts with `mailsweep` or with
//! `cargo run --release -- ` is run with the built program in a scratch copy of the samples: as typed
//! with `--sandbox` or `--dry-run`, as a dry run where it names a server. A command about a run needs
//! only be understood, since the runs that README names are not there. The first `csv` block is
//! `job.csv`.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use mailsweep::Exit;
use mailsweep::domain::{ErrorClass, Status};
use mailsweep::job::RESULT_COLUMNS;
use mailsweep::view::guidance;
use support::{Place, code, expect, stderr, stdout};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The blocks that are fenced with this word, without the blanks that they are indented by.
fn blocks(readme: &str, word: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut inside: Option<(bool, String)> = None;
    for line in readme.lines().map(str::trim_start) {
        match (&mut inside, line.strip_prefix("```")) {
            (None, Some(kind)) => inside = Some((kind == word, String::new())),
            (Some(_), Some(_)) => blocks.extend(inside.take().filter(|(wanted, _)| *wanted).map(|(_, b)| b)),
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(inside.is_none(), "a block is not closed");
    blocks
}

/// What follows a heading, to the next one of its rank or a higher one.
fn section<'a>(readme: &'a str, heading: &str) -> &'a str {
    let rank = heading.chars().take_while(|c| *c == '#').count();
    let start = readme.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let rest = &readme[start + 1 + heading.len()..];
    let ends = (1..=rank).filter_map(|n| rest.find(&format!("\n{} ", "#".repeat(n))));
    &rest[..ends.min().unwrap_or(rest.len())]
}

/// The first cells of a section's tables, without their code marks.
fn first_cells(section: &str) -> Vec<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    rows.map(|row| row.split(" |").next().unwrap_or_default().replace('`', "")).collect()
}

/// A list in a cell or a sentence.
fn words(text: &str) -> Vec<String> {
    text.split(',').map(|word| word.trim().to_owned()).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn every_command_works_as_typed() {
    let readme = readme();
    let place = Place::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    copy(&samples, &place.path("samples"));
    place.write("job.csv", blocks(&readme, "csv").first().expect("no example of a job"));
    let (mut runs, mut resumes) = (0, 0);
    for line in blocks(&readme, "sh").iter().flat_map(|block| block.lines()) {
        let typed = line.strip_prefix("mailsweep ").or(line.strip_prefix("cargo run --release -- "));
        let Some(typed) = typed else { continue };
        let typed = shlex::split(typed).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
        let mut args: Vec<&str> = typed.iter().map(String::as_str).collect();
        match args[0] {
            "runs" | "status" if args.len() == 1 => drop(expect(place.mailsweep(&args), 0)),
            "run" => {
                if args.contains(&"--server") && !args.contains(&"--dry-run") {
                    args.push("--dry-run");
                }
                if args.contains(&"--sandbox") {
                    args.extend(["--rate", "none"]);
                }
                expect(place.mailsweep(&args), 0);
                runs += 1;
            }
            "completions" => {
                let upto = args.iter().position(|arg| *arg == ">").unwrap_or(args.len());
                assert!(!expect(place.mailsweep(&args[..upto]), 0).stdout.is_empty());
            }
            "man" => drop(expect(place.mailsweep(&["man", "man1"]), 0)),
            "history" | "plan" => {
                expect(place.mailsweep(&args), 0);
            }
            "status" | "stop" | "resume" | "audit" | "report" | "undo" | "verify"
                if args.len() > 1 || args[0] != "status" =>
            {
                let ended = place.mailsweep(&args).output().unwrap();
                let not_a_run = i32::from(Exit::NotARun.code());
                assert_eq!(code(&ended), not_a_run, "{line}\n{}", stderr(&ended));
                resumes += 1;
            }
            other => panic!("{line}: this test does not know how to try {other}"),
        }
    }
    assert!(runs >= 4 && resumes >= 1, "{runs} runs, {resumes} resumes: are the blocks still fenced as sh?");
}

#[test]
fn what_it_shows_of_the_first_run_is_what_the_first_run_shows() {
    let place = Place::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    std::fs::create_dir(place.path("samples")).unwrap();
    std::fs::copy(samples.join("breach.csv"), place.path("samples/breach.csv")).unwrap();
    // The run itself takes four seconds; a dry run shows the same lines before it.
    let shown = expect(place.mailsweep(&["run", "samples/breach.csv", "--sandbox", "--dry-run"]), 0);
    let shown = stderr(&shown);
    let preview: Vec<&str> = shown.lines().skip(1).take_while(|line| !line.starts_with("Done")).collect();
    assert!(preview.len() > 5, "{shown}");
    let first = blocks(&readme(), "text").swap_remove(0);
    for line in preview {
        assert!(first.lines().any(|told| told == line.trim_start()), "not in README: {line}");
    }
    assert!(readme().contains(&RESULT_COLUMNS.join(",")), "the results' first line");
}

#[test]
fn every_exit_code_has_its_line() {
    use Exit::*;
    let all = [
        Ok,
        Incomplete,
        Usage,
        Stopped,
        Halted,
        InUse,
        NotARun,
        Internal,
        Unwritable,
        WouldChange,
        Interrupted,
        Terminated,
    ];
    let cells = first_cells(section(&readme(), "## Exit codes"));
    let told: BTreeSet<u8> =
        cells.iter().flat_map(|cell| words(cell)).filter_map(|code| code.parse().ok()).collect();
    assert_eq!(told, all.map(Exit::code).into());
}

#[test]
fn every_error_class_is_explained_as_the_program_explains_it() {
    let readme = readme();
    let section = section(&readme, "## Error classes");
    let told = section.lines().filter(|line| line.starts_with("| `"));
    let told: Vec<String> = told.map(|row| row.replace('`', "")).collect();
    let known: Vec<String> = ErrorClass::ALL
        .iter()
        .map(|class| {
            let text = guidance(*class);
            format!("| {class} | {} | {} |", text.meaning, text.advice(*class)).replace('`', "")
        })
        .collect();
    assert_eq!(told, known, "the program's own words, in its own order");
}

#[test]
fn every_column_and_status_of_the_results_is_told() {
    let readme = readme();
    let cells = first_cells(section(&readme, "### results.csv"));
    let told: Vec<String> = cells.iter().flat_map(|cell| words(cell)).collect();
    let columns = &told[2..told.len() - 1];
    assert_eq!(columns, RESULT_COLUMNS, "each once, in their order, and then one line for the others");
    let told = first_cells(section(&readme, "### Status"));
    for status in Status::ALL {
        let word = status.word();
        assert!(told.iter().any(|cell| cell == word), "{word}");
    }
}

#[test]
fn every_long_flag_is_named_and_no_other() {
    let readme = readme();
    let place = Place::new();
    let flags = |text: &str| -> BTreeSet<String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
        text.split(|c| !is_part(c))
            .filter(|word| word.starts_with("--") && word.len() > 3)
            .map(str::to_owned)
            .collect()
    };
    let helped = |command: &str| flags(&stdout(&expect(place.mailsweep(&[command, "--help"]), 0)));
    let mut known = helped("run");
    known.extend(helped("resume"));
    for command in
        ["check", "audit", "history", "status", "runs", "stop", "merge", "report", "plan", "undo", "verify"]
    {
        known.extend(helped(command));
    }
    let told = flags(&readme);
    let missing: Vec<_> = known.difference(&told).collect();
    assert!(missing.is_empty(), "in the help, not in README: {missing:?}");
    known.extend(helped("sandbox"));
    // Cargo's own.
    known.extend(["--release", "--path", "--no-deps", "--open", "--target"].map(str::to_owned));
    let unknown: Vec<_> = told.difference(&known).collect();
    assert!(unknown.is_empty(), "in README, not in the help: {unknown:?}");
}

#[test]
fn every_file_that_it_links_to_is_there() {
    let readme = readme();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        match target.strip_prefix('#') {
            Some(anchor) => {
                let heading = readme.lines().filter(|line| line.starts_with('#')).any(|line| {
                    let title = line.trim_start_matches('#').trim();
                    title.to_lowercase().replace(' ', "-") == anchor
                });
                assert!(heading, "no heading for #{anchor}");
            }
            None => assert!(root.join(target).exists(), "{target} is not there"),
        }
    }
}
