use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::engine::{MaxErrors, Rate};
use crate::fleet::{Api, CredentialSource};

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/ms/mailsweep.toml"), Some(Path::new("/home/anna")), false)
}

/// A sound entry with more lines in it.
pub(super) fn server(name: &str, url: &str, more: &str) -> String {
    format!("[[server]]\nname = \"{name}\"\nurl = \"{url}\"\nuser = \"root\"\ntoken_env = \"X\"\n{more}\n")
}

fn fleet(text: &str) -> Fleet {
    parse(text).unwrap_or_else(|fault| panic!("{fault}\n{text}")).fleet(&SomeLimits::default())
}

#[test]
fn the_sample_of_a_fleet_is_a_fleet() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/fleet/mailsweep.toml"));
    let fleet = Config::read(path, None, false).unwrap().fleet(&SomeLimits::default());
    let names: Vec<&str> = fleet.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["web01", "web02", "web03", "shop"]);
    assert_eq!(fleet.protect.matches("postmaster@shop.example.org"), Some("postmaster@*"));
}

#[test]
fn the_sample_is_true() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/mailsweep.toml")).unwrap();
    let config = parse(&text).unwrap();
    let fleet = config.fleet(&SomeLimits::default());
    let names: Vec<&str> = fleet.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["web01", "web02", "shop"]);
    let apis: Vec<Api> = fleet.servers.iter().map(|server| server.logins[0].api).collect();
    assert_eq!(apis, [Api::Whm, Api::Whm, Api::Cpanel]);
    assert_eq!(fleet.servers[1].limits.rate, "120/m".parse().unwrap());
    assert_eq!(fleet.servers[1].limits.jobs.get(), 2);
    assert_eq!(fleet.servers[1].logins[0].domains, ["example.com", "example.org"]);
    assert_eq!(fleet.servers[1].logins[0].method, Method::Post);
    assert_eq!(fleet.protect.matches("abuse@example.com"), Some("abuse@*"));
    // What it has as defaults are the program's; what is commented out is understood.
    assert_eq!(config.limits(&SomeLimits::default()), Limits::default());
    // Every key there is stands in it, if only as a comment.
    for key in section::TOP.iter().chain(&section::LIMITS).filter(|key| !["defaults", "server"].contains(key))
    {
        let is_there = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
        assert!(text.lines().any(is_there), "{key} is not in the sample");
    }
    let is_key = |rest: &str| rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let all: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
        .filter(|line| !line.starts_with("account"))
        .collect();
    let pin = format!("\"{}\"", "ab".repeat(32));
    let config = parse(&all.join("\n").replace("\"…\"", &pin)).unwrap();
    assert!(config.require_ticket && config.allow_plaintext && config.runs_dir.is_some());
    assert_eq!((config.operator.as_deref(), config.ticket.as_deref()), (Some("anna"), Some("4711")));
    assert!(
        config.metrics_file.is_some()
            && config.notify_command.as_deref().is_some_and(|c| c.starts_with("curl"))
    );
    assert_eq!(config.method, Some(Method::Get));
    assert_eq!((config.max_changes, config.require_state), ("5%".parse().ok(), true));
    assert_eq!(config.state_max_age, Some(crate::engine::Checks::default().max_age));
    assert_eq!(
        config.limits(&SomeLimits::default()),
        Limits { burst: NonZeroU32::new(2), ..Limits::default() }
    );
    let web02 = &config.fleet(&SomeLimits::default()).servers[1];
    assert_eq!(web02.connect_to.as_deref(), Some("192.0.2.10:2087"));
    assert_eq!(web02.ca_file.as_deref(), Some(Path::new("/etc/mailsweep/web02-ca.pem")));
    assert!(web02.pin_sha256.is_some());
}

#[test]
fn a_file_without_servers_is_fine() {
    for text in ["", "\u{feff}", "# nothing\r\n", "protect = [\"a@*\"]\r\n[defaults]\r\nrate = \"5/s\""] {
        assert!(fleet(text).servers.is_empty(), "{text}");
    }
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn flags_go_over_a_server_over_the_defaults_over_the_programs_own() {
    let text = "[defaults]\nrate = \"1/s\"\njobs = 11\nretries = 0\n".to_owned()
        + &server("a", "https://a", "jobs = 12\nretries = 2\nmax_errors = 7\ntimeout = \"2m\"")
        + &server(
            "b",
            "https://b",
            "max_errors = \"7%\"\nburst = 5\nmax_outage = \"9s\"\nconnect_timeout = \"3s\"",
        );
    let flags = SomeLimits { retries: Some(3), ..SomeLimits::default() };
    let fleet = parse(&text).unwrap().fleet(&flags);
    let jobs = |jobs| NonZeroU32::new(jobs).unwrap();
    let base = Limits { rate: Rate::per_second(1), retries: 3, ..Limits::default() };
    let a = Limits {
        jobs: jobs(12),
        max_errors: MaxErrors::Count(7),
        timeout: Duration::from_secs(120),
        ..base.clone()
    };
    assert_eq!(fleet.servers[0].limits, a);
    let b = Limits {
        jobs: jobs(11),
        max_errors: MaxErrors::Percent(7),
        burst: NonZeroU32::new(5),
        max_outage: Duration::from_secs(9),
        connect_timeout: Duration::from_secs(3),
        ..base.clone()
    };
    assert_eq!(fleet.servers[1].limits, b);
    assert_eq!(parse(&text).unwrap().limits(&flags), Limits { jobs: jobs(11), ..base });
}

#[test]
fn the_guards_of_a_run_stand_at_the_top_as_numbers_or_shares() {
    let config = parse("max_changes = 20\nrequire_state = true\nstate_max_age = \"90s\"").unwrap();
    assert_eq!(config.max_changes, Some(crate::engine::MaxChanges::Count(20)));
    assert_eq!((config.require_state, config.state_max_age), (true, Some(Duration::from_secs(90))));
    assert_eq!(parse("max_changes = \"5%\"").unwrap().max_changes, "5%".parse().ok());
    for (wrong, says) in [
        ("max_changes = \"many\"", "a number, such as 20, or a share"),
        ("max_changes = -1", "a whole number from 0"),
        ("require_state = 1", "true or false"),
        ("state_max_age = 10", "a length of time"),
        ("[defaults]\nmax_changes = 20", "it belongs at the top of the file"),
        ("state_max_aeg = \"1m\"", "did you mean “state_max_age”?"),
    ] {
        let fault = parse(wrong).unwrap_err().to_string();
        assert!(fault.contains(says), "{wrong}: {fault}");
    }
}

#[test]
fn the_method_of_the_defaults_is_for_servers_that_name_none() {
    let text = "[defaults]\nmethod = \"post\"\n".to_owned()
        + &server("a", "https://a", "")
        + &server("b", "https://b", "method = \"get\"");
    let methods: Vec<Method> = fleet(&text).servers.iter().map(|server| server.logins[0].method).collect();
    assert_eq!(methods, [Method::Post, Method::Get]);
    assert_eq!(fleet(&server("a", "https://a", "")).servers[0].logins[0].method, Method::Get);
}

#[test]
fn paths_are_the_files_own_and_home_is_home() {
    let entry = |file: &str| server("a", "https://a", "").replace("token_env = \"X\"", file);
    for (written, path) in [
        ("a.token", "/etc/ms/a.token"),
        ("/run/a.token", "/run/a.token"),
        ("~/a.token", "/home/anna/a.token"),
        ("~//a.token", "/home/anna/a.token"),
    ] {
        let read = |key: &str| {
            fleet(&entry(&format!("{key} = \"{written}\""))).servers[0].logins[0].credential.clone()
        };
        assert_eq!(read("token_file"), CredentialSource::TokenFile(path.into()));
        assert_eq!(read("password_file"), CredentialSource::PasswordFile(path.into()));
        let text = format!("runs_dir = \"{written}\"\n")
            + &server("a", "https://a", &format!("ca_file = \"{written}\""));
        assert_eq!(parse(&text).unwrap().runs_dir.as_deref(), Some(Path::new(path)));
        assert_eq!(fleet(&text).servers[0].ca_file.as_deref(), Some(Path::new(path)));
    }
    let homeless =
        Config::parse("runs_dir = \"~/x\"", Path::new("m.toml"), None, false).unwrap_err().to_string();
    assert!(homeless.contains("HOME is not set"), "{homeless}");
    let relative = Config::parse("runs_dir = \"x\"", Path::new("m.toml"), None, false).unwrap();
    assert_eq!(relative.runs_dir, Some(std::env::current_dir().unwrap().join("x")));
}

#[test]
fn each_place_of_a_credential_is_understood() {
    for (line, source) in [
        ("token_command = \"pass show x\"", CredentialSource::TokenCommand("pass show x".into())),
        ("token_env = \"WEB_1\"", CredentialSource::TokenEnv("WEB_1".into())),
        ("password_env = \"WEB_1\"", CredentialSource::PasswordEnv("WEB_1".into())),
    ] {
        let text = server("a", "https://a", "").replace("token_env = \"X\"", line);
        assert_eq!(fleet(&text).servers[0].logins[0].credential, source);
    }
}

#[test]
fn entries_with_one_host_and_port_are_one_server() {
    let text =
        server("web", "https://Web.example.net", "rate = \"5/s\"\ndomains = [\"A.example\", \"a.example\"]")
            + &server("other", "https://web.example.net:2083", "")
            + &server(
                "second",
                "https://web.example.net:443",
                "user2 = 1\nrate = \"5/s\"\nca_file = \"ca.pem\"",
            )
            .replace("user2 = 1\n", "account = \"shop\"\njobs = 9\n")
            + &server("web", "https://WEB.EXAMPLE.NET.:443/", "").replace("root", "reseller");
    let fleet = fleet(&text);
    let places: Vec<String> = fleet.servers.iter().map(Server::host_port).collect();
    assert_eq!(places, ["web.example.net:443", "web.example.net:2083"]);
    let web = &fleet.servers[0];
    let logins: Vec<_> =
        web.logins.iter().map(|l| (l.name.as_str(), l.user.as_str(), l.account_name())).collect();
    assert_eq!(
        logins,
        [
            ("web", "root", Some("root")),
            ("second", "root", Some("shop")),
            ("web", "reseller", Some("reseller"))
        ]
    );
    assert_eq!((web.name.as_str(), web.url.as_str()), ("web", "https://web.example.net"));
    // What any of them says holds for the server.
    assert_eq!((web.limits.rate, web.limits.jobs.get()), (Rate::per_second(5), 9));
    assert_eq!(web.ca_file.as_deref(), Some(Path::new("/etc/ms/ca.pem")));
    assert_eq!(web.logins[0].domains, ["a.example"]);
    assert_eq!(fleet.servers[1].limits, Limits::default());
}

#[test]
fn the_nearest_file_is_found_and_one_that_is_named_is_not_looked_for() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    for dir in ["cwd", "xdg/mailsweep", ".config/mailsweep"] {
        std::fs::create_dir_all(path(dir)).unwrap();
    }
    let find = |explicit: Option<&str>, xdg: Option<&str>| {
        let explicit = explicit.map(Path::new);
        let xdg = xdg.map(|xdg| if xdg.is_empty() { PathBuf::new() } else { path(xdg) });
        Config::find(explicit, &path("cwd"), xdg.as_deref(), Some(home.path()))
    };
    assert_eq!(find(None, Some("xdg")), None);
    assert_eq!(find(Some("none.toml"), None), Some("none.toml".into()));
    std::fs::write(path(".config/mailsweep/mailsweep.toml"), "").unwrap();
    assert_eq!(find(None, Some("xdg")), None);
    assert_eq!(find(None, None), Some(path(".config/mailsweep/mailsweep.toml")));
    assert_eq!(find(None, Some("")), Some(path(".config/mailsweep/mailsweep.toml")));
    std::fs::write(path("xdg/mailsweep/mailsweep.toml"), "").unwrap();
    assert_eq!(find(None, Some("xdg")), Some(path("xdg/mailsweep/mailsweep.toml")));
    // What cannot be read must not be passed over.
    std::os::unix::fs::symlink("nowhere", path("cwd/mailsweep.toml")).unwrap();
    assert_eq!(find(None, Some("xdg")), Some(path("cwd/mailsweep.toml")));
    let fault = Config::read(&path("cwd/mailsweep.toml"), None, false).unwrap_err().to_string();
    assert!(fault.contains("mailsweep.toml: cannot be read"), "{fault}");
}

#[test]
fn a_file_is_read_with_its_own_directory_and_the_flag_for_plain_http() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.toml");
    std::fs::write(&path, server("a", "http://a", "ca_file = \"ca.pem\"")).unwrap();
    assert!(Config::read(&path, None, false).unwrap_err().to_string().contains("allow_plaintext"));
    let config = Config::read(&path, None, true).unwrap();
    assert_eq!(config.fleet(&SomeLimits::default()).servers[0].ca_file, Some(dir.path().join("ca.pem")));
    std::fs::write(&path, b"ticket = \"x\"\noperator = \"\xff\"").unwrap();
    let fault = Config::read(&path, None, true).unwrap_err();
    assert!(fault.lines() == [2] && fault.to_string().contains("UTF-8"), "{fault}");
    std::fs::write(&path, "\n".repeat(8 << 20) + "#").unwrap();
    assert!(Config::read(&path, None, true).unwrap_err().to_string().contains("8 MiB"));
}
