//! Files that are not what they should be: open to others, somebody else's, links, pipes, devices, with
//! odd names. None of them is followed, waited for or believed.

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use mailsweep::sandbox::{Sandbox, Script};
use support::{Place, USER, expect, job, server, stderr};

/// A run that has ended, and the server that it was against.
fn ended() -> (Place, Sandbox) {
    let place = Place::new();
    place.write("job.csv", job(2));
    let sandbox = server(2, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    (place, sandbox)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether this is root, who may give files away; says that a test was left out if not.
fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("{test}: left out, since only root can give files away");
    }
    is_root
}

/// `resume` refuses the run without a request, and says this.
fn refused(place: &Place, sandbox: &Sandbox, named: &str, told: &[&str]) {
    let before = sandbox.requests().len();
    let said = stderr(&expect(place.mailsweep(&["resume", named]), 6));
    for part in told {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(sandbox.requests().len(), before);
}

#[test]
fn a_token_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let place = Place::new();
    place.write("job.csv", job(2));
    let sandbox = server(2, 0, Script::default());
    set_mode(&place.path("token"), 0o644);
    let told = stderr(&expect(place.run_against(&sandbox.url(), &[]), 2));
    let mends = told.trim_end().rsplit_once(": ").unwrap().1;
    assert!(mends.starts_with("chmod 600 ") && mends.ends_with("/token"), "{told}");
    assert_eq!(sandbox.requests().len(), 0);
    assert!(!place.path("run").exists());
    assert!(Command::new("sh").args(["-c", mends]).status().unwrap().success());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    // It is looked at again each time that it is read.
    std::fs::remove_file(place.path("run/results.csv")).unwrap();
    let journal = place.read("run/journal.jsonl");
    let keep = journal.match_indices("\n").nth(1).unwrap().0 + 1;
    std::fs::write(place.path("run/journal.jsonl"), &journal[..keep]).unwrap();
    std::fs::remove_file(place.path("run/summary.json")).unwrap();
    set_mode(&place.path("token"), 0o640);
    let told = stderr(&expect(place.mailsweep(&["resume", "run"]), 2));
    assert!(told.contains("open to its group"), "{told}");
}

#[test]
fn what_stands_in_the_place_of_a_runs_file_and_is_none_is_refused_at_once() {
    let (place, sandbox) = ended();
    let files = ["run.json", "input.csv", "journal.jsonl", "results.csv", "summary.json", "unfinished.csv"];
    for name in files {
        let (path, kept) = (place.path("run").join(name), place.path("kept"));
        let was_there = path.exists();
        if was_there {
            std::fs::rename(&path, &kept).unwrap();
        }
        let shown = format!("run/{name} is");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused(&place, &sandbox, "run", &[&shown, "a pipe", "no run has made this"]);
        std::fs::remove_file(&path).unwrap();
        for target in [Path::new("/dev/zero"), &kept, Path::new("/nowhere")] {
            symlink(target, &path).unwrap();
            refused(&place, &sandbox, "run", &[&shown, "a link", &target.display().to_string()]);
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::create_dir(&path).unwrap();
        refused(&place, &sandbox, "run", &[&shown, "a directory"]);
        std::fs::remove_dir(&path).unwrap();
        if was_there {
            std::fs::rename(&kept, &path).unwrap();
        }
    }
    expect(place.mailsweep(&["resume", "run"]), 0);
}

#[test]
fn a_link_to_a_run_is_refused_and_says_where_it_points() {
    let (place, sandbox) = ended();
    symlink(place.path("run"), place.path("latest")).unwrap();
    let target = place.path("run").display().to_string();
    refused(&place, &sandbox, "latest", &["latest is a link", &target]);
    refused(&place, &sandbox, "latest/", &["is a link"]);
    // A link further up the path is the operator's own arrangement.
    std::fs::create_dir(place.path("deep")).unwrap();
    symlink(place.path(""), place.path("deep/here")).unwrap();
    expect(place.mailsweep(&["resume", "deep/here/run"]), 0);
}

#[test]
fn a_run_goes_into_no_link_and_into_no_file() {
    let place = Place::new();
    place.write("job.csv", job(2));
    place.write("file", "");
    std::fs::create_dir(place.path("empty")).unwrap();
    symlink(place.path("empty"), place.path("link")).unwrap();
    for (dir, told) in [("link", "is a link"), ("file", "is no directory")] {
        let run = place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--run-dir", dir]);
        let said = stderr(&expect(run, 2));
        assert!(said.contains(told) && said.contains("name a directory that is not there yet"), "{said}");
    }
    assert_eq!(std::fs::read_dir(place.path("empty")).unwrap().count(), 0);
}

#[test]
fn a_run_that_others_may_write_in_is_refused_with_the_command_that_mends_it() {
    let (place, sandbox) = ended();
    for (mode, who) in [(0o707, "everybody"), (0o777, "everybody"), (0o770, "the group")] {
        set_mode(&place.path("run"), mode);
        refused(&place, &sandbox, "run", &[who, "chmod -R "]);
    }
    let said = stderr(&expect(place.mailsweep(&["resume", "run"]), 6));
    let mends = said.split("trust what is in it, ").nth(1).unwrap().split(',').next().unwrap();
    let mended = Command::new("sh").args(["-c", mends]).current_dir(place.path("")).status();
    assert!(mended.unwrap().success(), "{mends}");
    expect(place.mailsweep(&["resume", "run"]), 0);
    // That others may look is their owner's business.
    set_mode(&place.path("run"), 0o755);
    expect(place.mailsweep(&["resume", "run"]), 0);
}

#[test]
fn a_run_of_somebody_else_is_refused_even_by_root() {
    if !is_root("a_run_of_somebody_else_is_refused_even_by_root") {
        return;
    }
    let (place, sandbox) = ended();
    chown(place.path("run"), Some(4711), None).unwrap();
    refused(&place, &sandbox, "run", &["belongs to the user 4711", "run_group"]);
    std::fs::create_dir(place.path("theirs")).unwrap();
    chown(place.path("theirs"), Some(4711), None).unwrap();
    let run = place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--run-dir", "theirs"]);
    let said = stderr(&expect(run, 2));
    assert!(said.contains("theirs belongs to the user 4711"), "{said}");
}

#[test]
fn paths_with_blanks_and_paths_that_are_no_text_work_from_run_to_resume() {
    for name in [&b"my runs"[..], b"caf\xe9 \x1b[2J", b"-n", b"line\nbreak"] {
        let place = Place::new();
        let home = place.path("home").join(OsStr::from_bytes(name));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::copy(place.write("wrong", "WRONG\n"), home.join("token")).unwrap();
        let job_name = OsStr::from_bytes(b"job \xff.csv");
        std::fs::write(home.join(job_name), job(3)).unwrap();
        let sandbox = server(3, 0, Script::default());
        let mut run = place.mailsweep(&["run", "--server", &sandbox.url(), "--user", USER]);
        run.args(["--token-file", "token", "--yes", "--rate", "none"]).arg(job_name);
        run.arg(OsStr::from_bytes(&[b"--run-dir=", name].concat())).current_dir(&home);
        let said = stderr(&expect(run, 4));
        assert!(!said.contains("\u{1b}[2J"), "{said:?}");

        // The command that it prints is pasted, as it is, with a token that is right now.
        std::fs::copy(place.path("token"), home.join("token")).unwrap();
        let resumes = said.lines().find_map(|line| line.split_once("mailsweep resume ")).unwrap().1;
        let program = place.mailsweep(&[]).get_program().to_owned();
        let mut pasted = Command::new("bash");
        pasted.args(["-c", &format!("\"$0\" resume {resumes} --rate none")]).arg(program);
        pasted.env("XDG_STATE_HOME", place.path("state")).env("XDG_CONFIG_HOME", place.path("config"));
        expect_in(pasted, &home);
        let results = home.join(OsStr::from_bytes(name)).join("results.csv");
        assert_eq!(std::fs::read_to_string(results).unwrap().matches(",ok,").count(), 6);
    }
}

fn expect_in(mut command: Command, dir: &Path) {
    command.current_dir(dir).stdin(std::process::Stdio::null());
    expect(command, 0);
}
