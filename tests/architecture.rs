//! The direction of the house: which room may use which, read off the `use` lines.

use std::path::{Path, PathBuf};

/// Each room, the rooms it may use, and what must not appear in it at all.
const ROOMS: [(&str, &[&str], &[&str]); 9] = [
    ("domain", &[], &["std::fs", "std::net", "std::io", "std::time", "tokio", "reqwest", "clap"]),
    ("job", &["domain"], &["std::net", "tokio", "reqwest", "clap"]),
    ("uapi", &["domain"], &["std::fs", "clap", "tokio::time", "governor"]),
    ("record", &["domain", "job"], &["reqwest", "clap", "std::net"]),
    (
        "engine",
        &["domain", "job", "uapi", "record"],
        &["std::fs", "reqwest", "clap", "indicatif", "std::net"],
    ),
    ("sandbox", &["domain"], &["clap", "indicatif"]),
    ("fleet", &["domain", "uapi", "engine"], &["clap", "tokio"]),
    ("view", &["domain", "engine", "record"], &["std::fs", "reqwest", "clap", "std::net"]),
    ("cli", &["domain", "job", "uapi", "record", "engine", "sandbox", "fleet", "view"], &["governor"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: without comments, and without its tests, which may look anywhere.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tests].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_code(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        let ends = ["tests", "tests.rs", "testing.rs", "scenarios", "scenarios.rs"];
        ends.iter().any(|end| part.ends_with(end))
    })
}

/// The rooms that a piece of code names by `crate::`, also inside `use crate::{a, b::c}`.
fn rooms_named(code: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => named.push(rest.chars().take_while(|c| is_word(*c)).collect()),
            Some(list) => {
                let mut depth = 0;
                let mut at_start = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        c if at_start && is_word(c) => {
                            named.push(list[i..].chars().take_while(|c| is_word(*c)).collect());
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    named
}

#[test]
fn rooms_use_only_what_lies_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let known: Vec<&str> = ROOMS.iter().map(|(room, ..)| *room).collect();
    for (room, allowed, banned) in ROOMS {
        let mut files = Vec::new();
        sources(&src.join(room), &mut files);
        assert!(!files.is_empty(), "{room} is empty");
        for file in files.iter().filter(|file| !is_test_code(file)) {
            let code = code(file);
            for used in rooms_named(&code) {
                let fits =
                    used == room || allowed.contains(&used.as_str()) || !known.contains(&used.as_str());
                assert!(fits, "{} uses {used}, which {room} must not know", file.display());
            }
            for word in banned {
                assert!(!code.contains(word), "{} uses {word}, which has no place in {room}", file.display());
            }
        }
    }
}

#[test]
fn every_folder_of_the_source_is_a_room() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(ROOMS.iter().any(|(room, ..)| *room == name), "{name} has no place in the house");
            let opening = std::fs::read_to_string(path.join("mod.rs")).unwrap();
            assert!(opening.starts_with("//!"), "{name} does not say what it owns");
        }
    }
}

#[test]
fn the_reading_of_use_lines_sees_all_of_them() {
    let named = rooms_named("use crate::{a, b::{c, d}, e::f};\nuse crate::g::h;\nlet x = crate::i::j();");
    assert_eq!(named, ["a", "b", "e", "g", "i"]);
}
