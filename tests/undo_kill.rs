//! Runs and undos that are killed: what was before comes back all the same, and nobody takes up what was
//! taken back.

#[path = "support/states.rs"]
mod states;
mod support;

use std::collections::{BTreeMap, HashSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mailsweep::domain::{Flags, Function};
use mailsweep::sandbox::{Fault, MailboxState, Options, Rule, Sandbox, Script, World};
use states::{changing, letters, set, set_held, states};
use support::{ENDED, Place, TOKEN, USER, code, expect, mailboxes, server, stderr, wait_until};

/// A row for each mailbox: its login is suspended.
fn logins(n: usize) -> String {
    let rows = mailboxes(n).into_iter().map(|address| format!("{address},suspend,login\n"));
    std::iter::once("email,action,channel\n".to_owned()).chain(rows).collect()
}

/// The letters of all mailboxes, one word each.
fn all(sandbox: &Sandbox) -> String {
    states(sandbox).into_values().collect::<Vec<_>>().join(" ")
}

/// A run over eight mailboxes that was killed with four done, one on its way, one about to be sent and two
/// not begun. The second one was suspended before.
fn killed() -> (Place, Sandbox) {
    let place = Place::new();
    place.write("job.csv", logins(8));
    let sandbox = server(8, 0, Script::of([Rule::new(Fault::Hang).email("user004")]));
    set(&sandbox, "user001@example.com", "l");
    kill_when(&place, place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "1"]), "run", ENDED, 3);
    sandbox.set_script(Script::default());
    assert_eq!(all(&sandbox), "l l l l - - - -");
    (place, sandbox)
}

/// Kills a run when its journal has a word so often.
fn kill_when(place: &Place, mut command: Command, run: &str, word: &str, times: usize) {
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    place.wait_for_journal(run, word, times);
    wait_until("the call that hangs", || place.read(format!("{run}/journal.jsonl")).contains("[4]"));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn undo(place: &Place, into: &str, args: &[&str]) -> Command {
    let mut command = place.mailsweep(&["undo", "run", "--yes", "--run-dir", into, "--rate", "none"]);
    command.args(args);
    command
}

fn resume(place: &Place, run: &str, args: &[&str]) -> Command {
    let mut command = place.mailsweep(&["resume", run, "--rate", "none"]);
    command.args(args);
    command
}

#[test]
fn a_killed_run_is_undone_without_resuming_and_no_resume_does_it_again() {
    let (place, sandbox) = killed();
    expect(undo(&place, "undo", &[]), 0);
    assert_eq!(all(&sandbox), "- l - - - - - -");
    let told = [
        "user000 unsuspend login ok",
        "user002 unsuspend login ok",
        "user003 unsuspend login ok",
        "user004 unsuspend login unchanged",
        "user005 unsuspend login unchanged",
    ];
    assert_eq!(place.told("undo"), told, "the last two may have been suspended");
    let status = support::stdout(&expect(place.mailsweep(&["status", "run"]), 0));
    assert!(status.starts_with("killed: 8 of 8 done") && status.contains("blocked 4"), "{status}");
    let calls = changing(&sandbox).len();
    expect(resume(&place, "run", &[]), 0);
    assert_eq!(
        place.column("run", "status"),
        ["ok", "unchanged", "ok", "ok", "blocked", "blocked", "blocked", "blocked"]
    );
    assert!(place.column("run", "error_class")[4..].iter().all(|class| class == "undone"));
    assert_eq!(place.column("run", "error")[5], "taken back by the undo undo");
    assert!(!place.path("run/unfinished.csv").exists());
    assert_eq!(changing(&sandbox).len(), calls);
    let verified = stderr(&expect(place.mailsweep(&["verify", "run"]), 0));
    assert!(verified.contains("1 operation looked at: 1 hold; 3 taken back and passed over"), "{verified}");
    expect(place.mailsweep(&["audit", "run"]), 0);

    // Who wants it done all the same says so, and then it counts again.
    expect(resume(&place, "run", &["--retry-failed"]), 0);
    assert_eq!(changing(&sandbox).len(), calls);
    expect(resume(&place, "run", &["--retry", "undone"]), 0);
    assert_eq!(all(&sandbox), "- l - - l l l l");
    assert_eq!(place.column("run", "status")[4..], ["ok"; 4]);
    let verified = stderr(&expect(place.mailsweep(&["verify", "run"]), 0));
    assert!(verified.contains("5 operations looked at: 5 hold; 3 taken back"), "{verified}");
    expect(undo(&place, "second", &[]), 0);
    let told = [4, 5, 6, 7].map(|n| format!("user00{n} unsuspend login ok"));
    assert_eq!(place.told("second"), told);
    assert_eq!(all(&sandbox), "- l - - - - - -");
}

#[test]
fn the_part_that_was_not_taken_back_is_resumed() {
    let (place, sandbox) = killed();
    place.write("part.txt", "user000@example.com\nuser005@example.com\n");
    expect(undo(&place, "undo", &["--only", "part.txt"]), 0);
    expect(resume(&place, "run", &[]), 0);
    assert_eq!(all(&sandbox), "- l l l l - l l");
    assert_eq!(place.column("run", "error_class").concat(), "undone");
}

#[test]
fn an_undo_that_met_a_dead_server_is_gone_on_with() {
    let (place, sandbox) = killed();
    sandbox.set_dead(true).unwrap();
    expect(undo(&place, "undo", &["--retries", "0"]), 4);
    assert!(place.column("undo", "status").iter().all(|status| status == "not_attempted"));
    // The run is the undo's now, however far that has come.
    let seen = sandbox.requests_seen();
    expect(resume(&place, "run", &[]), 0);
    assert_eq!(place.column("run", "error_class").concat(), "undone".repeat(4));
    assert_eq!(sandbox.requests_seen(), seen);
    sandbox.set_dead(false).unwrap();
    expect(resume(&place, "undo", &[]), 0);
    assert_eq!(all(&sandbox), "- l - - - - - -");
    let nothing = stderr(&expect(undo(&place, "second", &[]), 0));
    assert!(nothing.contains("there is nothing to undo"), "{nothing}");
}

#[test]
fn who_undoes_again_is_told_of_the_undo_that_has_not_ended() {
    let (place, sandbox) = killed();
    sandbox.set_dead(true).unwrap();
    expect(undo(&place, "undo", &["--retries", "0"]), 4);
    sandbox.set_dead(false).unwrap();
    let told = stderr(&expect(undo(&place, "second", &[]), 0));
    assert!(told.contains("mailsweep resume") && told.contains("/undo"), "{told}");
    assert_eq!(all(&sandbox), "- l - - - - - -");
    expect(resume(&place, "undo", &[]), 0);
    assert!(place.column("undo", "status").iter().all(|status| status == "unchanged"));
}

#[test]
fn an_undo_that_is_killed_is_resumed_like_any_run() {
    let (place, sandbox) = killed();
    expect(resume(&place, "run", &[]), 0);
    assert_eq!(all(&sandbox), "l l l l l l l l");
    sandbox.set_script(Script::of([Rule::new(Fault::Hang).email("user005")]));
    kill_when(&place, undo(&place, "undo", &["--jobs", "1"]), "undo", ENDED, 4);
    sandbox.set_script(Script::default());
    assert_eq!(all(&sandbox), "- l - - - l l l");
    expect(resume(&place, "undo", &[]), 0);
    assert_eq!(all(&sandbox), "- l - - - - - -");
    expect(place.mailsweep(&["undo", "undo", "--yes", "--run-dir", "redo", "--rate", "none"]), 0);
    assert_eq!(all(&sandbox), "l l l l l l l l");
}

/// Leaves of a run what one has that was killed before its first record.
fn as_killed_at_birth(place: &Place, run: &str) {
    for made_later in ["journal.jsonl", "results.csv", "summary.json", "unfinished.csv"] {
        let _ = std::fs::remove_file(place.path(run).join(made_later));
    }
}

#[test]
fn what_a_run_was_told_to_leave_is_left_by_a_resume_of_one_killed_at_birth() {
    let place = Place::new();
    place.write(
        "job.csv",
        "email,action,channel\nuser000@example.com,hold,outgoing\nuser001@example.com,suspend,login\n",
    );
    place.write("only.txt", "user000@example.com\n");
    let sandbox = server(2, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--only", "only.txt", "--rate", "none"]), 0);
    set_held(&sandbox, "user000@example.com", "", 0);
    as_killed_at_birth(&place, "run");
    expect(resume(&place, "run", &[]), 0);
    assert_eq!(
        place.told("run"),
        ["user000 hold outgoing ok", "user001 suspend login not_attempted/excluded"]
    );
    set_held(&sandbox, "user000@example.com", "h", 9);
    expect(undo(&place, "undo", &[]), 1);
    as_killed_at_birth(&place, "undo");
    expect(resume(&place, "undo", &[]), 1);
    assert_eq!(place.told("undo"), ["user000 release outgoing blocked/needs_release"]);
    assert_eq!(all(&sandbox), "h -");
}

#[test]
fn a_run_that_is_through_and_undone_does_not_wait_for_a_resume() {
    let place = Place::new();
    let sandbox = server(2, 0, Script::of([Rule::new(Fault::ApiFailure("no".into())).once()]));
    let url = sandbox.url();
    let run = |name: &str, more: &[&str]| {
        place.write(name, logins(2));
        let mut command = place.mailsweep(&["run", name, "--server", &url, "--user", USER, "--yes"]);
        command.args(["--token-file", "token", "--rate", "none", "--blind"]).args(more);
        command
    };
    expect(run("a.csv", &["--jobs", "1", "--max-errors", "0"]), 3);
    place.write("b.csv", logins(2));
    let mut whole = place.mailsweep(&["run", "b.csv", "--server", &url, "--user", USER, "--yes"]);
    whole.args(["--token-file", "token", "--rate", "none"]);
    expect(whole, 0);
    let name = |job: &str| {
        let mut runs = std::fs::read_dir(place.path("mailsweep-runs")).unwrap().map(|entry| entry.unwrap());
        let found = runs.find(|run| run.file_name().to_string_lossy().ends_with(job)).unwrap();
        found.file_name().to_string_lossy().into_owned()
    };
    let undone = name("-b");
    expect(place.mailsweep(&["undo", &undone, "--yes", "--rate", "none", "--run-dir", "undo"]), 0);
    let told = stderr(&expect(place.mailsweep(&["resume", "--rate", "none", "--retry-failed"]), 0));
    assert!(told.contains(&name("-a")) && !told.contains(&undone), "{told}");
}

const MAILBOXES: usize = 16;
const KILLS: usize = 40;

/// One round: a world, a job, and what every mailbox was before the run came to it.
struct Round {
    place: Place,
    sandbox: Sandbox,
    /// The mailbox of each operation.
    operations: Vec<String>,
    before: BTreeMap<String, Flags<bool>>,
    kills: usize,
    by_hand: usize,
    /// For messages.
    what: String,
}

impl Round {
    fn new(random: &mut fastrand::Rng, what: String) -> Round {
        let addresses = mailboxes(MAILBOXES);
        let mut world = World::for_mailboxes(USER, TOKEN, addresses.iter().map(String::as_str));
        let mut before = BTreeMap::new();
        let (mut rows, mut operations) = (String::from("email,action,channel\n"), Vec::new());
        for address in &addresses {
            let flags = if random.bool() { random_flags(random) } else { Flags::default() };
            let held_messages = if flags.held { random.u32(0..3) } else { 0 };
            world.set_mailbox(address, MailboxState { flags, held_messages, sent_messages: 0 });
            before.insert(address.clone(), flags);
            for _ in 0..random.usize(1..4) {
                let function = Function::ALL[random.usize(..Function::ALL.len())];
                rows.push_str(&format!("{address},{},{}\n", function.action(), function.channel()));
                operations.push(address.clone());
            }
        }
        let latency = Duration::from_millis(2);
        let sandbox = Sandbox::start(Options { world, latency, ..Options::default() }).unwrap();
        let place = Place::new();
        place.write("job.csv", rows);
        Round { place, sandbox, operations, before, kills: 0, by_hand: 0, what }
    }

    /// Runs a command and kills it when its journal has grown by so many lines, if it comes so far;
    /// whether it did.
    fn kill(&mut self, mut command: Command, run: &str, lines: usize, random: &mut fastrand::Rng) -> bool {
        let path = self.place.path(run).join("journal.jsonl");
        let count = || std::fs::read(&path).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count());
        let enough = count() + lines;
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let dir = self.place.path(run);
        while child.try_wait().unwrap().is_none() && (count() < enough || !dir.exists()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}: it does not end", self.what);
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(random.u64(0..4000)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        // What it had sent has its effect before anything else happens.
        let is_settled = || self.sandbox.requests().iter().all(|request| request.ended.is_some());
        wait_until("what is on its way", is_settled);
        match status.code() {
            None => {
                self.kills += 1;
                true
            }
            Some(code) => {
                assert!([0, 1].contains(&code), "{}: {run}: code {code}", self.what);
                false
            }
        }
    }

    /// Somebody changes mailboxes that the run has not begun.
    fn change_by_hand(&mut self, random: &mut fastrand::Rng) {
        let journal = std::fs::read_to_string(self.place.path("run/journal.jsonl")).unwrap_or_default();
        let entries = journal.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let begun: HashSet<&String> = entries
            .filter(|entry| entry["t"] == "begin")
            .flat_map(|entry| entry["ops"].as_array().cloned().unwrap_or_default())
            .map(|op| &self.operations[op.as_u64().unwrap() as usize])
            .collect();
        let free: Vec<String> =
            self.before.keys().filter(|address| !begun.contains(address)).cloned().collect();
        for address in free {
            if random.u8(0..3) > 0 {
                continue;
            }
            let flags = random_flags(random);
            let state = MailboxState { flags, ..MailboxState::default() };
            self.sandbox.change(|world| world.set_mailbox(&address, state)).unwrap();
            self.before.insert(address, flags);
            self.by_hand += 1;
        }
    }

    fn run(&self) -> Command {
        let _ = std::fs::remove_dir_all(self.place.path("run"));
        let args = ["--rate", "none", "--jobs", "4", "--allow-conflicts"];
        self.place.run_against(&self.sandbox.url(), &args)
    }

    /// The next process of a run: the first, or a resume if there is something to resume.
    fn next(&self, run: &str) -> Command {
        if self.place.path(run).join("run.json").exists() {
            return resume(&self.place, run, &[]);
        }
        if run == "run" {
            return self.run();
        }
        let _ = std::fs::remove_dir_all(self.place.path(run));
        undo(&self.place, run, &["--release-held"])
    }

    fn finish(&self, run: &str) {
        let output = self.next(run).output().unwrap();
        assert!([0, 1].contains(&code(&output)), "{}: {run}: {}", self.what, stderr(&output));
    }

    /// An undo that could be resumed is known to the run that it takes back.
    fn is_noted(&self) {
        if self.place.path("undo/run.json").exists() {
            let noted = self.place.read("run/journal.jsonl").contains("\"t\":\"undone\"");
            // There is no note where nothing is taken back and nothing had been left.
            let is_empty = self.place.read("undo/input.csv").lines().count() == 1;
            assert!(noted || is_empty, "{}: an undo of which its run knows nothing", self.what);
        }
    }

    fn has_left_a_release(&self) -> bool {
        let is_left = |told: &String| told.ends_with("release outgoing failed/interrupted");
        self.place.path("undo").exists() && self.place.told("undo").iter().any(is_left)
    }

    /// What a run has of one mailbox, for messages: its rows, and the journal's lines that name nothing
    /// else or all.
    fn of_mailbox(&self, run: &str, address: &str) -> String {
        let read = |file: &str| std::fs::read_to_string(self.place.path(run).join(file)).unwrap_or_default();
        let (results, input, journal) = (read("results.csv"), read("input.csv"), read("journal.jsonl"));
        let rows = results.lines().chain(input.lines()).filter(|line| line.contains(address));
        format!("{run}:\n{}\n{journal}\n", rows.collect::<Vec<_>>().join("\n"))
    }

    fn is_as_before(&self) {
        for (address, flags) in &self.before {
            let now = self.sandbox.world().mailbox(address).unwrap().flags;
            let kept = ["run", "undo"].map(|run| self.of_mailbox(run, address));
            assert_eq!(letters(now), letters(*flags), "{}: {address}\n{}", self.what, kept.concat());
        }
    }
}

fn random_flags(random: &mut fastrand::Rng) -> Flags<bool> {
    Flags { login: random.bool(), incoming: random.bool(), outgoing: random.bool(), held: random.bool() }
}

#[test]
fn killed_at_any_moment_resumed_and_undone_every_mailbox_is_as_it_was() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut by_hand, mut rounds, mut unresumed, mut second) = (0, 0, 0, 0, 0);
    while kills < KILLS {
        rounds += 1;
        assert!(rounds < 20 * KILLS, "it is always faster than the kill");
        let mut round = Round::new(&mut random, format!("seed {seed}, round {rounds}"));
        let mut is_dead = false;
        for _ in 0..random.usize(1..4) {
            let lines = random.usize(0..30);
            is_dead = round.kill(round.next("run"), "run", lines, &mut random);
            if !is_dead {
                break;
            }
            if random.bool() {
                round.change_by_hand(&mut random);
            }
        }
        let has_run = round.place.path("run/run.json").exists();
        let is_resumed = !has_run || is_dead && random.u8(0..3) > 0;
        if is_resumed {
            round.finish("run");
        }
        unresumed += usize::from(is_dead && !is_resumed);
        for _ in 0..random.usize(0..3) {
            let lines = random.usize(0..15);
            if !round.kill(round.next("undo"), "undo", lines, &mut random) {
                break;
            }
            round.is_noted();
        }
        round.finish("undo");
        if round.has_left_a_release() {
            // One that was killed on its way is not sent twice: that is for another undo.
            expect(undo(&round.place, "second", &["--release-held"]), 0);
            second += 1;
        }
        round.is_as_before();
        // And nobody does it again.
        let calls = changing(&round.sandbox).len();
        round.finish("run");
        assert_eq!(changing(&round.sandbox).len(), calls, "{}", round.what);
        round.is_as_before();
        kills += round.kills;
        by_hand += round.by_hand;
    }
    println!(
        "{kills} kills in {rounds} rounds, {by_hand} mailboxes changed by hand, {unresumed} runs undone \
         unresumed, {second} undone once more"
    );
}
