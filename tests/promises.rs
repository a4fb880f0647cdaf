//! Every promise of README has tests that hold it, listed in tests/README.md. This holds the two lists
//! to each other, and the second one to the tests that there are.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The sentences of README's section.
fn promised() -> Vec<String> {
    let readme = read("README.md");
    let section = readme.split("\n## What mailsweep promises\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter_map(|line| line.strip_prefix("* ")).map(str::to_owned).collect()
}

/// The promises that tests/README.md lists, each with what holds it.
fn held() -> Vec<(String, Vec<String>)> {
    let text = read("tests/README.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = rows.filter_map(|row| row.rsplit_once(" | ")).skip(2);
    let held = |by: &str| by.split("<br>").map(|test| test.trim_matches('`').to_owned()).collect();
    rows.map(|(promise, by)| (promise.to_owned(), held(by))).collect()
}

/// Whether a file has a test of this name that is run: one that is ignored holds nothing.
fn has_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let before: Vec<&str> = text[..at].lines().rev().map(str::trim).take(4).collect();
    let is_test = before.iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"));
    is_test && !before.iter().any(|line| line.starts_with("#[ignore"))
}

#[test]
fn every_promise_is_listed_with_what_holds_it_and_nothing_else_is() {
    let promised = promised();
    let held: Vec<String> = held().into_iter().map(|(promise, _)| promise).collect();
    assert!(promised.len() > 20, "the list is read wrongly: {promised:?}");
    assert_eq!(promised.iter().collect::<BTreeSet<_>>().len(), promised.len(), "one stands there twice");
    assert_eq!(held, promised, "in the same words and order");
}

#[test]
fn what_holds_a_promise_is_there() {
    for (promise, by) in held() {
        let mut tests = 0;
        for place in &by {
            match place.split_once(": ") {
                Some((file, name)) => {
                    assert!(has_test(&read(file), name), "{promise}: {file} has no test {name}");
                    tests += 1;
                }
                None => assert!(place.starts_with("tests/fuzz/") && !read(place).is_empty(), "{place}"),
            }
        }
        assert!(tests > 0, "{promise} is held by no test");
    }
}

#[test]
fn a_test_is_found_by_name_and_only_if_it_is_run() {
    let text =
        "#[test]\nfn runs() {}\n\n\n\n#[test]\n#[ignore = \"slow\"]\nfn waits() {}\n\n\n\nfn helps() {}\n";
    assert!(has_test(text, "runs"));
    assert!(!has_test(text, "waits") && !has_test(text, "helps") && !has_test(text, "run"));
}
