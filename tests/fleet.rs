//! A run over many servers that a configuration names: where everything goes, and what one bad server
//! costs the others.

#[path = "support/fleet.rs"]
mod fleet;
mod support;

use std::sync::atomic::Ordering;

use fleet::{
    called, calls, counting, cpanel, functions, logins, many, misbehaving, serve, serve_slowly, serve_with,
    whm,
};
use mailsweep::sandbox::{Fault, Options, Rule, Sandbox, Script, Tls};
use support::{Place, assert_rate_is_kept, expect, stderr};

/// A server like any other whose own token file is wrong.
fn with_token(entry: String, file: &str) -> String {
    entry.replace("token_file = \"token\"", &format!("token_file = \"{file}\""))
}

/// Servers with which all is well, beside the three bad ones.
const GOOD: usize = 9;

#[test]
fn three_bad_servers_cost_nine_good_ones_nothing_and_are_taken_up_once_mended() {
    let place = Place::new();
    let bad = ["dead", "wrong", "expired"];
    let [dead, wrong, expired] = [GOOD, GOOD + 1, GOOD + 2];
    let lists: Vec<String> = (0..=expired).map(|n| many(3, &format!("d{n}.example"))).collect();
    let servers: Vec<Sandbox> = (0..=expired)
        .map(|n| {
            let tls = (n == expired).then(Tls::expired);
            serve_with(&[(&format!("acc{n}"), &lists[n])], Options { tls, ..Options::default() })
        })
        .collect();
    servers[dead].set_dead(true).unwrap();
    place.write("wrong", "NOT-THE-TOKEN");
    place.write("ca.pem", servers[expired].ca_pem().unwrap());
    let name = |n: usize| if n < GOOD { format!("good{n}") } else { bad[n - GOOD].to_owned() };
    let mut config: Vec<String> = (0..=expired).map(|n| whm(&name(n), &servers[n].url())).collect();
    config[wrong] = with_token(config[wrong].clone(), "wrong");
    config[expired] += "ca_file = \"ca.pem\"\n";
    place.configure(&config);
    place.write("job.csv", logins(&lists.iter().map(String::as_str).collect::<Vec<_>>()));

    let told = stderr(&expect(place.fleet_run(&[]), 1));
    let ends = |of_bad: [&'static str; 3]| {
        let ends = ["ok"; GOOD].into_iter().chain(of_bad);
        ends.flat_map(|end| [end; 3]).collect::<Vec<_>>()
    };
    let waits = "not_attempted/unrouted";
    assert_eq!(place.ends(), ends([waits; 3]));
    for n in 0..GOOD {
        assert_eq!(place.places()[3 * n], format!("good{n}/acc{n}"));
        assert_eq!(place.halted(&name(n)), "");
    }
    for (server, words) in [
        ("dead", &["connect", "refused"][..]),
        ("wrong", &["the server refused the credential", "401"]),
        ("expired", &["tls", "certificate expired on", "renew it"]),
    ] {
        let reason = place.halted(server);
        assert!(words.iter().all(|word| reason.contains(word)), "{server}: {reason}");
        assert!(told.contains(&format!("{server}: ")), "{told}");
        let error = place.column("run", "error").pop().unwrap();
        assert!(error.contains(server), "{error}");
    }
    assert_eq!(servers[wrong].requests_seen(), 1, "a wrong token is sent once");
    let unfinished = place.read("run/unfinished.csv");
    assert_eq!(unfinished.lines().count(), 1 + 9, "{unfinished}");

    place.write("wrong", support::TOKEN);
    expect(place.resume(&[]), 1);
    assert_eq!(place.ends(), ends([waits, "ok", waits]));
    assert_eq!(place.places()[3 * wrong], "wrong/acc10");
    servers[dead].set_dead(false).unwrap();
    expect(place.resume(&[]), 1);
    assert_eq!(place.ends(), ends(["ok", "ok", waits]));
    for (server, list) in servers.iter().zip(&lists).take(expired) {
        let mut asked = called(server);
        asked.sort_unstable();
        assert_eq!(asked, list.split_whitespace().collect::<Vec<_>>(), "each is called for once in all");
    }
    assert_eq!(servers[expired].requests_seen(), 0);
}

#[test]
fn accounts_of_one_host_and_whm_servers_go_together() {
    let place = Place::new();
    let shared = serve_slowly(&[("alfa", &many(4, "a.example")), ("beta", &many(4, "b.example"))], 20);
    let web = serve(&[("carl", &many(2, "c.example")), ("dora", &many(2, "d.example"))]);
    let url = shared.url();
    // One with its domains, so that its first request is a call, and one that has to be asked.
    place.configure(&[
        cpanel("shop", &url, "alfa") + "domains = [\"a.example\"]\n",
        cpanel("mail", &url, "beta"),
        whm("web", &web.url()),
    ]);
    let lists = [many(4, "a.example"), many(4, "b.example"), many(2, "c.example"), many(2, "d.example")];
    place.write("job.csv", logins(&lists.each_ref().map(String::as_str)));
    expect(place.fleet_run(&[]), 0);
    let mut expected = vec!["shop/alfa"; 4];
    expected.extend(["shop/beta"; 4]);
    expected.extend(["web/carl", "web/carl", "web/dora", "web/dora"]);
    assert_eq!(place.places(), expected, "two accounts of one host and port are one server");
    assert_eq!(place.ends(), ["ok"; 12]);
    for call in calls(&shared) {
        let own = if call.user.as_deref() == Some("alfa") { "@a.example" } else { "@b.example" };
        assert!(call.email.unwrap().ends_with(own));
    }
    let requests = shared.requests();
    for user in ["alfa", "beta"] {
        let at = requests.iter().position(|request| request.user.as_deref() == Some(user)).unwrap();
        let first = &requests[at];
        let others = requests.iter().enumerate().filter(|(other, _)| *other != at);
        let beside =
            others.filter(|(_, r)| r.started < first.ended.unwrap() && first.started < r.ended.unwrap());
        assert_eq!(beside.count(), 0, "the first request of {user} goes alone");
    }
    let at_once = requests
        .iter()
        .filter(|r| requests.iter().any(|other| other.number < r.number && other.ended.unwrap() > r.started));
    assert!(at_once.count() > 0, "later ones do not");
    assert!(calls(&web).iter().all(|call| call.through == Some("uapi_cpanel")));
}

#[test]
fn a_wrong_password_of_one_account_halts_the_host_for_all_of_them() {
    let place = Place::new();
    let shared = serve(&[("alfa", &many(3, "a.example")), ("beta", &many(3, "b.example"))]);
    let url = shared.url();
    place.configure(&[cpanel("shop", &url, "alfa"), cpanel("mail", &url, "beta")]);
    place.write("alfa.token", "WRONG");
    place.write("job.csv", logins(&[&many(3, "a.example"), &many(3, "b.example")]));
    expect(place.fleet_run(&[]), 4);
    assert_eq!(shared.requests_seen(), 1);
    assert!(place.halted("shop").contains("refused the credential"));
    assert_eq!(place.ends(), ["not_attempted/unrouted"; 6]);
}

#[test]
fn what_whm_says_of_an_account_is_its_operations_own() {
    let place = Place::new();
    let rules = [
        Rule::new(Fault::ApiFailure("The inner call failed.".into())).email("u1@a.example"),
        Rule::new(Fault::ApiFailure("Access denied".into())).function("get_domain_info"),
        Rule::new(Fault::ApiFailure("Access denied".into())).function("getdomainowner"),
    ];
    let web = misbehaving(&[("alfa", &many(3, "a.example")), ("beta", "u0@b.example")], Script::of(rules));
    web.change(|world| world.set_suspended("beta", true)).unwrap();
    place.configure(&[whm("web", &web.url())]);
    let rows = "email,action,channel,server,account\nu0@a.example,suspend,login,web,alfa\n\
                u1@a.example,suspend,login,web,alfa\nu0@b.example,suspend,login,web,beta\n\
                u0@c.example,suspend,login,web,ghost\nu2@a.example,suspend,login,web,alfa\n\
                u2@a.example,suspend,incoming,,\n";
    place.write("job.csv", rows);
    expect(place.fleet_run(&["--jobs", "1"]), 1);
    let ends = place.ends();
    assert_eq!((ends[0].as_str(), ends[1].as_str(), ends[4].as_str()), ("ok", "failed/api", "ok"));
    assert!(ends[2].starts_with("failed/") && ends[3].starts_with("failed/"), "{ends:?}");
    assert_eq!(ends[5], "not_attempted/unrouted", "nobody could say where it is");
    let errors = place.column("run", "error");
    assert_eq!(errors[1], "The inner call failed.");
    assert!(errors[2].contains("“beta” is suspended") && errors[3].contains("“ghost”"), "{errors:?}");
    assert_eq!(place.halted("web"), "", "a server that answers is not halted");
    let states = web.world();
    assert!(!states.mailbox("u0@b.example").unwrap().flags.login);
}

#[test]
fn where_the_list_is_refused_the_owner_of_each_domain_is_asked_for() {
    let place = Place::new();
    let refusing = Options { refuse_domain_info: true, ..Options::default() };
    let one = serve_with(&[("alfa", &many(2, "a.example"))], refusing.clone());
    let two = serve_with(&[("beta", &many(2, "b.example"))], refusing);
    place.configure(&[whm("one", &one.url()), whm("two", &two.url())]);
    place.write("job.csv", logins(&[&many(2, "a.example"), &many(2, "b.example"), "u@none.example"]));
    expect(place.fleet_run(&[]), 1);
    assert_eq!(place.places(), ["one/alfa", "one/alfa", "two/beta", "two/beta", "/"]);
    assert_eq!(place.ends(), ["ok", "ok", "ok", "ok", "blocked/no_server"]);
    let asked = functions(&one).iter().filter(|function| *function == "getdomainowner").count();
    assert_eq!(asked, 3, "once for each domain, not for each mailbox");
}

#[test]
fn a_domain_on_two_servers_waits_until_somebody_says_which() {
    let place = Place::new();
    let [one, two] = ["alfa", "beta"].map(|user| serve(&[(user, &many(2, "both.example"))]));
    let config = [whm("one", &one.url()), whm("two", &two.url())];
    place.configure(&config);
    let plain = logins(&[&many(2, "both.example")]);
    place.write("job.csv", &plain);
    expect(place.fleet_run(&[]), 1);
    assert_eq!(place.ends(), ["blocked/ambiguous_server"; 2]);
    let error = &place.column("run", "error")[0];
    assert!(error.contains("one (account alfa)") && error.contains("two (account beta)"), "{error}");
    assert_eq!(place.read("run/unfinished.csv"), plain, "it can be run once it is settled");
    assert_eq!((called(&one).len(), called(&two).len()), (0, 0));

    // By the configuration, on resume as well as for a new run.
    let settled = [config[0].clone(), config[1].clone() + "domains = [\"both.example\"]\n"];
    place.configure(&settled);
    expect(place.resume(&["--config", "mailsweep.toml", "--retry", "ambiguous_server"]), 0);
    assert_eq!(place.places(), ["two/beta"; 2]);
    assert_eq!((called(&one).len(), called(&two).len()), (0, 2));
    // By a column, which beats the configuration; the same mailbox on both is two mailboxes, even
    // with opposite actions.
    let rows = "email,action,channel,server\nu0@both.example,suspend,login,one\n\
                u0@both.example,unsuspend,login,TWO\nu0@both.example,suspend,login,one\n";
    place.write("job.csv", rows);
    std::fs::remove_dir_all(place.path("run")).unwrap();
    expect(place.fleet_run(&[]), 0);
    assert_eq!(place.places(), ["one/alfa", "two/beta", "one/alfa"]);
    assert_eq!(place.ends(), ["ok", "ok", "duplicate"]);
    let is_shut = |sandbox: &Sandbox| sandbox.world().mailbox("u0@both.example").unwrap().flags.login;
    assert_eq!((is_shut(&one), is_shut(&two)), (true, false));
}

#[test]
fn a_row_names_a_configured_server_or_is_faulty() {
    let place = Place::blind();
    let one = serve(&[("alfa", &many(3, "a.example")), ("beta", "u0@b.example")]);
    place.configure(&[whm("web01", &one.url())]);
    let rows = "email,action,channel,server,account\n# a comment\nu0@a.example,suspend,login,web01,alfa\n\
                u1@a.example,suspend,login,web09,\nu2@a.example,suspend,login,,beta\n";
    place.write("job.csv", rows);
    let told = stderr(&expect(place.fleet_run(&[]), 2));
    assert!(told.contains("row 2") && told.contains("line 4") && told.contains("web09"), "{told}");
    assert_eq!(one.requests_seen(), 0);
    assert!(!place.path("run").exists());
    expect(place.fleet_run(&["--skip-invalid"]), 1);
    assert_eq!(place.ends(), ["ok", "invalid/invalid_row", "blocked/moved"]);
    assert_eq!(called(&one), ["u0@a.example"]);
    let unfinished = place.read("run/unfinished.csv");
    assert!(unfinished.contains("u2@a.example") && !unfinished.contains("u1@"), "{unfinished}");

    // With --server they are columns like any other.
    let url = one.url();
    let mut plain = place.mailsweep(&["run", "job.csv", "--yes", "--run-dir", "plain", "--server", &url]);
    plain.args(["--user", "alfa", "--token-file", "alfa.token", "--rate", "none"]);
    expect(plain, 0);
    let rows = place.results("plain");
    assert_eq!((rows[1]["input.server"].as_str(), rows[2]["input.account"].as_str()), ("web09", "beta"));
    assert!(rows.iter().all(|row| row["account"] == "alfa"));
}

#[test]
fn the_same_mailbox_with_and_without_its_server_is_called_for_once() {
    let place = Place::new();
    let one = serve(&[("alfa", &many(2, "a.example"))]);
    place.configure(&[whm("one", &one.url()), whm("two", &serve(&[]).url())]);
    let rows =
        "email,action,channel,server\nu0@a.example,suspend,login,one\nu0@a.example,suspend,outgoing,\n";
    place.write("job.csv", rows);
    expect(place.fleet_run(&[]), 1);
    assert_eq!(place.ends()[0], "ok");
    assert!(place.ends()[1] != "ok" && called(&one).len() == 1, "{:?}", place.ends());
}

#[test]
fn protected_mailboxes_are_never_called_for() {
    let place = Place::blind();
    let one = serve(&[("alfa", "abuse@a.example u0@a.example")]);
    let protect = "protect = [\"abuse@*\"]\n";
    place.configure(&[whm("one", &one.url())]);
    let config = protect.to_owned() + &place.read("mailsweep.toml");
    place.write("mailsweep.toml", config);
    place.write("job.csv", logins(&["abuse@a.example", "u0@a.example"]));
    let url = one.url();
    let by_flag = ["--server", &url, "--user", "alfa", "--token-file", "alfa.token"];
    for (args, done) in
        [(&["--dry-run"][..], "planned"), (&[], "ok"), (&by_flag, "ok"), (&["--sandbox"], "ok")]
    {
        let _ = std::fs::remove_dir_all(place.path("run"));
        expect(place.fleet_run(args), 1);
        assert_eq!(place.ends(), ["blocked/protected", done], "{args:?}");
        assert!(place.column("run", "error")[0].contains("abuse@*"));
        assert!(!place.path("run/unfinished.csv").exists());
    }
    assert_eq!(called(&one), ["u0@a.example"; 2]);
    assert!(!one.world().mailbox("abuse@a.example").unwrap().flags.login);
}

#[test]
fn a_dry_run_asks_nobody_and_places_what_the_configuration_places() {
    let place = Place::new();
    let (url, connections) = counting();
    let (other, more) = counting();
    place.configure(&[
        whm("web", &url) + "domains = [\"w.example\"]\n",
        with_token(cpanel("shop", &other, "alfa"), "none") + "domains = [\"s.example\"]\n",
    ]);
    for file in ["token", "alfa.token"] {
        std::fs::remove_file(place.path(file)).unwrap();
    }
    let text = "email,action,channel,server,account\nu@w.example,suspend,login,,\nu@s.example,suspend,login,,\n\
                u@x.example,suspend,login,,\nu@y.example,suspend,login,web,yves\n\
                u@z.example,suspend,login,shop,\n";
    place.write("job.csv", text);
    expect(place.fleet_run(&["-n"]), 1);
    assert_eq!(place.places(), ["web/", "shop/alfa", "/", "web/yves", "/"]);
    assert_eq!(place.ends(), ["planned", "planned", "planned", "planned", "blocked/no_server"]);
    assert_eq!((connections.load(Ordering::SeqCst), more.load(Ordering::SeqCst)), (0, 0));
    // For a run they must be there, and all that are missing are named before anything is sent.
    std::fs::remove_dir_all(place.path("run")).unwrap();
    let told = stderr(&expect(place.fleet_run(&[]), 2));
    assert!(told.contains("web") && told.contains("shop") && told.contains("--except-servers"), "{told}");
    assert_eq!((connections.load(Ordering::SeqCst), more.load(Ordering::SeqCst)), (0, 0));
    assert!(!place.path("run").exists());
}

#[test]
fn where_there_is_nobody_to_ask_no_server_is_asked_either() {
    let place = Place::new();
    let (url, connections) = counting();
    place.configure(&[whm("web", &url)]);
    place.write("job.csv", logins(&["u@a.example"]));
    let told = stderr(&expect(place.mailsweep(&["run", "job.csv", "--run-dir", "run"]), 2));
    assert!(told.contains("--yes"), "{told}");
    // Nor where there is nothing to do.
    place.write("job.csv", "email,action,channel\n");
    expect(place.fleet_run(&["--allow-empty"]), 0);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn the_channels_that_go_first_go_first_over_all_mailboxes_of_a_server() {
    let place = Place::blind();
    let one = serve(&[("alfa", &many(3, "a.example")), ("beta", &many(3, "b.example"))]);
    place.configure(&[whm("one", &one.url())]);
    let mut text = "email,action,channel\n".to_owned();
    for list in [many(3, "a.example"), many(3, "b.example")] {
        for address in list.split_whitespace() {
            text +=
                &format!("{address},suspend,all\n{address},unsuspend,outgoing\n{address},hold,outgoing\n");
        }
    }
    place.write("job.csv", text);
    expect(place.fleet_run(&["--allow-conflicts", "--jobs", "1", "--channel-order", "outgoing,login"]), 0);
    let calls = calls(&one);
    let channel = |function: &str| function.rsplit_once('_').unwrap().1.to_owned();
    let order: Vec<String> = calls.iter().map(|call| channel(&call.function)).collect();
    let expected: Vec<&str> = [["outgoing"; 18].as_slice(), &["login"; 6], &["incoming"; 6]].concat();
    assert_eq!(order, expected);
    for list in [many(3, "a.example"), many(3, "b.example")] {
        for address in list.split_whitespace() {
            let own = calls.iter().filter(|call| call.email.as_deref() == Some(address));
            let own: Vec<&str> = own.map(|call| call.function.as_str()).collect();
            let outgoing = ["suspend_outgoing", "unsuspend_outgoing", "hold_outgoing"];
            assert_eq!(own, [&outgoing[..], &["suspend_login", "suspend_incoming"]].concat());
        }
    }
    let state = one.world().mailbox("u0@a.example").unwrap().flags;
    assert!(state.login && state.incoming && !state.outgoing && state.held);
}

#[test]
fn what_is_asked_counts_for_the_servers_rate() {
    let place = Place::blind();
    let mailboxes: String = (0..21).map(|n| format!("u@d{n}.example ")).collect();
    let one = serve_with(&[("alfa", &mailboxes)], Options { refuse_domain_info: true, ..Options::default() });
    place.configure(&[whm("one", &one.url())]);
    place.write("job.csv", logins(&[&mailboxes]));
    expect(place.fleet_run(&["--rate", "20/s", "--burst", "20", "--jobs", "8"]), 0);
    let requests = one.requests();
    assert_eq!(requests.len(), 1 + 21 + 21);
    assert_rate_is_kept(&requests, 20.0, 20.0);
    let figures = place.summary("run")["servers"][0].clone();
    assert_eq!(figures["requests"], 43, "what was asked is counted");
}

#[test]
fn one_warning_names_the_server_that_was_silent() {
    let place = Place::new();
    let one = serve(&[("alfa", &many(2, "a.example"))]);
    let dead = serve(&[]);
    dead.set_dead(true).unwrap();
    place.configure(&[whm("one", &one.url()), whm("mute", &dead.url())]);
    place.write("job.csv", logins(&[&many(2, "a.example")]));
    let told = stderr(&expect(place.fleet_run(&[]), 0));
    assert_eq!(told.matches("said nothing").count(), 1, "{told}");
    assert!(told.contains("mute (connect)"), "{told}");
    assert_eq!(place.places(), ["one/alfa"; 2]);
}
