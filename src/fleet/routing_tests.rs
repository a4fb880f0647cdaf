use super::*;
use crate::engine::Limits;
use crate::fleet::CredentialSource;
use crate::uapi::{Api, Method};

/// A login: its configured name, its user, its account if it is a cPanel one, its `domains`.
struct In(&'static str, &'static str, Option<&'static str>, &'static [&'static str]);

const fn whm(name: &'static str) -> In {
    In(name, "root", None, &[])
}

const fn cpanel(name: &'static str, user: &'static str) -> In {
    In(name, user, Some(user), &[])
}

impl In {
    const fn with(self, domains: &'static [&'static str]) -> In {
        In(self.0, self.1, self.2, domains)
    }
}

fn server<const N: usize>(logins: [In; N]) -> Server {
    let login = |In(name, user, account, domains): In| Login {
        name: name.to_owned(),
        user: user.to_owned(),
        api: if account.is_some() { Api::Cpanel } else { Api::Whm },
        method: Method::Get,
        credential: CredentialSource::TokenEnv("X".to_owned()),
        account: None,
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
    };
    let logins = logins.map(login).into_iter().collect::<Vec<_>>();
    Server {
        name: logins[0].name.clone(),
        url: format!("https://{}:2087", logins[0].name),
        connect_to: None,
        ca_file: None,
        pin_sha256: None,
        limits: Limits::default(),
        logins,
    }
}

fn fleet<const N: usize>(servers: [Server; N]) -> Fleet {
    Fleet { servers: servers.into(), protect: Protect::new(["abuse@*"]).unwrap() }
}

/// A list in which a server names domains and accounts: `a.example:alfa b.example:beta`.
fn list(text: &str) -> Listed {
    let pairs = text.split_whitespace().map(|pair| pair.split_once(':').unwrap());
    Listed::Domains(pairs.map(|(domain, account)| (domain.to_owned(), account.to_owned())).collect())
}

fn silent() -> Listed {
    Listed::Silent { class: ErrorClass::Connect, error: "refused".to_owned() }
}

fn told<const N: usize>(lists: [Listed; N]) -> Heard {
    Heard { lists: lists.into(), ..Heard::default() }
}

fn halted() -> Heard {
    Heard { lists: vec![silent()], is_halted: true, ..Heard::default() }
}

fn left_out() -> Heard {
    Heard { is_left_out: true, ..Heard::default() }
}

/// A route in a few words: `web01/alfa`, `web01/alfa by 1`, `web01/?`, `open`, `blocked moved`.
fn words(fleet: &Fleet, route: &Route) -> String {
    match route {
        Route::Account { server, login, account } => {
            let by = if *login > 0 { format!(" by {login}") } else { String::new() };
            format!("{}/{account}{by}", fleet.servers[*server].name)
        }
        Route::Server { server } => format!("{}/?", fleet.servers[*server].name),
        Route::Open => "open".to_owned(),
        Route::Left(left) => format!("{} {}", left.status.word(), left.class.word()),
    }
}

fn said<'a>(server: &'a str, account: &'a str) -> Said<'a> {
    Said { server: Some(server).filter(|name| !name.is_empty()), account }
}

/// Checks where `x@DOMAIN` goes: domain, server and account of the row, what is expected.
fn check<const N: usize, const M: usize>(
    fleet: &Fleet,
    heard: [Heard; N],
    is_rehearsal: bool,
    cases: [(&str, &str, &str, &str); M],
) {
    let router = Router::new(fleet, &heard, is_rehearsal);
    for (domain, server, account, expected) in cases {
        let route = router.route(&format!("x@{domain}"), said(server, account));
        assert_eq!(words(fleet, &route), expected, "{domain} “{server}” “{account}”: {route:?}");
    }
}

fn error(route: Route) -> String {
    match route {
        Route::Left(left) => left.error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_domain_goes_where_it_was_found_and_nowhere_only_when_all_were_heard() {
    let all = fleet([
        server([whm("web01")]),
        server([whm("web02")]),
        server([cpanel("shop", "shopu").with(&["s.example"])]),
    ]);
    let lists = || [told([list("a.example:alfa both.example:alfa")]), told([list("both.example:beta")])];
    let [one, two] = lists();
    check(
        &all,
        [one, two, Heard::default()],
        false,
        [
            ("a.example", "", "", "web01/alfa"),
            ("s.example", "", "", "shop/shopu"),
            ("none.example", "", "", "blocked no_server"),
            ("both.example", "", "", "blocked ambiguous_server"),
            ("both.example", "web02", "", "web02/beta"),
            ("both.example", "WEB02", "", "web02/beta"),
            ("both.example", "", "beta", "web02/beta"),
            ("both.example", "web01", "beta", "blocked moved"),
            ("a.example", "", "beta", "blocked moved"),
            ("a.example", "web02", "", "blocked no_server"),
            ("none.example", "", "alfa", "blocked moved"),
            ("none.example", "web01", "alfa", "blocked moved"),
            ("s.example", "shop", "shopu", "shop/shopu"),
            ("s.example", "shop", "other", "blocked moved"),
        ],
    );
    // The cPanel account said nothing of its domains and was not heard: it may have anything.
    let [one, two] = lists();
    let unbound = fleet([server([whm("web01")]), server([whm("web02")]), server([cpanel("shop", "shopu")])]);
    check(
        &unbound,
        [one, two, told([silent()])],
        false,
        [("none.example", "", "", "not_attempted unrouted"), ("a.example", "", "", "web01/alfa")],
    );
}

#[test]
fn a_configured_domain_settles_which_of_two_servers_it_is() {
    let all = fleet([server([whm("web01")]), server([whm("web02").with(&["both.example", "gone.example"])])]);
    check(
        &all,
        [told([list("both.example:alfa")]), told([list("both.example:beta")])],
        false,
        [
            ("both.example", "", "", "web02/beta"),
            ("both.example", "web01", "", "web01/alfa"),
            ("gone.example", "", "", "blocked no_server"),
        ],
    );
}

#[test]
fn what_a_silent_server_may_have_waits_and_the_error_names_it() {
    let all = fleet([server([whm("web01")]), server([whm("web02")]), server([whm("web03")])]);
    let heard = [told([list("a.example:alfa")]), halted(), told([silent()])];
    let router = Router::new(&all, &heard, false);
    let route = router.route("x@none.example", Said::default());
    assert_eq!(words(&all, &route), "not_attempted unrouted");
    let why = error(route);
    assert!(
        why.contains("web02 (connect)") && why.contains("web03 (connect)") && !why.contains("web01"),
        "{why}"
    );
    // A row that names a server that was heard waits for no other; an account is not found elsewhere
    // either until all were heard.
    let heard = heard.clone();
    check(
        &all,
        heard,
        false,
        [
            ("none.example", "web01", "", "blocked no_server"),
            ("none.example", "web02", "", "web02/?"),
            ("none.example", "web02", "beta", "web02/beta"),
            ("none.example", "web03", "", "not_attempted unrouted"),
            ("none.example", "web03", "beta", "web03/beta"),
            ("a.example", "", "beta", "not_attempted unrouted"),
            ("a.example", "web01", "beta", "blocked moved"),
        ],
    );
}

#[test]
fn found_while_another_is_silent_it_goes_there_with_one_warning() {
    let all = fleet([
        server([whm("web01").with(&["sure.example"])]),
        server([whm("web02")]),
        server([whm("web03")]),
    ]);
    let heard = [told([list("sure.example:s a.example:alfa b.example:beta")]), halted(), left_out()];
    let router = Router::new(&all, &heard, false);
    assert_eq!(router.warning(), None);
    for (address, server) in [("x@sure.example", ""), ("x@a.example", "web01"), ("x@none.example", "")] {
        router.route(address, said(server, ""));
    }
    assert_eq!(router.warning(), None, "these are sure, or not found");
    for address in ["x@a.example", "y@a.example", "x@b.example"] {
        assert!(matches!(router.route(address, Said::default()), Route::Account { server: 0, .. }));
    }
    let warning = router.warning().unwrap();
    assert!(warning.contains("a.example and 1 more") && warning.contains("web02 (connect)"), "{warning}");
    assert!(!warning.contains("web03") && !warning.contains("web01"), "{warning}");
    // Nobody is silent: nothing to warn of.
    let heard = [told([list("a.example:alfa")]), told([list("b.example:beta")]), told([list("c.example:c")])];
    let router = Router::new(&all, &heard, false);
    router.route("x@a.example", Said::default());
    assert_eq!(router.warning(), None);
}

#[test]
fn a_halted_server_gets_what_the_configuration_gives_it() {
    let all = fleet([
        server([whm("web01").with(&["a.example"])]),
        server([whm("web02")]),
        server([cpanel("shop", "shopu").with(&["s.example"])]),
    ]);
    check(
        &all,
        [halted(), told([list("b.example:beta")]), halted()],
        false,
        [
            ("a.example", "", "", "web01/?"),
            ("a.example", "", "alfa", "web01/alfa"),
            ("s.example", "", "", "shop/shopu"),
            ("b.example", "", "", "web02/beta"),
            ("none.example", "", "", "not_attempted unrouted"),
        ],
    );
    // Silent, but not halted: it may yet say no, so nothing is sent blindly.
    check(
        &all,
        [told([silent()]), told([list("")]), Heard::default()],
        false,
        [("a.example", "", "", "not_attempted unrouted")],
    );
}

#[test]
fn an_account_that_two_logins_see_is_one_account() {
    let all = fleet([server([whm("web01"), In("web01", "shop", None, &[])])]);
    let lists = [list("a.example:alfa b.example:beta"), list("b.example:beta")];
    check(&all, [told(lists)], false, [("b.example", "", "", "web01/beta")]);
    // What only the second one sees goes by it.
    let lists = [list("a.example:alfa"), list("b.example:beta")];
    check(&all, [told(lists)], false, [("b.example", "", "", "web01/beta by 1")]);
    // Two accounts of a host each have their own; one of them with its domains configured.
    let all = fleet([server([cpanel("one", "alfa"), cpanel("two", "beta").with(&["b.example"])])]);
    check(
        &all,
        [told([list("a.example:ignored"), Listed::NotAsked])],
        false,
        [
            ("a.example", "", "", "one/alfa"),
            ("b.example", "", "", "one/beta by 1"),
            ("b.example", "two", "", "one/beta by 1"),
            ("a.example", "two", "", "blocked no_server"),
            ("none.example", "", "", "blocked no_server"),
        ],
    );
}

#[test]
fn protected_mailboxes_go_nowhere_whoever_has_them() {
    let all = fleet([server([whm("web01")])]);
    let heard = [told([list("a.example:alfa")])];
    let router = Router::new(&all, &heard, false);
    for route in [
        router.route("abuse@a.example", Said::default()),
        router.route("abuse@none.example", said("web01", "alfa")),
        router.again("abuse@a.example", "web01", "alfa"),
        Router::new(&Fleet { servers: Vec::new(), ..all.clone() }, &[], true)
            .route("abuse@a.example", Said::default()),
    ] {
        assert_eq!(words(&all, &route), "blocked protected");
        assert!(error(route).contains("abuse@*"));
    }
    assert_eq!(words(&all, &router.route("x@a.example", Said::default())), "web01/alfa");
}

#[test]
fn what_is_at_a_server_that_was_left_out_is_excluded() {
    let all = fleet([
        server([whm("web01")]),
        server([whm("web02").with(&["b.example"])]),
        server([cpanel("shop", "shopu").with(&["s.example"])]),
    ]);
    let cases = [
        ("a.example", "", "", "web01/alfa"),
        ("b.example", "", "", "not_attempted excluded"),
        ("s.example", "", "", "not_attempted excluded"),
        ("none.example", "", "", "not_attempted excluded"),
        ("none.example", "web02", "", "not_attempted excluded"),
        ("none.example", "web01", "", "blocked no_server"),
    ];
    check(&all, [told([list("a.example:alfa")]), left_out(), left_out()], false, cases);
    // One whose domains are known all the same cannot be where an unknown domain is.
    let heard = [told([list("a.example:alfa")]), told([list("b.example:beta")]), left_out()];
    check(
        &all,
        heard.clone(),
        false,
        [("s.example", "", "", "not_attempted excluded"), ("none.example", "", "", "blocked no_server")],
    );
    // One that is in it and silent may have it too.
    let heard = [told([silent()]), left_out(), left_out()];
    let router = Router::new(&all, &heard, false);
    let why = error(router.route("x@none.example", Said::default()));
    assert!(why.contains("web01 (connect)") && !why.contains("web02"), "{why}");
    assert_eq!(words(&all, &router.again("x@b.example", "web02", "beta")), "not_attempted excluded");
}

#[test]
fn what_was_settled_is_kept_unless_the_account_no_longer_has_it() {
    let all = fleet([
        server([whm("web01"), In("reseller", "shop", None, &[])]),
        server([whm("web02")]),
        server([cpanel("shop", "shopu").with(&["other.example"])]),
        server([cpanel("one", "oneu")]),
    ]);
    let heard = [
        told([list("a.example:alfa moved.example:beta"), list("r.example:rho")]),
        halted(),
        Heard::default(),
        told([list("o.example:oneu")]),
    ];
    let router = Router::new(&all, &heard, false);
    for (domain, server, account, expected) in [
        ("a.example", "web01", "alfa", "web01/alfa"),
        ("r.example", "web01", "rho", "web01/rho by 1"),
        ("r.example", "reseller", "rho", "web01/rho by 1"),
        ("moved.example", "web01", "alfa", "blocked moved"),
        ("lost.example", "web01", "alfa", "blocked moved"),
        // Whoever cannot say so is asked to do it, and says no himself.
        ("a.example", "web02", "beta", "web02/beta"),
        ("a.example", "shop", "shopu", "shop/shopu"),
        ("a.example", "shop", "former", "blocked moved"),
        ("o.example", "one", "oneu", "one/oneu"),
        ("a.example", "one", "oneu", "blocked moved"),
        ("a.example", "web09", "alfa", "blocked moved"),
    ] {
        let route = router.again(&format!("x@{domain}"), server, account);
        assert_eq!(words(&all, &route), expected, "{domain} {server} {account}");
    }
    let why = error(router.again("x@moved.example", "web01", "alfa"));
    assert!(why.contains("account alfa of web01") && why.contains("it is in account beta of web01"), "{why}");
    assert!(error(router.again("x@a.example", "web09", "alfa")).contains("web09"));
}

#[test]
fn a_rehearsal_tells_what_the_configuration_tells_and_leaves_the_rest_open() {
    let all = fleet([
        server([whm("web01").with(&["a.example"])]),
        server([cpanel("shop", "shopu").with(&["s.example"])]),
        server([whm("web03").with(&["c.example"])]),
    ]);
    let heard = [Heard::default(), Heard::default(), left_out()];
    let cases = [
        ("a.example", "", "", "web01/?"),
        ("a.example", "", "alfa", "web01/alfa"),
        ("s.example", "", "", "shop/shopu"),
        ("c.example", "", "", "not_attempted excluded"),
        ("none.example", "", "", "open"),
        ("none.example", "web01", "", "web01/?"),
        ("none.example", "web01", "alfa", "web01/alfa"),
        ("none.example", "shop", "", "blocked no_server"),
        ("s.example", "shop", "other", "blocked moved"),
    ];
    check(&all, heard, true, cases);
    check(&fleet([]), [], true, [("a.example", "", "", "open")]);
    // Where all that there is is known, nothing is open.
    let bound = fleet([
        server([cpanel("shop", "shopu").with(&["s.example"])]),
        server([cpanel("mail", "mailu").with(&["m.example"])]),
    ]);
    check(
        &bound,
        [Heard::default(), Heard::default()],
        true,
        [("none.example", "", "", "blocked no_server")],
    );
}

#[test]
fn the_only_account_gets_everything() {
    let all = fleet([server([cpanel("shop", "shopu")])]);
    for (heard, is_rehearsal) in [
        (Heard::default(), false),
        (Heard { is_halted: true, ..Heard::default() }, false),
        (Heard::default(), true),
    ] {
        check(
            &all,
            [heard],
            is_rehearsal,
            [
                ("a.example", "", "", "shop/shopu"),
                ("a.example", "shop", "shopu", "shop/shopu"),
                ("a.example", "", "other", "blocked moved"),
            ],
        );
    }
    // Once it says which domains it has, only these.
    let told_of = fleet([server([cpanel("shop", "shopu").with(&["s.example"])])]);
    check(
        &told_of,
        [Heard::default()],
        false,
        [("s.example", "", "", "shop/shopu"), ("a.example", "", "", "blocked no_server")],
    );
    // A WHM user is not an account.
    check(&fleet([server([whm("web01")])]), [Heard::default()], true, [("a.example", "", "", "open")]);
}
