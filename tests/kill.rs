//! A run that is killed at any moment and resumed comes to the same end as one that was not.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use mailsweep::sandbox::{MailboxState, Options, Sandbox, Script, World};
use support::{Place, TOKEN, USER, code, expect, job, mailboxes, server, stderr};

const MAILBOXES: usize = 60;
const JOBS: usize = 6;
const KILLS: usize = 30;

/// The calls for mailboxes, without what was read.
fn calls(sandbox: &Sandbox) -> usize {
    sandbox.requests().iter().filter(|request| request.email.is_some()).count()
}

/// The results without what a kill may change, attempts and times, and without the port.
fn lasting(place: &Place) -> Vec<BTreeMap<String, String>> {
    let mut results = place.results("run");
    for row in &mut results {
        for column in ["attempts", "started_at", "duration_ms", "server"] {
            row.remove(column);
        }
    }
    results
}

#[test]
fn killed_at_random_moments_and_resumed_it_ends_like_an_unbroken_run() {
    let limits = ["--rate", "none", "--jobs", &JOBS.to_string()];
    let whole = Place::blind();
    whole.write("job.csv", job(MAILBOXES));
    let sandbox = server(MAILBOXES, 3, Script::default());
    expect(whole.run_against(&sandbox.url(), &limits), 0);
    let expected = lasting(&whole);
    let calls_needed = calls(&sandbox);
    let expected_world: Vec<_> = sandbox.world().mailboxes().map(|(a, _, s)| (a, s.flags)).collect();

    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    let mut runs = 0;
    while kills < KILLS {
        runs += 1;
        assert!(runs < 20 * KILLS, "it is always faster than the kill");
        let place = Place::blind();
        place.write("job.csv", job(MAILBOXES));
        let sandbox = server(MAILBOXES, 3, Script::default());
        let mut next = place.run_against(&sandbox.url(), &limits);
        let mut kills_here = 0;
        loop {
            let mut child = next.spawn().unwrap();
            // Ever later, so that it comes to an end on a busy machine too.
            std::thread::sleep(Duration::from_millis(random.u64(0..120 + 20 * kills_here as u64)));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            let was_killed = status.code().is_none();
            kills_here += usize::from(was_killed);
            if !was_killed {
                assert_eq!(status.code(), Some(0));
                break;
            }
            // Killed so early that there is no run yet: it begins anew.
            next = if place.path("run/run.json").exists() {
                let mut resume = place.mailsweep(&["resume", "run"]);
                resume.args(limits);
                resume
            } else {
                let _ = std::fs::remove_dir_all(place.path("run"));
                place.run_against(&sandbox.url(), &limits)
            };
        }
        kills += kills_here;
        assert!(lasting(&place) == expected, "seed {seed}: other results");
        let world: Vec<_> = sandbox.world().mailboxes().map(|(a, _, s)| (a, s.flags)).collect();
        assert!(world == expected_world, "seed {seed}: another state");
        let calls = calls(&sandbox);
        assert!(
            calls <= calls_needed + kills_here * JOBS,
            "seed {seed}: {calls} calls for {calls_needed}, {kills_here} kills with {JOBS} in flight"
        );
    }
    println!("{kills} kills in {runs} runs");
}

/// The word for a channel of a mailbox in the results.
fn word(state: MailboxState, channel: &str) -> &'static str {
    let flags = state.flags;
    match channel {
        "login" if flags.login => "suspended",
        "incoming" if flags.incoming => "suspended",
        "outgoing" => match (flags.outgoing, flags.held) {
            (true, true) => "suspended+held",
            (true, false) => "suspended",
            (false, true) => "held",
            (false, false) => "active",
        },
        _ => "active",
    }
}

#[test]
fn what_is_told_of_the_state_before_is_what_was_before_the_run_whatever_killed_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        runs += 1;
        assert!(runs < 20 * KILLS, "it is always faster than the kill");
        let place = Place::new();
        let rows: Vec<String> = (0..MAILBOXES)
            .map(|i| match i % 2 {
                0 => format!("user{i:03}@example.com,suspend,all\n"),
                _ => format!("user{i:03}@example.com,suspend,login\nuser{i:03}@example.com,hold,outgoing\n"),
            })
            .collect();
        place.write("job.csv", format!("email,action,channel\n{}", rows.concat()));
        // Part of the mailboxes have some of that, or something else, already.
        let mut world = World::for_mailboxes(USER, TOKEN, mailboxes(MAILBOXES).iter().map(String::as_str));
        let mut before: BTreeMap<String, MailboxState> = BTreeMap::new();
        for address in mailboxes(MAILBOXES) {
            let mut state = MailboxState::default();
            if random.u8(0..3) == 0 {
                state.flags.login = random.bool();
                state.flags.incoming = random.bool();
                state.flags.outgoing = random.bool();
                state.flags.held = random.bool();
            }
            assert!(world.set_mailbox(&address, state));
            before.insert(address, state);
        }
        let latency = Duration::from_millis(3);
        let sandbox = Sandbox::start(Options { world, latency, ..Options::default() }).unwrap();
        let limits = ["--rate", "none", "--jobs", &JOBS.to_string()];
        let mut next = place.run_against(&sandbox.url(), &limits);
        let mut kills_here = 0;
        loop {
            let mut child = next.spawn().unwrap();
            std::thread::sleep(Duration::from_millis(random.u64(0..150 + 20 * kills_here)));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            if status.code().is_some() {
                assert_eq!(status.code(), Some(0), "seed {seed}");
                break;
            }
            (kills, kills_here) = (kills + 1, kills_here + 1);
            next = if place.path("run/run.json").exists() {
                let mut resume = place.mailsweep(&["resume", "run"]);
                resume.args(limits);
                resume
            } else {
                let _ = std::fs::remove_dir_all(place.path("run"));
                place.run_against(&sandbox.url(), &limits)
            };
        }
        for row in place.results("run") {
            let was = before[&row["email"]];
            let channel = row["channel"].as_str();
            assert_eq!(row["state_before"], word(was, channel), "seed {seed}: {row:?}");
            let is_hold = row["action"] == "hold";
            let was_so = match channel {
                "login" => was.flags.login,
                "incoming" => was.flags.incoming,
                _ if is_hold => was.flags.held,
                _ => was.flags.outgoing,
            };
            let status = if was_so { "unchanged" } else { "ok" };
            assert_eq!(
                (row["status"].as_str(), row["verified"].as_str()),
                (status, "yes"),
                "seed {seed}: {row:?}"
            );
            let now = sandbox.world().mailbox(&row["email"]).unwrap();
            assert_eq!(row["state_after"], word(now, channel), "seed {seed}: {row:?}");
            let flags = now.flags;
            let is_so = match channel {
                "login" => flags.login,
                "incoming" => flags.incoming,
                _ if is_hold => flags.held && flags.outgoing == was.flags.outgoing,
                _ => flags.outgoing && flags.held == was.flags.held,
            };
            assert!(is_so, "seed {seed}: {row:?}");
        }
    }
    println!("{kills} kills in {runs} runs");
}

#[test]
fn the_embedded_sandbox_outlives_a_kill_too() {
    let place = Place::new();
    place.write("job.csv", job(30));
    let mut run =
        place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--run-dir", "run", "--rate", "40/s"]);
    let mut child = run.spawn().unwrap();
    // Some operations have ended, and some have not.
    loop {
        std::thread::sleep(Duration::from_millis(5));
        let journal = std::fs::read_to_string(place.path("run/journal.jsonl")).unwrap_or_default();
        if journal.matches("\"t\":\"end\"").count() >= 10 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("run/results.csv").exists());
    expect(place.mailsweep(&["resume", "run", "--rate", "none"]), 0);
    assert!(place.column("run", "status").iter().all(|status| status == "ok"));
    let world = mailsweep::sandbox::World::load(&place.path("run/sandbox.json")).unwrap();
    assert!(world.mailboxes().all(|(_, _, state)| state.flags.login && state.flags.outgoing));
    let summary = place.summary("run");
    assert_eq!(summary["sessions"][0]["exit_code"], serde_json::Value::Null, "the killed one has none");
    assert_eq!(summary["sessions"][1]["exit_code"], 0);
}

#[test]
fn a_torn_line_at_the_journals_end_is_cut_and_told() {
    let place = Place::blind();
    place.write("job.csv", job(5));
    let sandbox = server(5, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none", "--max-errors", "0"]), 0);
    let journal = place.read("run/journal.jsonl");
    // As a kill in the middle of a write would leave it: some outcomes, half of another, no end.
    let keep = journal.match_indices("\"t\":\"end\"").nth(4).unwrap().0;
    let fragment = keep + 20;
    std::fs::write(place.path("run/journal.jsonl"), &journal[..fragment]).unwrap();
    for written_at_the_end in ["results.csv", "summary.json"] {
        std::fs::remove_file(place.path("run").join(written_at_the_end)).unwrap();
    }
    let resumed = expect(place.mailsweep(&["resume", "run"]), 0);
    assert!(stderr(&resumed).contains("torn"), "{}", stderr(&resumed));
    assert_eq!(place.column("run", "status"), ["ok"; 10]);
}

#[test]
fn a_journal_that_was_changed_is_refused() {
    let place = Place::blind();
    place.write("job.csv", job(5));
    let sandbox = server(5, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    let journal = place.read("run/journal.jsonl");
    let changed = journal.replacen("\"status\":\"ok\"", "\"status\":\"no\"", 1);
    assert_ne!(journal, changed);
    std::fs::write(place.path("run/journal.jsonl"), changed).unwrap();
    let before = sandbox.requests().len();
    let refused = place.mailsweep(&["resume", "run"]).output().unwrap();
    assert_eq!(code(&refused), 6, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("line 4"), "{}", stderr(&refused));
    assert_eq!(sandbox.requests().len(), before, "nothing was sent");
}

#[test]
fn a_journal_that_was_cut_after_its_run_had_ended_is_refused() {
    let place = Place::new();
    place.write("job.csv", job(5));
    let sandbox = server(5, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    let journal = place.read("run/journal.jsonl");
    let before = sandbox.requests().len();
    let ends: Vec<usize> = journal.match_indices('\n').map(|(at, _)| at + 1).collect();
    for cut in [0, ends[0], ends[3], ends[ends.len() - 2]] {
        std::fs::write(place.path("run/journal.jsonl"), &journal[..cut]).unwrap();
        let refused = expect(place.mailsweep(&["resume", "run"]), 6);
        assert!(stderr(&refused).contains("cut or replaced"), "{cut}: {}", stderr(&refused));
    }
    assert_eq!(sandbox.requests().len(), before, "nothing was sent");
}

#[test]
fn settings_that_were_changed_while_the_run_was_dead_are_refused() {
    let place = Place::new();
    place.write("job.csv", job(5));
    let sandbox = server(5, 0, Script::default());
    expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0);
    // As after a kill: one record of what was done, and none of its end.
    let journal = place.read("run/journal.jsonl");
    let keep = journal.match_indices('\n').nth(1).unwrap().0 + 1;
    std::fs::write(place.path("run/journal.jsonl"), &journal[..keep]).unwrap();
    for written_at_the_end in ["results.csv", "summary.json"] {
        std::fs::remove_file(place.path("run").join(written_at_the_end)).unwrap();
    }
    let changed = place.read("run/run.json").replace("\"retries\": 4", "\"retries\": 5");
    std::fs::write(place.path("run/run.json"), changed).unwrap();
    expect(place.mailsweep(&["resume", "run"]), 6);
}
