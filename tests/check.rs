//! `mailsweep check` from outside: what it asks, what it says of each server, and the exit code.

mod support;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mailsweep::sandbox::{Authority, Options, Sandbox, Sides, Tls, World};
use support::{Place, TOKEN, USER, expect, job, stderr, stdout};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Two accounts with three domains, and root at WHM.
fn world() -> World {
    let mut world = World::for_mailboxes(USER, TOKEN, ["a@example.com", "a@example.org"]);
    world.add_account("otheru", TOKEN, "Pa55word-NEVER-SHOWN").unwrap();
    world.add_mailbox("otheru", "a@example.net").unwrap();
    world.add_whm_user("root", TOKEN, "").unwrap();
    world
}

fn server(options: Options) -> Sandbox {
    Sandbox::start(Options { world: world(), ..options }).unwrap()
}

fn secure(tls: Tls) -> Sandbox {
    server(Options { tls: Some(tls), sides: Sides::Whm, ..Options::default() })
}

/// An entry of a configuration, with more keys behind the usual ones.
fn entry(name: &str, server: &Sandbox, user: &str, more: &str) -> String {
    let api = if user == "root" { "whm" } else { "cpanel" };
    let token =
        if more.contains("_file = \"p") || more.contains("token_") { "" } else { "token_file = \"token\"\n" };
    let url = server.url();
    format!(
        "[[server]]\nname = \"{name}\"\nurl = \"{url}\"\nuser = \"{user}\"\napi = \"{api}\"\n{token}{more}\n\n"
    )
}

/// An entry of a server with TLS, which trusts its authority.
fn trusting(place: &Place, name: &str, server: &Sandbox, more: &str) -> String {
    place.write(&format!("{name}.pem"), server.ca_pem().unwrap());
    entry(name, server, "root", &format!("ca_file = \"{name}.pem\"\n{more}"))
}

/// Checks the servers of this configuration; the token must not come to light.
fn checked(place: &Place, config: &str, args: &[&str], expected: i32) -> Output {
    place.write("mailsweep.toml", config);
    let output = expect(place.mailsweep(&[&["check"], args].concat()), expected);
    let said = stdout(&output) + &stderr(&output) + &String::from_utf8_lossy(&place.all_bytes());
    assert!(!said.contains("NEVER-SHOWN"), "{said}");
    output
}

/// What was said of the server or login of this name.
fn line(output: &Output, name: &str) -> String {
    let told = stderr(output);
    let mut lines = told.lines().filter(|line| line.split_whitespace().next() == Some(name));
    let line = lines.next().unwrap_or_else(|| panic!("no {name} in {told}")).to_owned();
    assert_eq!(lines.next(), None, "{told}");
    line
}

fn has(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no “{part}” in: {line}");
    }
}

fn functions(server: &Sandbox) -> Vec<String> {
    server.requests().into_iter().map(|request| format!("{} {}", request.method, request.function)).collect()
}

fn ends_in(server: &Sandbox, user: &str, time: Duration) {
    let end = (SystemTime::now() + time).duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(server.change(|world| world.set_token_expiry(user, Some(end))).unwrap());
}

#[test]
fn a_line_for_each_server_says_all_that_is_known_and_code_0_that_all_is_well() {
    let place = Place::new();
    let (whm, cpanel) = (secure(Tls::default()), server(Options::default()));
    let config = trusting(&place, "web01", &whm, "") + &entry("web02", &cpanel, USER, "");
    let output = checked(&place, &config, &[], 0);
    let certificate = "certificate by mailsweep sandbox authority, 89 days left";
    let web01 = line(&output, "web01");
    has(&web01, &[" ok ", &whm.url(), "(whm)", certificate, "token of root accepted, its end is unknown"]);
    has(&web01, &["2 accounts, 3 domains", " ms"]);
    let web02 = line(&output, "web02");
    has(&web02, &[" ok ", "(cpanel): no TLS", "token of exampleu accepted, it has no end; 2 domains; "]);
    has(&stderr(&output), &["2 servers: all is well"]);
    assert_eq!(stdout(&output), "");
    assert_eq!(functions(&whm), ["GET get_domain_info"]);
    assert_eq!(functions(&cpanel), ["GET list_mail_domains", "GET list"]);
}

#[test]
fn one_server_may_be_named_on_the_command_line() {
    let place = Place::new();
    let server = server(Options::default());
    let url = server.url();
    let args = ["check", "--server", &url, "--user", USER, "--token-file", "token"];
    has(
        &stderr(&expect(place.mailsweep(&args), 0)),
        &["token of exampleu accepted", "1 server: all is well"],
    );
    assert!(stderr(&expect(place.mailsweep(&["check"]), 2)).contains("--server https://HOST:2083"));
}

#[test]
fn a_certificate_that_ends_soon_is_code_1_unless_the_warning_is_shorter() {
    let place = Place::new();
    let tls = || Tls::ending_in(5 * DAY + HOUR);
    let (soon, pinned) = (secure(tls()), secure(tls()));
    let pin = format!("pin_sha256 = \"{}\"", pinned.pin_sha256().unwrap());
    let config = trusting(&place, "soon", &soon, "") + &entry("pinned", &pinned, "root", &pin);
    let output = checked(&place, &config, &[], 1);
    has(&line(&output, "soon"), &[" SOON ", "ends in 5 days, on 20", "To do: renew the certificate there"]);
    has(&line(&output, "pinned"), &[" ok ", "pinned key", "does not count"]);
    has(&stderr(&output), &["2 servers: 1 to look after"]);
    checked(&place, &config, &["--warn-days", "6"], 1);
    let output = checked(&place, &config, &["--warn-days", "5"], 0);
    has(&line(&output, "soon"), &[" ok ", "5 days left"]);
}

#[test]
fn a_certificate_that_is_not_sound_gets_no_request_and_is_told_with_what_to_do() {
    let place = Place::new();
    let (expired, misnamed) = (secure(Tls::expired()), secure(Tls::for_name("web01.example.net")));
    let (stranger, sound) = (secure(Tls::default()), secure(Tls::default()));
    place.write("other.pem", Authority::new().unwrap().pem());
    let unsound = trusting(&place, "expired", &expired, "")
        + &trusting(&place, "misnamed", &misnamed, "")
        + &entry("stranger", &stranger, "root", "ca_file = \"other.pem\"");
    let output = checked(&place, &unsound, &[], 4);
    has(&line(&output, "expired"), &[" TLS ", "expired on 20", "renew it there", "pin_sha256"]);
    has(&line(&output, "misnamed"), &[" TLS ", "is for web01.example.net, not for 127.0.0.1"]);
    has(&line(&output, "stranger"), &[" TLS ", "ca_file", "pin_sha256"]);
    assert!(!line(&output, "expired").contains("certificate by"), "nothing is known of it but the fault");
    for server in [&expired, &misnamed, &stranger] {
        assert_eq!(server.requests_seen(), 0);
    }
    checked(&place, &(unsound + &trusting(&place, "sound", &sound, "")), &[], 1);
}

#[test]
fn a_refused_token_is_sent_once_and_nothing_after_it() {
    let place = Place::new();
    let (refusing, sound) = (server(Options::default()), server(Options::default()));
    refusing.change(|world| world.set_token(USER, "another")).unwrap();
    let config = entry("first", &refusing, USER, "")
        + &entry("second", &refusing, "otheru", "")
        + &entry("sound", &sound, "root", "");
    let output = checked(&place, &config, &[], 1);
    assert_eq!(functions(&refusing), ["GET list_mail_domains"]);
    let told = stderr(&output);
    let lines: Vec<&str> = told.lines().filter(|line| line.trim_start().starts_with("first")).collect();
    has(lines[0], &[" REFUSED ", "(2 logins)"]);
    has(
        lines[1],
        &[" REFUSED ", "exampleu (cpanel)", "HTTP 401", "put a new token of exampleu into /", "/token"],
    );
    has(&line(&output, "second"), &["not asked"]);
    has(&line(&output, "sound"), &[" ok "]);
}

#[test]
fn every_login_of_a_server_has_its_line() {
    let place = Place::new();
    let server = server(Options::default());
    ends_in(&server, "otheru", 3 * DAY + HOUR);
    let config = entry("one", &server, USER, "") + &entry("two", &server, "otheru", "");
    let output = checked(&place, &config, &["-v"], 1);
    has(
        &line(&output, "two"),
        &[" SOON ", "ends in 3 days, on 20", "To do: put a new token of otheru into /"],
    );
    let told = stderr(&output);
    has(
        &told,
        &["\none    SOON     http", "(2 logins): no TLS; ", "\n  one  ok       exampleu (cpanel): token"],
    );
    has(&told, &["4 requests", "token “mailsweep” until 20", "token “mailsweep” without end"]);
    checked(&place, &config, &["--warn-days", "3"], 0);
}

#[test]
fn with_a_password_nobody_is_asked_for_tokens() {
    let place = Place::new();
    let server = server(Options::default());
    ends_in(&server, "otheru", DAY);
    place.write("password", "Pa55word-NEVER-SHOWN");
    let config = entry("web01", &server, "otheru", "password_file = \"password\"");
    place.write("mailsweep.toml", config);
    let output = expect(place.mailsweep(&["check"]), 0);
    has(&line(&output, "web01"), &["password of otheru accepted; 1 domain; "]);
    assert_eq!(functions(&server), ["GET list_mail_domains"]);
}

#[test]
fn a_server_that_is_down_keeps_no_other_from_being_told() {
    let place = Place::new();
    let (down, sound) = (server(Options::default()), server(Options::default()));
    down.set_dead(true).unwrap();
    let dead = entry("down", &down, USER, "retries = 1");
    let output = checked(&place, &dead, &[], 4);
    has(&line(&output, "down"), &[" DOWN ", "no good answer in 2 tries", "To do: see whether it is up"]);
    let output = checked(&place, &(dead + &entry("sound", &sound, USER, "")), &[], 1);
    has(&line(&output, "sound"), &[" ok "]);
    has(&stderr(&output), &["2 servers: 1 not sound"]);
}

#[test]
fn a_credential_that_is_not_there_is_a_line_and_no_end() {
    let place = Place::new();
    let server = server(Options::default());
    let config = entry("lost", &server, "root", "token_file = \"none\"") + &entry("web01", &server, USER, "");
    let output = checked(&place, &config, &[], 4);
    let told = stderr(&output);
    let lines: Vec<&str> = told.lines().filter(|line| line.trim_start().starts_with("lost")).collect();
    has(lines[1], &[" SETUP ", "none cannot be read"]);
    has(&line(&output, "web01"), &[" ok "]);
    assert_eq!(functions(&server), ["GET list_mail_domains", "GET list"]);
}

#[test]
fn a_login_that_may_not_list_its_domains_is_worth_a_look() {
    let place = Place::new();
    let server = server(Options { refuse_domain_info: true, ..Options::default() });
    let output = checked(&place, &entry("web01", &server, "root", ""), &[], 1);
    has(
        &line(&output, "web01"),
        &[" LOOK ", "token of root accepted", "does not list its domains", "To do: give root"],
    );
    assert_eq!(functions(&server), ["GET get_domain_info"]);
}

#[test]
fn a_credential_refused_in_two_sessions_is_not_sent_again_without_try_again() {
    let place = Place::new();
    let server = server(Options::default());
    server.change(|world| world.set_token(USER, "another")).unwrap();
    place.write("job.csv", job(1));
    // A run and a check remember alike.
    expect(place.run_against(&server.url(), &[]), 4);
    let config = entry("web01", &server, USER, "") + &entry("other", &server, "otheru", "");
    checked(&place, &config, &[], 4);
    assert_eq!(server.requests_seen(), 2);
    let output = checked(&place, &config, &[], 4);
    assert_eq!(server.requests_seen(), 2, "it was sent again");
    has(
        &stderr(&output),
        &["web01  BARRED ", "refused this credential of exampleu 2 times lately", "--try-again"],
    );
    has(&line(&output, "other"), &["not asked"]);
    checked(&place, &config, &["--try-again"], 4);
    assert_eq!(server.requests_seen(), 3);
    server.set_token(USER, TOKEN).unwrap();
    checked(&place, &config, &["--try-again"], 0);
}

#[test]
fn the_servers_can_be_chosen() {
    let place = Place::new();
    let (one, two) = (server(Options::default()), server(Options::default()));
    // What is left out needs no credential.
    let config = entry("one", &one, USER, "") + &entry("two", &two, USER, "token_file = \"none\"");
    checked(&place, &config, &["--servers", "one"], 0);
    let output = checked(&place, &config, &["--except-servers", "two"], 0);
    assert!(!stderr(&output).contains("two"), "{}", stderr(&output));
    assert_eq!((one.requests_seen(), two.requests_seen()), (4, 0));
    checked(&place, &config, &["--servers", "three"], 2);
}

#[test]
fn json_has_every_fact() {
    let place = Place::new();
    let (whm, cpanel) = (secure(Tls::ending_in(5 * DAY + HOUR)), server(Options::default()));
    ends_in(&cpanel, USER, 40 * DAY + HOUR);
    let config = trusting(&place, "web01", &whm, "") + &entry("web02", &cpanel, USER, "");
    let output = checked(&place, &config, &["--json", "-q"], 1);
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&told["exit_code"], &told["warn_days"]), (&1.into(), &14.into()));
    let (web01, web02) = (&told["servers"][0], &told["servers"][1]);
    assert_eq!(
        (&web01["name"], &web01["url"], &web01["health"]),
        (&"web01".into(), &whm.url().into(), &"ends_soon".into())
    );
    assert_eq!(web01["tls"]["trust"], "certificate");
    assert_eq!(web01["tls"]["issuer"], "mailsweep sandbox authority");
    assert_eq!((&web01["tls"]["end"]["days_left"], &web01["tls"]["ends_soon"]), (&5.into(), &true.into()));
    assert!(web01["round_trip_ms"].is_u64() && web01["tls"]["end"]["at"].is_string());
    let login = &web01["logins"][0];
    assert_eq!(
        (&login["user"], &login["api"], &login["accepted"]),
        (&"root".into(), &"whm".into(), &true.into())
    );
    assert_eq!((&login["accounts"], &login["domains"]), (&2.into(), &3.into()));
    assert_eq!(login["token_end"]["known"], "unknown");
    assert_eq!((&web02["tls"]["trust"], &web02["tls"]["end"]), (&"none".into(), &serde_json::Value::Null));
    let end = &web02["logins"][0]["token_end"];
    assert_eq!((&end["known"], &end["days_left"], &end["among"]), (&"at".into(), &40.into(), &1.into()));
    assert_eq!(web02["logins"][0]["tokens"][0]["name"], "mailsweep");
}

#[test]
fn quiet_is_silent_if_all_is_well_and_brief_if_not() {
    let place = Place::new();
    let sound = server(Options::default());
    let config = entry("sound", &sound, USER, "");
    let output = checked(&place, &config, &["-q"], 0);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = config;
    for n in 0..20 {
        let token = "token_file = \"token\"\nretries = 0";
        // Each an address of its own, on which nobody listens.
        let url = format!("http://127.0.1.{n}:{}", dead.port());
        writeln!(config, "[[server]]\nname = \"dead{n}\"\nurl = \"{url}\"\nuser = \"u\"\n{token}\n").unwrap();
    }
    let output = checked(&place, &config, &["-q"], 1);
    let told = stderr(&output);
    assert_eq!(told.lines().count(), 15, "{told}");
    has(&told, &["mailsweep check: 21 servers: 20 not sound", "dead0  DOWN ", "and 7 more without -q"]);
    assert!(!told.contains("\nsound"), "{told}");
}
