//! What `undo` puts back, and what it leaves alone.

#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/states.rs"]
mod states;
mod support;
#[path = "support/undone.rs"]
mod undone;

use fleet::{cpanel, serve, serve_with, whm};
use mailsweep::sandbox::{Fault, Options, Rule, Sandbox, Script};
use states::{changing, readings, set, set_held};
use support::{Place, expect, server, stderr, stdout};
use undone::{ALL, all, done, suspended, undo, undo_of};

#[test]
fn it_puts_back_what_the_run_changed_and_nothing_else() {
    let (place, sandbox) = suspended();
    assert_eq!(all(&sandbox), "lio lio lio");
    // Something of another kind that has happened meanwhile is nobody's to undo.
    set(&sandbox, "user000@example.com", "lioh");
    let calls = changing(&sandbox).len();
    let output = expect(undo(&place, &[]), 0);
    assert_eq!(all(&sandbox), "h l io");
    let told = [
        "user000 unsuspend login ok",
        "user000 unsuspend incoming ok",
        "user000 unsuspend outgoing ok",
        "user001 unsuspend incoming ok",
        "user001 unsuspend outgoing ok",
        "user002 unsuspend login ok",
    ];
    assert_eq!(place.told("undo"), told);
    assert_eq!(changing(&sandbox).len() - calls, 6, "one call for each flag that the run had changed");
    assert!(place.column("undo", "verified").iter().all(|verified| verified == "yes"));
    assert_eq!(place.column("undo", "undo_of_row"), ["1", "1", "1", "2", "2", "3"]);
    assert!(stderr(&output).contains("About to undo run:"), "{}", stderr(&output));
    let facts: serde_json::Value = serde_json::from_str(&place.read("undo/run.json")).unwrap();
    assert_eq!(facts["undo_of"], "run");
    expect(place.mailsweep(&["audit", "run"]), 0);
    expect(place.mailsweep(&["audit", "undo"]), 0);
}

#[test]
fn what_is_so_again_already_is_unchanged() {
    let (place, sandbox) = suspended();
    set(&sandbox, "user000@example.com", "io");
    let calls = changing(&sandbox).len();
    expect(undo(&place, &[]), 0);
    assert_eq!(
        place.told("undo")[..2],
        ["user000 unsuspend login unchanged", "user000 unsuspend incoming ok"]
    );
    assert_eq!(changing(&sandbox).len() - calls, 5);
    assert_eq!(all(&sandbox), "- l io");
}

#[test]
fn by_list_it_undoes_a_part_and_then_another_and_leaves_alone_what_it_has_put_back() {
    let (place, sandbox) = suspended();
    place.write("changed.txt", "user000@example.com\nstranger@example.com\n");
    let output = expect(undo(&place, &["--only", "changed.txt"]), 0);
    assert!(stderr(&output).contains("stranger@example.com"), "{}", stderr(&output));
    assert_eq!(all(&sandbox), "- lio lio");
    // That one falls into other hands again, and is suspended again, by hand.
    set(&sandbox, "user000@example.com", "l");
    place.write("not-yet.csv", "email,channel\nuser001@example.com,incoming\n");
    let output = expect(undo_of(&place, "run", "second", &["--except", "not-yet.csv"]), 0);
    let told = ["user001 unsuspend outgoing ok", "user002 unsuspend login ok"];
    assert_eq!(place.told("second"), told);
    assert_eq!(all(&sandbox), "l li io");
    let said = "3 changes were put back by an earlier undo already, and left alone here";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
    expect(undo_of(&place, "run", "third", &[]), 0);
    assert_eq!(place.told("third"), ["user001 unsuspend incoming ok"]);
    assert_eq!(all(&sandbox), "l l io");
    let nothing = expect(undo_of(&place, "run", "fourth", &[]), 0);
    assert!(
        stderr(&nothing).contains("6 changes were put back by an earlier undo already"),
        "{}",
        stderr(&nothing)
    );
    assert!(!place.path("fourth").exists());
    assert_eq!(all(&sandbox), "l l io");
}

#[test]
fn an_earlier_undo_that_is_gone_is_told_and_done_again() {
    let (place, sandbox) = suspended();
    expect(undo(&place, &[]), 0);
    std::fs::rename(place.path("undo"), place.path("renamed")).unwrap();
    let output = expect(undo_of(&place, "run", "again", &[]), 0);
    assert!(stderr(&output).contains("the undo undo"), "{}", stderr(&output));
    assert!(place.column("again", "status").iter().all(|status| status == "unchanged"));
    assert_eq!(all(&sandbox), "- l io");
}

#[test]
fn by_server_it_undoes_a_part_and_then_the_others() {
    let place = Place::new();
    let servers = [serve(&[("alfa", "u0@alfa.example")]), serve(&[("beta", "u0@beta.example")])];
    place.configure(&[whm("web01", &servers[0].url()), whm("web02", &servers[1].url())]);
    place.write("job.csv", fleet::logins(&["u0@alfa.example u0@beta.example"]));
    expect(place.fleet_run(&[]), 0);
    let seen = servers[0].requests().len();
    expect(undo(&place, &["--servers", "web02"]), 0);
    assert_eq!((all(&servers[0]), all(&servers[1])), ("l".into(), "-".into()));
    assert_eq!(servers[0].requests().len(), seen, "it is not spoken to");
    expect(undo_of(&place, "run", "second", &["--except-servers", "web02"]), 0);
    assert_eq!((all(&servers[0]), all(&servers[1])), ("-".into(), "-".into()));
    assert_eq!(place.told("second"), ["u0 unsuspend login ok"]);
    expect(undo_of(&place, "run", "third", &["--servers", "web03"]), 2);
}

#[test]
fn the_same_address_on_two_servers_is_two_mailboxes() {
    let place = Place::new();
    let servers = [serve(&[("alfa", "u0@shared.example")]), serve(&[("beta", "u0@shared.example")])];
    place
        .configure(&[cpanel("web01", &servers[0].url(), "alfa"), cpanel("web02", &servers[1].url(), "beta")]);
    let rows = "email,action,channel,server\nu0@shared.example,suspend,all,web01\n\
                u0@shared.example,suspend,login,WEB02\n";
    place.write("job.csv", rows);
    set(&servers[0], "u0@shared.example", "o");
    set(&servers[1], "u0@shared.example", "i");
    expect(place.fleet_run(&[]), 0);
    assert_eq!((all(&servers[0]), all(&servers[1])), ("lio".into(), "li".into()));
    expect(undo(&place, &["--servers", "web01"]), 0);
    assert_eq!((all(&servers[0]), all(&servers[1])), ("o".into(), "li".into()));
    set(&servers[0], "u0@shared.example", "lo");
    expect(undo_of(&place, "run", "second", &[]), 0);
    assert_eq!((all(&servers[0]), all(&servers[1])), ("lo".into(), "i".into()), "the first is left alone");
    assert_eq!(place.column("second", "server"), ["web02"]);
}

const HOLDS: &str = "email,action,channel\nuser000@example.com,hold,outgoing\nuser001@example.com,hold,outgoing\n\
                     user001@example.com,suspend,login\n";

#[test]
fn a_hold_is_not_undone_until_it_is_said_that_the_mail_may_be_sent() {
    let (place, sandbox) = done(2, HOLDS, |_| {}, &[], 0);
    set_held(&sandbox, "user000@example.com", "h", 2);
    set_held(&sandbox, "user001@example.com", "lh", 1500);
    let output = expect(undo(&place, &[]), 1);
    let told = [
        "user000 release outgoing blocked/needs_release",
        "user001 release outgoing blocked/needs_release",
        "user001 unsuspend login ok",
    ];
    assert_eq!(place.told("undo"), told);
    assert_eq!(all(&sandbox), "h h");
    assert!(stderr(&output).contains("--release-held"), "{}", stderr(&output));
    // No resume sends it either, whatever it is told to take up.
    expect(place.mailsweep(&["resume", "undo", "--retry", "needs_release", "--rate", "none"]), 1);
    assert_eq!(all(&sandbox), "h h");

    let output = expect(undo_of(&place, "run", "second", &["--release-held"]), 0);
    assert_eq!(place.told("second"), ["user000 release outgoing ok", "user001 release outgoing ok"]);
    assert_eq!(all(&sandbox), "- -");
    let told = stderr(&output);
    for words in ["user000@example.com", "user001@example.com", "1,502"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let sent = sandbox.world().mailboxes().map(|(_, _, state)| state.sent_messages).collect::<Vec<_>>();
    assert_eq!(sent, [2, 1500]);
    let asked = sandbox.requests().iter().filter(|r| r.function == "get_held_message_count").count();
    assert_eq!(asked, 2, "once for each, and only where it is about to be sent");
}

#[test]
fn a_run_that_releases_says_first_how_much_would_be_sent() {
    let rows =
        "email,action,channel\nuser000@example.com,release,outgoing\nuser001@example.com,release,outgoing\n";
    let prepare = |sandbox: &Sandbox| {
        set_held(sandbox, "user000@example.com", "h", 7);
        set_held(sandbox, "user001@example.com", "h", 35);
    };
    let place = Place::new();
    place.write("job.csv", rows);
    let sandbox = server(2, 0, Script::default());
    prepare(&sandbox);
    let told = stderr(&expect(place.run_against(&sandbox.url(), &["--rate", "none"]), 0));
    for words in ["user000@example.com", "user001@example.com", "42"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    // To undo it holds again what comes from now on.
    let told = stderr(&expect(undo(&place, &[]), 0));
    assert!(told.contains("mail that was sent stays sent"), "{told}");
    assert_eq!(place.told("undo"), ["user000 hold outgoing ok", "user001 hold outgoing ok"]);
    assert_eq!(all(&sandbox), "h h");
    assert!(sandbox.world().mailboxes().all(|(_, _, state)| state.sent_messages > 0));
}

#[test]
fn of_what_was_not_read_nobody_knows_what_it_was() {
    let (place, sandbox) = done(3, ALL, |_| {}, &["--blind"], 0);
    let seen = sandbox.requests().len();
    let output = expect(undo(&place, &[]), 1);
    assert!(place.told("undo").iter().all(|told| told.ends_with("blocked/no_prior_state")));
    assert_eq!(place.told("undo").len(), 9);
    assert_eq!(sandbox.requests().len(), seen, "nothing to do is nothing to ask");
    assert!(stderr(&output).contains("not read"), "{}", stderr(&output));
    // What it was is not guessed by a resume either.
    expect(place.mailsweep(&["resume", "undo", "--retry", "no_prior_state", "--rate", "none"]), 1);
    assert_eq!(all(&sandbox), "lio lio lio");
}

#[test]
fn an_account_that_could_not_be_read_is_left_and_the_others_are_undone() {
    let place = Place::new();
    let unreadable =
        Rule::new(Fault::ApiFailure("no".into())).function("list_pops_with_disk").account("beta");
    let options = Options { script: Script::of([unreadable]), ..Options::default() };
    let sandbox = serve_with(&[("alfa", "u0@alfa.example"), ("beta", "u0@beta.example")], options);
    place.configure(&[whm("web01", &sandbox.url())]);
    place.write("job.csv", fleet::logins(&["u0@alfa.example u0@beta.example"]));
    expect(place.fleet_run(&[]), 0);
    sandbox.set_script(Script::default());
    expect(undo(&place, &[]), 1);
    assert_eq!(place.told("undo"), ["u0 unsuspend login ok", "u0 unsuspend login blocked/no_prior_state"]);
    assert_eq!(all(&sandbox), "- l");
}

#[test]
fn undo_of_an_undo_is_the_first_state_again() {
    let (place, sandbox) = suspended();
    expect(undo(&place, &[]), 0);
    expect(undo_of(&place, "undo", "redo", &[]), 0);
    assert_eq!(all(&sandbox), "lio lio lio");
    // What the run changed is there again, and can be undone again, by either.
    expect(undo_of(&place, "run", "again", &[]), 0);
    assert_eq!(all(&sandbox), "- l io");
    assert_eq!(place.told("again").len(), 6);
}

const BACK_AND_FORTH: &str = "email,action,channel\nuser000@example.com,suspend,login\nuser000@example.com,unsuspend,login\n\
                              user001@example.com,suspend,login\nuser001@example.com,unsuspend,login\n\
                              user002@example.com,unsuspend,login\nuser002@example.com,suspend,login\n\
                              user002@example.com,unsuspend,login\nuser002@example.com,suspend,login\n";

#[test]
fn of_several_operations_on_a_flag_what_was_before_the_first_counts() {
    let prepare = |sandbox: &Sandbox| set(sandbox, "user001@example.com", "l");
    let (place, sandbox) = done(3, BACK_AND_FORTH, prepare, &["--allow-conflicts"], 0);
    assert_eq!(all(&sandbox), "- - l");
    assert_eq!(place.column("run", "status")[..4], ["ok", "ok", "unchanged", "ok"]);
    expect(undo(&place, &[]), 0);
    assert_eq!(all(&sandbox), "- l -");
    assert_eq!(place.told("undo"), ["user001 suspend login ok", "user002 unsuspend login ok"]);
}

#[test]
fn where_there_is_nothing_to_undo_it_says_so_and_makes_no_run() {
    let (place, sandbox) = done(
        3,
        ALL,
        |sandbox| {
            (0..3).for_each(|n| set(sandbox, &format!("user00{n}@example.com"), "lio"));
        },
        &[],
        0,
    );
    let (before, seen) = (place.bytes_of("run"), sandbox.requests().len());
    let output = expect(undo(&place, &[]), 0);
    assert!(stderr(&output).contains("run: there is nothing to undo"), "{}", stderr(&output));
    let quiet = expect(undo(&place, &["-q"]), 0);
    assert_eq!((stderr(&quiet), stdout(&quiet)), (String::new(), String::new()));
    let output = expect(undo(&place, &["--json", "-o", "results.csv"]), 0);
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (&told["operations"], &told["exit_code"], &told["undo_of"]),
        (&0.into(), &0.into(), &"run".into())
    );
    let header = mailsweep::job::RESULT_COLUMNS.join(",") + ",undo_of_row\n";
    assert_eq!(place.read("results.csv"), header);
    place.write("none.txt", "nobody@example.com\n");
    expect(undo(&place, &["--only", "none.txt"]), 0);
    assert!(!place.path("undo").exists());
    assert!(place.bytes_of("run") == before);
    assert_eq!(sandbox.requests().len(), seen);
}

#[test]
fn what_is_no_run_or_is_in_use_or_was_altered_is_refused() {
    let (place, sandbox) = suspended();
    expect(undo_of(&place, "none", "undo", &[]), 6);
    expect(place.mailsweep(&["run", "job.csv", "--dry-run", "--run-dir", "dry"]), 0);
    let told = stderr(&expect(undo_of(&place, "dry", "undo", &[]), 6));
    assert!(told.contains("dry run"), "{told}");
    expect(undo_of(&place, "run", "dry", &[]), 2);

    sandbox.set_script(Script::of([Rule::new(Fault::Hang)]));
    place.write("job.csv", "user000@example.com\n");
    let url = sandbox.url();
    let args = ["run", "job.csv", "--action", "hold", "--channel", "outgoing", "--server", &url, "--user"];
    let mut other = place.mailsweep(&args);
    other.args([support::USER, "--token-file", "token", "--yes", "--run-dir", "other"]);
    let mut other = other.spawn().unwrap();
    place.wait_for_journal("other", "\"session\"", 1);
    let told = stderr(&expect(undo_of(&place, "other", "undo", &[]), 5));
    assert!(told.contains("in use"), "{told}");
    // The server is in use too: the undo is a run like any other.
    expect(undo(&place, &[]), 5);
    other.kill().unwrap();
    other.wait().unwrap();
    sandbox.set_script(Script::default());

    let journal = place.read("run/journal.jsonl");
    place.write("run/journal.jsonl", journal.replacen("\"ok\"", "\"no\"", 1));
    expect(undo_of(&place, "run", "second", &[]), 6);
    place.write("run/journal.jsonl", journal);
    assert_eq!(all(&sandbox), "lio lio lio");
    expect(place.mailsweep(&["resume", "undo", "--rate", "none"]), 0);
    assert_eq!(all(&sandbox), "- l io");
}

#[test]
fn without_a_yes_nothing_is_sent_and_nothing_noted() {
    let (place, sandbox) = suspended();
    let (before, seen) = (place.bytes_of("run"), sandbox.requests().len());
    let refused = expect(place.mailsweep(&["undo", "run", "--run-dir", "undo"]), 2);
    assert!(stderr(&refused).contains("--yes"), "{}", stderr(&refused));
    assert!(place.bytes_of("run") == before && !place.path("undo").exists());
    assert_eq!(sandbox.requests().len(), seen);
}

#[test]
fn at_a_terminal_it_asks_and_a_no_leaves_all_as_it_was() {
    use std::io::{Read, Write};
    let (place, sandbox) = suspended();
    let before = place.bytes_of("run");
    for (answer, code) in [("n\n", 2), ("y\n", 0)] {
        assert!(place.bytes_of("run") == before && !place.path("undo").exists());
        assert_eq!(all(&sandbox), "lio lio lio");
        let (ours, [input, error]) = states::terminal();
        let mut command = place.mailsweep(&["undo", "run", "--run-dir", "undo", "--rate", "none"]);
        let mut child = command.stdin(input).stderr(error).spawn().unwrap();
        drop(command);
        let mut ours = std::fs::File::from(ours);
        ours.write_all(answer.as_bytes()).unwrap();
        let mut shown = Vec::new();
        // Ends with an error when the program's side is closed.
        let _ = ours.read_to_end(&mut shown);
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert_eq!(states::ended(&mut child).code(), Some(code), "{shown}");
        assert!(shown.contains("Go on?"), "{shown}");
    }
    assert_eq!(all(&sandbox), "- l io");
}

#[test]
fn it_counts_for_max_changes_and_goes_on_when_they_are_allowed() {
    let (place, sandbox) = suspended();
    let calls = changing(&sandbox).len();
    expect(undo(&place, &["--max-changes", "5"]), 3);
    assert!(place.told("undo").iter().all(|told| told.ends_with("not_attempted/max_changes")));
    assert_eq!(changing(&sandbox).len(), calls);
    expect(place.mailsweep(&["resume", "undo", "--max-changes", "6", "--rate", "none"]), 0);
    assert_eq!(all(&sandbox), "- l io");
}

#[test]
fn an_embedded_server_is_the_runs_own() {
    let place = Place::new();
    place.write("job.csv", ALL);
    expect(
        place.mailsweep(&["run", "job.csv", "--sandbox", "--yes", "--run-dir", "run", "--rate", "none"]),
        0,
    );
    let is_so = |on: bool| {
        let world = mailsweep::sandbox::World::load(&place.path("run/sandbox.json")).unwrap();
        world.mailboxes().all(|(_, _, state)| state.flags.login == on && state.flags.outgoing == on)
    };
    assert!(is_so(true));
    expect(undo(&place, &[]), 0);
    assert!(is_so(false));
    expect(undo_of(&place, "undo", "redo", &[]), 0);
    assert!(is_so(true));
    assert!(!place.path("undo/sandbox.json").exists());
}

#[test]
fn it_reads_each_account_once_before_and_once_after() {
    let (place, sandbox) = suspended();
    let before = readings(&sandbox);
    expect(undo(&place, &[]), 0);
    assert_eq!(readings(&sandbox) - before, 2);
}

#[test]
fn what_failed_after_a_try_that_may_have_had_effect_is_undone_too() {
    let place = Place::new();
    place.write("job.csv", "email,action,channel\nuser000@example.com,suspend,login\n");
    let first = Rule::new(Fault::ResetAfter).function("suspend_login").once();
    let then = Rule::new(Fault::ApiFailure("no".into())).function("suspend_login");
    let sandbox = server(1, 0, Script::of([first, then]));
    expect(place.run_against(&sandbox.url(), &["--rate", "none", "--no-verify"]), 1);
    assert_eq!(
        (place.told("run"), all(&sandbox)),
        (vec!["user000 suspend login failed/api".into()], "l".into())
    );
    expect(undo(&place, &[]), 0);
    assert_eq!((place.told("undo"), all(&sandbox)), (vec!["user000 unsuspend login ok".into()], "-".into()));
}

#[test]
fn an_account_that_no_longer_has_the_domain_is_left() {
    let place = Place::new();
    let sandbox = serve(&[("alfa", "u0@alfa.example"), ("beta", "u0@beta.example")]);
    place.configure(&[whm("web01", &sandbox.url())]);
    place.write("job.csv", fleet::logins(&["u0@alfa.example u0@beta.example"]));
    expect(place.fleet_run(&[]), 0);
    let moved = [("new", "u0@alfa.example"), ("beta", "u0@beta.example")];
    sandbox.change(|world| *world = fleet::world(&moved)).unwrap();
    ["u0@alfa.example", "u0@beta.example"].iter().for_each(|address| set(&sandbox, address, "l"));
    expect(undo(&place, &[]), 1);
    assert_eq!(place.told("undo"), ["u0 unsuspend login blocked/moved", "u0 unsuspend login ok"]);
    // What the undo has left is not passed over.
    let told = stderr(&expect(place.mailsweep(&["verify", "run"]), 1));
    assert!(told.contains("1 could not be read; 1 taken back and passed over"), "{told}");
    let told = stderr(&expect(place.mailsweep(&["verify", "undo"]), 0));
    assert!(told.contains("1 operation looked at: 1 hold"), "{told}");
    expect(undo_of(&place, "undo", "redo", &[]), 0);
    let told = stderr(&expect(place.mailsweep(&["verify", "redo"]), 0));
    assert!(told.contains("1 operation looked at: 1 hold"), "{told}");
}
