//! A run over many servers that goes on later, in part, or beside another one.

#[path = "support/fleet.rs"]
mod fleet;
mod support;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use fleet::{called, cpanel, logins, many, misbehaving, serve, serve_slowly, whm};
use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};
use support::{ENDED, Place, assert_rate_is_kept, expect, job, server, stderr};

const IN_USE: &str = "not_attempted/server_in_use";
const EXCLUDED: &str = "not_attempted/excluded";

/// Two servers with an account and three mailboxes each, in the configuration and in the job.
fn two_servers(place: &Place) -> [Sandbox; 2] {
    let lists = [many(3, "a.example"), many(3, "b.example")];
    let servers = [serve(&[("alfa", &lists[0])]), serve(&[("beta", &lists[1])])];
    place.configure(&[whm("one", &servers[0].url()), whm("two", &servers[1].url())]);
    place.write("job.csv", logins(&lists.each_ref().map(String::as_str)));
    servers
}

fn asked(servers: &[Sandbox]) -> Vec<u64> {
    servers.iter().map(Sandbox::requests_seen).collect()
}

#[test]
fn what_the_selection_leaves_out_is_excluded_for_good_and_no_failure() {
    let lists = [
        ("--only", "u0@a.example\nU1@B.example\nnobody@x.example\n", [0, 4].as_slice()),
        ("--except", "email,channel\nu0@a.example,outgoing\nu1@a.example,login+incoming\n", &[0, 2, 3, 4, 5]),
        ("--only", "email,channel\nu0@a.example,outgoing\nu1@a.example,\n", &[1]),
        (
            "--except",
            "row,email,action,channel,status\n1,u2@b.example,suspend,login,failed\n",
            &[0, 1, 2, 3, 4],
        ),
    ];
    for (flag, list, done) in lists {
        let place = Place::new();
        let servers = two_servers(&place);
        place.write("list", list);
        let told = stderr(&expect(place.fleet_run(&[flag, "list"]), 0));
        let end = |n| if done.contains(&n) { "ok" } else { EXCLUDED };
        assert_eq!(place.ends(), (0..6).map(end).collect::<Vec<_>>(), "{flag} {list}");
        let named = list.contains("nobody");
        assert_eq!(told.contains("nobody@x.example"), named, "{told}");
        assert!(!named || told.contains("1 entry"), "{told}");
        assert!(!place.path("run/unfinished.csv").exists());
        // A resume does not widen it, whatever is asked for; and no other run waits for one.
        let before = asked(&servers);
        let widened = place.resume(&["--retry", "excluded", "--retry-failed"]);
        assert!(stderr(&expect(widened, 0)).contains("nothing to resume"));
        assert_eq!(asked(&servers), before);
    }
}

#[test]
fn a_run_that_only_left_out_what_it_should_is_not_the_newest_to_resume() {
    let place = Place::new();
    let _servers = two_servers(&place);
    expect(place.mailsweep(&["run", "job.csv", "--yes", "--servers", "one"]), 0);
    let told = stderr(&expect(place.mailsweep(&["resume"]), 6));
    assert!(told.contains("no run"), "{told}");
}

#[test]
fn servers_can_be_left_out_by_name_and_then_nothing_is_sent_there() {
    for (flags, done, told_of) in [
        (["--servers", "one"], [true, false], "two"),
        (["--servers", "ONE"], [true, false], "two"),
        (["--except-servers", "one"], [false, true], "one"),
    ] {
        let place = Place::new();
        let servers = two_servers(&place);
        let text = place.read("job.csv") + "u@none.example,suspend,login\n";
        place.write("job.csv", text);
        // What is left out need not have a credential.
        let entry = |n: usize, name: &str| {
            let file = if done[n] { "token" } else { "no-such-file" };
            whm(name, &servers[n].url()).replace("\"token\"", &format!("\"{file}\""))
        };
        place.configure(&[entry(0, "one"), entry(1, "two")]);
        expect(place.fleet_run(&flags), 0);
        let end = |n: usize| if done[n] { "ok" } else { EXCLUDED };
        let expected = [[end(0); 3], [end(1); 3]].concat();
        assert_eq!(place.ends()[..6], expected);
        assert_eq!(place.ends()[6], EXCLUDED, "it may be at the one that was not asked");
        assert!(place.column("run", "error")[6].contains(told_of));
        assert_eq!(asked(&servers).iter().map(|n| *n > 0).collect::<Vec<_>>(), done);
        assert!(!place.path("run/unfinished.csv").exists());
    }
    let place = Place::new();
    let servers = two_servers(&place);
    for flags in [["--servers", "one,three"], ["--except-servers", "three"], ["--except-servers", "one,two"]]
    {
        let told = stderr(&expect(place.fleet_run(&flags), 2));
        assert!(told.contains("three") && told.contains("one, two") || told.contains("leave no"), "{told}");
    }
    assert_eq!(asked(&servers), [0, 0]);
}

#[test]
fn a_resume_does_the_part_that_it_is_told_and_a_later_one_the_rest() {
    let place = Place::blind();
    let servers = two_servers(&place);
    servers.iter().for_each(|server| server.set_script(Script::of([refused_from(2)])));
    expect(place.fleet_run(&["--jobs", "1"]), 4);
    assert_eq!(place.ends(), ["not_attempted/auth"; 6]);
    servers.iter().for_each(|server| server.set_script(Script::default()));
    let before = asked(&servers);
    expect(place.resume(&["--servers", "two"]), 1);
    assert_eq!(place.ends()[3..], ["ok"; 3]);
    assert_eq!(asked(&servers)[0], before[0], "the other one is left alone");
    let unfinished = place.read("run/unfinished.csv");
    assert!(unfinished.contains("u0@a.example") && !unfinished.contains("b.example"), "{unfinished}");
    place.write("part", "u2@a.example\n");
    expect(place.resume(&["--only", "part"]), 1);
    assert_eq!(called(&servers[0]).last().unwrap(), "u2@a.example");
    let before = asked(&servers);
    expect(place.resume(&["--try-again"]), 0);
    assert_eq!(place.ends(), ["ok"; 6]);
    assert_eq!(asked(&servers)[1], before[1], "what has nothing to do is not asked");
    assert_eq!(called(&servers[0]).len(), 1 + 3, "the refused one twice");
}

/// Refuses the `n`-th request and all that come after it.
fn refused_from(n: u64) -> Rule {
    Rule::new(Fault::status(401)).nth(n).times(u64::MAX)
}

#[test]
fn a_refusal_in_the_middle_ends_it_for_that_server_alone_and_the_one_refused_goes_last() {
    let place = Place::blind();
    let servers = two_servers(&place);
    // The list and one call are answered.
    servers[0].set_script(Script::of([refused_from(3)]));
    let told = stderr(&expect(place.fleet_run(&["--jobs", "1"]), 1));
    assert!(told.contains("after 2 good answers"), "{told}");
    assert_eq!(asked(&servers)[0], 3, "nothing after the refusal");
    let halted = "not_attempted/auth";
    assert_eq!(place.ends(), ["ok", halted, halted, "ok", "ok", "ok"]);
    assert!(place.halted("one").contains("likely one account or a firewall"), "{}", place.halted("one"));
    servers[0].set_script(Script::default());
    expect(place.resume(&[]), 0);
    let asked = called(&servers[0]);
    let expected = ["u0@a.example", "u1@a.example", "u2@a.example", "u1@a.example"];
    assert_eq!(asked, expected, "the one that met the refusal goes last");
}

#[test]
fn a_resume_keeps_to_the_recorded_account_and_looks_anew_only_when_told() {
    let place = Place::blind();
    let servers = two_servers(&place);
    servers[0].set_script(Script::of([refused_from(3)]));
    expect(place.fleet_run(&["--jobs", "1"]), 1);
    assert_eq!(place.places(), ["one/alfa", "one/alfa", "one/alfa", "two/beta", "two/beta", "two/beta"]);
    // The account was moved to the other server, which now has the domain.
    servers[0].set_script(Script::default());
    servers[0].change(|world| *world = fleet::world(&[("alfa", "x@x.example")])).unwrap();
    let all = many(3, "a.example") + &many(3, "b.example");
    servers[1].change(|world| *world = fleet::world(&[("new", &all)])).unwrap();
    expect(place.resume(&[]), 1);
    assert_eq!(place.ends()[..3], ["ok", "blocked/moved", "blocked/moved"]);
    assert_eq!(called(&servers[1]).len(), 3, "no call for what has moved");
    let unfinished = place.read("run/unfinished.csv");
    assert_eq!(unfinished.lines().count(), 3, "{unfinished}");
    expect(place.resume(&[]), 1);
    expect(place.resume(&["--retry", "moved"]), 0);
    assert_eq!(place.places()[..3], ["one/alfa", "two/new", "two/new"]);
    assert_eq!(place.ends(), ["ok"; 6]);
}

#[test]
fn a_mailbox_is_looked_for_anew_with_all_that_is_left_of_it() {
    let place = Place::new();
    let server = serve(&[("alfa", "u0@a.example")]);
    place.configure(&[whm("one", &server.url())]);
    server.set_script(Script::of([refused_from(2)]));
    place.write("job.csv", "email,action,channel\nu0@a.example,suspend,outgoing+login\n");
    expect(place.fleet_run(&[]), 4);
    server.set_script(Script::default());
    server.change(|world| *world = fleet::world(&[("beta", "u0@a.example")])).unwrap();
    place.write("logins", "email,channel\nu0@a.example,login\n");
    expect(place.resume(&["--only", "logins"]), 1);
    assert_eq!(place.ends()[1], "blocked/moved");
    expect(place.resume(&["--retry", "moved"]), 0);
    assert_eq!(place.places(), ["one/beta"; 2]);
}

#[test]
fn a_resume_takes_the_servers_anew_where_it_is_told_and_rows_keep_the_names_they_gave() {
    let place = Place::new();
    let shared = serve(&[("alfa", "u0@a.example"), ("beta", "u0@b.example")]);
    let [old, new] = [0, 1].map(|_| serve(&[("carl", "u0@c.example u0@same.example")]));
    let other = serve(&[("dora", "u0@same.example")]);
    old.set_dead(true).unwrap();
    let url = shared.url();
    place.configure(&[cpanel("shop", &url, "alfa"), whm("web", &old.url()), whm("other", &other.url())]);
    let rows = "email,action,channel,server\nu0@a.example,suspend,login,shop\nu0@same.example,suspend,login,web\n\
                u0@c.example,suspend,login,\n";
    place.write("job.csv", rows);
    expect(place.fleet_run(&[]), 1);
    assert_eq!(place.ends(), ["ok", "not_attempted/connect", "not_attempted/unrouted"]);
    // Another entry before it: the row still means the server that it named.
    place.configure_as(
        "new.toml",
        &[
            whm("first", &serve(&[]).url()),
            cpanel("shop", &url, "alfa"),
            cpanel("mail", &url, "beta"),
            whm("other", &other.url()),
            whm("web", &new.url()),
        ],
    );
    expect(place.resume(&[]), 4);
    expect(place.resume(&["--config", "new.toml"]), 0);
    assert_eq!(place.places(), ["shop/alfa", "web/carl", "web/carl"]);
    assert_eq!((called(&new).len(), called(&other).len()), (2, 0));
    // A server of the run that is missing there is missed before anything is sent.
    place.configure_as("short.toml", &[whm("web", &new.url())]);
    place.write("job.csv", logins(&["u0@a.example", "no@a.example"]));
    expect(place.fleet_run_of("job.csv", "second", &[]), 1);
    let mut lacking = place.mailsweep(&["resume", "second", "--retry-failed", "--config", "short.toml"]);
    lacking.stdin(Stdio::null());
    assert!(stderr(&expect(lacking, 2)).contains("lacks shop"));
}

/// A slow server and a free one, and a run at work on the slow one.
fn at_work(place: &Place) -> (Sandbox, Sandbox, std::process::Child) {
    let busy = serve_slowly(&[("alfa", &many(40, "a.example"))], 90);
    let free = serve(&[("beta", &many(2, "b.example"))]);
    place.configure(&[whm("busy", &busy.url()) + "domains = [\"a.example\"]\n"]);
    place.write("job.csv", logins(&[&many(40, "a.example")]));
    // Should the test fail, it goes by itself once its server is gone.
    let mut first = place.fleet_run_of("job.csv", "first", &["--jobs", "1", "--max-outage", "1s"]);
    let first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    place.wait_for_journal("first", ENDED, 2);
    (busy, free, first)
}

#[test]
fn a_server_in_use_is_left_alone_and_who_uses_it_is_named() {
    let place = Place::blind();
    let (busy, free, mut first) = at_work(&place);
    place.write("second.csv", logins(&[&many(2, "a.example")]));
    let told = stderr(&expect(place.fleet_run_of("second.csv", "run", &[]), 5));
    assert_eq!(place.ends(), [IN_USE; 2]);
    let error = &place.column("run", "error")[0];
    for part in ["run first", &format!("process {}", first.id()), "--wait", "--share-servers"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let facts: serde_json::Value = serde_json::from_str(&place.read("first/run.json")).unwrap();
    assert!(error.contains(facts["operator"].as_str().unwrap()), "{error}");
    assert!(told.contains("run first"), "{told}");

    // With a free one beside it, that one is done.
    let text = place.read("mailsweep.toml") + &whm("free", &free.url());
    place.write("mailsweep.toml", text);
    place.write("second.csv", logins(&[&many(2, "a.example"), &many(2, "b.example"), "u@none.example"]));
    std::fs::remove_dir_all(place.path("run")).unwrap();
    expect(place.fleet_run_of("second.csv", "run", &[]), 1);
    assert_eq!(place.ends(), [IN_USE, IN_USE, "ok", "ok", "not_attempted/unrouted"]);

    // Regardless of it, if that is what is wanted; and once it is through, by waiting.
    let before = called(&busy).len();
    expect(place.resume(&["--share-servers"]), 1);
    assert_eq!(place.ends(), ["ok", "ok", "ok", "ok", "blocked/no_server"]);
    assert!(first.try_wait().unwrap().is_none(), "the first one is still at work");
    assert!(called(&busy).len() >= before + 2);
    place.write("third.csv", logins(&["u3@a.example"]));
    expect(place.fleet_run_of("third.csv", "third", &["--wait", "30s"]), 0);
    assert!(first.wait().unwrap().success());
    let calls = fleet::calls(&busy);
    assert_eq!(calls.last().unwrap().email.as_deref(), Some("u3@a.example"), "it came last");
    assert_eq!(calls.len(), 40 + 2 + 1);
}

#[test]
fn a_killed_run_leaves_its_servers_free() {
    let place = Place::blind();
    let (_busy, _free, mut first) = at_work(&place);
    first.kill().unwrap();
    first.wait().unwrap();
    place.write("second.csv", logins(&["u0@a.example"]));
    expect(place.fleet_run_of("second.csv", "run", &[]), 0);
    assert_eq!(place.ends(), ["ok"]);
}

#[test]
fn two_runs_started_at_once_on_overlapping_fleets_take_turns_and_keep_the_rate() {
    const MAILBOXES: usize = 20;
    let place = Place::new();
    let lists = ["a", "b"].map(|run| (0..MAILBOXES).map(|i| format!("{run}{i}@{{}} ")).collect::<String>());
    let mailboxes = |domain: &str| lists.each_ref().map(|list| list.replace("{}", domain)).concat();
    let servers = [0, 1, 2].map(|n| serve_slowly(&[("acc", &mailboxes(&format!("d{n}.example")))], 5));
    // Each run could send all at once: together they may not.
    let entry = |n: usize| whm(&format!("s{n}"), &servers[n].url()) + "rate = \"10/s\"\nburst = 21\n";
    // In opposite orders, and with two common to both.
    place.configure_as("a.toml", &[entry(0), entry(1), entry(2)]);
    place.configure_as("b.toml", &[entry(2), entry(1)]);
    let mut children = Vec::new();
    for (run, on) in [("a", &[0, 1, 2][..]), ("b", &[2, 1])] {
        let list = &lists[usize::from(run == "b")];
        let own: Vec<String> = on.iter().map(|n| list.replace("{}", &format!("d{n}.example"))).collect();
        place.write(run, logins(&own.iter().map(String::as_str).collect::<Vec<_>>()));
        let config = format!("{run}.toml");
        let mut command = place.fleet_run_of(run, &format!("run-{run}"), &["--wait", "30s"]);
        command.args(["--config", &config]);
        children.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    for (n, server) in servers.iter().enumerate() {
        let whose: Vec<u8> = called(server).iter().map(|address| address.as_bytes()[0]).collect();
        assert_eq!(whose.len(), if n == 0 { MAILBOXES } else { 2 * MAILBOXES });
        let turns = whose.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(turns <= 1, "two runs at once at server {n}: {whose:?}");
        assert_rate_is_kept(&server.requests(), 10.0, 21.0);
    }
}

#[test]
fn a_credential_that_was_refused_in_two_sessions_is_not_sent_a_third_time() {
    for by_configuration in [true, false] {
        let place = Place::new();
        let one = serve(&[("alfa", &many(2, "a.example"))]);
        let url = one.url();
        place.configure(&[whm("one", &url)]);
        place.write("job.csv", logins(&[&many(2, "a.example")]));
        let flags = ["--server", &url, "--user", "alfa", "--token-file", "token"];
        let run =
            |name: &str| place.fleet_run_of("job.csv", name, if by_configuration { &[] } else { &flags[..] });
        place.write("token", "WRONG");
        expect(run("run"), 4);
        expect(run("again"), 4);
        assert_eq!(one.requests_seen(), 2);
        let name = if by_configuration { "one" } else { url.strip_prefix("http://").unwrap() };
        for told in [stderr(&expect(run("third"), 4)), {
            expect(place.resume(&[]), 4);
            place.halted(name)
        }] {
            assert!(told.contains("--try-again") && told.contains("until 20"), "{told}");
        }
        assert_eq!(one.requests_seen(), 2, "nothing is sent");
        expect(place.resume(&["--try-again"]), 4);
        assert_eq!(one.requests_seen(), 3);
        let good = if by_configuration { support::TOKEN } else { "TOKEN-alfa" };
        place.write("token", good);
        expect(place.resume(&[]), 0);
        assert_eq!(place.ends(), ["ok"; 2], "another one was never refused");
    }
}

#[test]
fn a_later_reason_takes_the_place_of_an_earlier_one() {
    let place = Place::new();
    let servers = two_servers(&place);
    servers[0].set_dead(true).unwrap();
    expect(place.fleet_run(&[]), 1);
    assert_eq!(place.ends()[..3], ["not_attempted/unrouted"; 3]);
    // Now it tells its domains, and refuses the first call.
    servers[0].set_dead(false).unwrap();
    servers[0].set_script(Script::of([refused_from(2)]));
    expect(place.resume(&["--jobs", "1"]), 4);
    assert_eq!(place.ends()[..3], ["not_attempted/auth"; 3]);
    assert!(place.column("run", "error").iter().take(3).all(|error| error.contains("401")));
}

#[test]
fn when_nobody_can_be_asked_the_code_says_why() {
    let place = Place::new();
    let servers = two_servers(&place);
    servers.iter().for_each(|server| server.set_dead(true).unwrap());
    expect(place.fleet_run(&[]), 4);
    assert_eq!(place.ends(), ["not_attempted/unrouted"; 6]);
    // The one that had no work does not make it an «all».
    servers[0].set_dead(false).unwrap();
    place.write("job.csv", logins(&[&many(3, "a.example")]));
    expect(place.fleet_run_of("job.csv", "found", &[]), 0);
    let odd = misbehaving(&[("alfa", &many(3, "a.example"))], Script::of([refused_from(3)]));
    place.configure(&[whm("one", &odd.url()), whm("two", &serve(&[]).url())]);
    expect(place.fleet_run_of("job.csv", "refused", &["--jobs", "1"]), 4);
}

const KILLS: usize = 8;

#[test]
fn a_fleet_killed_at_random_moments_and_resumed_ends_like_an_unbroken_one() {
    let lists: Vec<String> = (0..3).map(|n| many(12, &format!("d{n}.example"))).collect();
    let start = |place: &Place| -> Vec<Sandbox> {
        let servers: Vec<Sandbox> =
            (0..3).map(|n| serve_slowly(&[(&format!("acc{n}"), &lists[n])], 4)).collect();
        let config: Vec<String> = (0..3).map(|n| whm(&format!("s{n}"), &servers[n].url())).collect();
        place.configure(&config);
        let job =
            logins(&lists.iter().map(String::as_str).collect::<Vec<_>>()) + "u@none.example,suspend,login\n";
        place.write("job.csv", job);
        servers
    };
    let lasting = |place: &Place| -> Vec<BTreeMap<String, String>> {
        let mut results = place.results("run");
        for row in &mut results {
            row.retain(|column, _| !["attempts", "started_at", "duration_ms"].contains(&column.as_str()));
        }
        results
    };
    let whole = Place::blind();
    let _servers = start(&whole);
    expect(whole.fleet_run(&["--jobs", "3"]), 1);
    let expected = lasting(&whole);
    assert_eq!(whole.ends().iter().filter(|end| *end == "ok").count(), 36);

    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        runs += 1;
        assert!(runs < 20 * KILLS, "it is always faster than the kill");
        let place = Place::blind();
        let servers = start(&place);
        loop {
            let mut next = if place.path("run/run.json").exists() {
                place.resume(&["--jobs", "3"])
            } else {
                // Killed so early that there is no run yet: it begins anew.
                let _ = std::fs::remove_dir_all(place.path("run"));
                place.fleet_run(&["--jobs", "3"])
            };
            let mut child = next.stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(random.u64(0..180)));
            child.kill().unwrap();
            if let Some(code) = child.wait().unwrap().code() {
                assert_eq!(code, 1, "seed {seed}");
                break;
            }
            kills += 1;
        }
        assert!(lasting(&place) == expected, "seed {seed}: other results");
        for server in &servers {
            assert!(server.world().mailboxes().all(|(_, _, state)| state.flags.login), "seed {seed}");
        }
    }
}

#[test]
fn what_a_bar_keeps_from_the_only_account_is_left_for_the_credential() {
    let place = Place::new();
    place.write("job.csv", job(1));
    let sandbox = server(1, 0, Script::default());
    let run = |into: &str| {
        let mut command =
            place.mailsweep(&["run", "job.csv", "--server", &sandbox.url(), "--user", "exampleu"]);
        command.args(["--yes", "--run-dir", into]).env("MAILSWEEP_TOKEN", "a-wrong-one");
        command
    };
    for into in ["first", "second", "third"] {
        let before = sandbox.requests_seen();
        let output = expect(run(into), 4);
        assert!(place.column(into, "error_class").iter().all(|class| class == "auth"), "{into}");
        assert!(stderr(&output).contains("put a new token"), "{}", stderr(&output));
        assert_eq!(sandbox.requests_seen() == before, into == "third");
    }
}
