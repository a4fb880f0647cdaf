//! A team shares its runs: what one member made, another can go on with. To be another user takes root,
//! so most of this is left out, with a word, where the tests are not root's.

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use mailsweep::sandbox::Script;
use support::{Place, USER, expect, job, server, stderr};

/// A group and two users of numbers that nobody has.
const TEAM: u32 = 41_990;
const ANNA: u32 = 41_991;
const BEN: u32 = 41_992;

fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("{test}: left out, since only root can be somebody else");
    }
    is_root
}

/// Mode and group of what is in a directory, and of itself.
fn modes(dir: &Path) -> Vec<(String, u32, u32)> {
    let of = |path: &Path| {
        let found = std::fs::metadata(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, found.mode() & 0o7777, found.gid())
    };
    let mut all = vec![of(dir)];
    all.extend(std::fs::read_dir(dir).unwrap().map(|entry| of(&entry.unwrap().path())));
    all
}

/// The command as a user does it, in the team or not.
fn by(mut command: Command, user: u32, group: u32) -> Command {
    command.uid(user).gid(group).env("XDG_STATE_HOME", "/nowhere");
    command
}

/// A place with room for both users, a job, and a configuration that names the team if asked to.
fn place(url: &str, run_group: &str, mailboxes: usize) -> Place {
    let place = Place::new();
    place.write("job.csv", job(mailboxes));
    let server = format!(
        "[[server]]\nname = \"web01\"\nurl = \"{url}\"\nuser = \"{USER}\"\napi = \"cpanel\"\ntoken_file = \"token\"\n"
    );
    place.write("mailsweep.toml", format!("{run_group}\nruns_dir = \"runs/of/all\"\n{server}"));
    for (name, mode) in [("", 0o2770), ("token", 0o640), ("job.csv", 0o640), ("mailsweep.toml", 0o640)] {
        chown(place.path(name), None, Some(TEAM)).unwrap();
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    place
}

/// The one run that there is.
fn only_run(place: &Place) -> std::path::PathBuf {
    let mut runs = std::fs::read_dir(place.path("runs/of/all")).unwrap();
    let run = runs.next().unwrap().unwrap().path();
    assert!(runs.next().is_none());
    run
}

#[test]
fn without_a_team_all_is_its_owners_alone_whatever_the_umask_lets() {
    let place = Place::new();
    place.write("job.csv", job(2));
    let sandbox = server(3, 0, Script::default());
    let mut shell = Command::new("sh");
    let run = place.run_against(&sandbox.url(), &["--rate", "none", "--max-errors", "0"]);
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    shell.current_dir(place.path("")).env("XDG_STATE_HOME", place.path("state")).env("HOME", place.path(""));
    expect(shell, 0);
    for dir in ["run", "state", "state/mailsweep", "state/mailsweep/servers"] {
        for (name, mode, _) in modes(&place.path(dir)) {
            let is_dir = place.path(dir).join(&name).is_dir() || dir.ends_with(&name);
            assert_eq!(mode, if is_dir { 0o700 } else { 0o600 }, "{dir}: {name}: {mode:o}");
        }
    }
}

#[test]
fn a_group_that_is_not_there_or_not_ours_is_refused_before_anything_is_sent() {
    let place = Place::new();
    place.write("job.csv", job(2));
    place.write("mailsweep.toml", "run_group = \"no-such-group-here\"");
    let sandbox = server(2, 0, Script::default());
    let said = stderr(&expect(place.run_against(&sandbox.url(), &[]), 2));
    assert!(said.contains("no group “no-such-group-here”"), "{said}");
    assert_eq!(sandbox.requests().len(), 0);
    if is_root("a_group_that_is_not_there_or_not_ours_is_refused_before_anything_is_sent, in part") {
        let place = self::place(&sandbox.url(), &format!("run_group = \"{TEAM}\""), 2);
        std::fs::set_permissions(place.path(""), std::fs::Permissions::from_mode(0o777)).unwrap();
        for name in ["token", "job.csv", "mailsweep.toml"] {
            chown(place.path(name), Some(ANNA), None).unwrap();
        }
        let run = by(place.mailsweep(&["run", "job.csv", "--yes"]), ANNA, ANNA);
        let said = stderr(&expect(run, 2));
        assert!(said.contains("you are not in the group") && said.contains("usermod"), "{said}");
    }
}

#[test]
fn what_one_member_began_another_goes_on_with() {
    if !is_root("what_one_member_began_another_goes_on_with") {
        return;
    }
    let sandbox = server(3, 0, Script::default());
    let place = place(&sandbox.url(), &format!("run_group = \"{TEAM}\""), 3);
    let state = place.path("shared-state");
    // A token that is wrong at first leaves everything to do.
    let good = place.read("token");
    std::fs::write(place.path("token"), "WRONG\n").unwrap();
    let mut run = by(place.mailsweep(&["run", "job.csv", "--yes", "--rate", "none"]), ANNA, TEAM);
    run.env("XDG_STATE_HOME", &state);
    expect(run, 4);
    let run = only_run(&place);
    assert_eq!(std::fs::metadata(&run).unwrap().uid(), ANNA);
    std::fs::write(place.path("token"), good).unwrap();

    // Who is not in the team may not even look; who is, but has no such configuration, is told.
    let named = run.to_str().unwrap();
    let elsewhere = Place::new();
    std::fs::set_permissions(elsewhere.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = stderr(&expect(by(elsewhere.mailsweep(&["resume", named]), BEN, BEN), 6));
    assert!(said.contains("Permission denied"), "{said}");
    let said = stderr(&expect(by(elsewhere.mailsweep(&["resume", named]), BEN, TEAM), 6));
    assert!(said.contains(&format!("belongs to the user {ANNA}")) && said.contains("run_group"), "{said}");

    let mut resume = by(place.mailsweep(&["resume", named, "--rate", "none"]), BEN, TEAM);
    resume.env("XDG_STATE_HOME", &state);
    expect(resume, 0);
    let results = std::fs::read_to_string(run.join("results.csv")).unwrap();
    assert_eq!(results.matches(",ok,").count(), 6, "{results}");
    assert_eq!(std::fs::metadata(run.join("results.csv")).unwrap().uid(), BEN);

    // Everything is the team's, whoever made it: the run, what it stands in, the locks.
    let dirs = ["runs", "runs/of", "runs/of/all", "shared-state/mailsweep", "shared-state/mailsweep/servers"];
    for dir in dirs.map(|dir| place.path(dir)).iter().chain([&run]) {
        for (name, mode, gid) in modes(dir) {
            let is_dir = dir.join(&name).is_dir() || dir.ends_with(&name);
            let expected = if is_dir { 0o2770 } else { 0o660 };
            assert_eq!((mode, gid), (expected, TEAM), "{}: {name}: {mode:o}", dir.display());
        }
    }
    // And a member's own umask changes nothing in that.
    let mut again = by(place.mailsweep(&["resume", named, "--rate", "none"]), ANNA, TEAM);
    again.env("XDG_STATE_HOME", &state);
    expect(again, 0);
}

#[test]
fn the_embedded_servers_state_is_shared_too() {
    if !is_root("the_embedded_servers_state_is_shared_too") {
        return;
    }
    let place = place("http://127.0.0.1:1", &format!("run_group = \"{TEAM}\""), 3);
    let run = ["run", "job.csv", "--sandbox", "--yes", "--rate", "none"];
    expect(by(place.mailsweep(&run), ANNA, TEAM), 0);
    let run = only_run(&place);
    let found = std::fs::metadata(run.join("sandbox.json")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.gid()), (0o660, TEAM));
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let keep = journal.match_indices('\n').nth(1).unwrap().0 + 1;
    std::fs::write(run.join("journal.jsonl"), &journal[..keep]).unwrap();
    for name in ["results.csv", "summary.json"] {
        std::fs::remove_file(run.join(name)).unwrap();
    }
    expect(by(place.mailsweep(&["resume", run.to_str().unwrap(), "--rate", "none"]), BEN, TEAM), 0);
}
