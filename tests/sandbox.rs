//! `mailsweep sandbox --servers`: what it writes is enough to reach each of its servers.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::{Place, code, expect, stderr};

/// Starts it and waits until it serves; with it comes what it said so far.
fn serve(place: &Place, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let mut command = place.mailsweep(&[&["sandbox"], args].concat());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("Ctrl-C") {
        assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
    }
    (child, lines, said)
}

/// Ends it as Ctrl-C does and returns what it said at the end.
fn end(mut child: Child, mut lines: BufReader<std::process::ChildStderr>) -> String {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut lines, &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    said
}

#[tokio::test]
async fn a_fleet_is_reached_by_what_it_writes_and_says_who_was_asked_how_often() {
    let place = Place::new();
    let args = "--servers 3 --accounts 2 --mailboxes 4 --tls --latency 0s --capacity 2x5 --dir a\"b";
    let (child, lines, said) = serve(&place, &args.split(' ').collect::<Vec<_>>());
    for told in ["web03", "'a\"b/job.csv' --config 'a\"b/mailsweep.toml'", "check --config", "samples/"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let config: toml::Table = place.read("a\"b/mailsweep.toml").parse().unwrap();
    let servers = config["server"].as_array().unwrap();
    assert_eq!(servers.len(), 3);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut domains = BTreeSet::new();
    for (index, server) in servers.iter().enumerate() {
        let text = |key: &str| server[key].as_str().unwrap();
        assert_eq!(
            (text("name"), text("api"), text("user")),
            (&*format!("web{:02}", index + 1), "whm", "root")
        );
        let mode = std::fs::metadata(text("token_file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = std::fs::read_to_string(text("token_file")).unwrap();
        let ca = reqwest::Certificate::from_pem(&std::fs::read(text("ca_file")).unwrap()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
        for _ in 0..=index {
            let request = client.get(format!("{}/json-api/get_domain_info?api.version=1", text("url")));
            let answer = request.header("authorization", format!("whm root:{}", token.trim())).send().await;
            let answer: serde_json::Value =
                serde_json::from_str(&answer.unwrap().text().await.unwrap()).unwrap();
            for row in answer["data"]["domains"].as_array().unwrap() {
                domains.insert(row["domain"].as_str().unwrap().to_owned());
            }
        }
    }
    let job = place.read("a\"b/job.csv");
    assert_eq!(job.lines().count(), 1 + 3 * 2 * 4);
    for row in job.lines().skip(1) {
        let (address, rest) = row.split_once(',').unwrap();
        assert!(domains.contains(address.split_once('@').unwrap().1) && rest == "suspend,login+outgoing");
    }
    let last = end(child, lines);
    for (index, times) in [(1, 1), (2, 2), (3, 3)] {
        assert!(last.contains(&format!("web0{index}: {times} requests served")), "{last}");
    }
    expect(place.mailsweep(&["run", "a\"b/job.csv", "--sandbox", "--dry-run"]), 0);
}

#[test]
fn what_belongs_to_a_fleet_needs_one_and_ports_end_somewhere() {
    let place = Place::new();
    for (args, told) in [
        (&["--accounts", "3"][..], "--servers"),
        (&["--tls"], "--servers"),
        (&["--servers", "0"], "1..=99"),
        (&["--capacity", "4"], "WORKERSxMS"),
        (&["--capacity-later", "4x5"], "TIME=WORKERSxMS"),
        (&["--servers", "3", "--port", "65534"], "not enough ports"),
    ] {
        let ended = place.mailsweep(&[&["sandbox"], args].concat()).output().unwrap();
        assert_eq!(code(&ended), 2, "{args:?}");
        assert!(stderr(&ended).contains(told), "{args:?}: {}", stderr(&ended));
    }
}

#[test]
fn one_server_alone_is_as_ever() {
    let place = Place::new();
    let (child, lines, said) = serve(&place, &["--dir", "one"]);
    assert!(said.contains("--server http://127.0.0.1:") && !said.contains("--config"), "{said}");
    assert!(!place.path("one/mailsweep.toml").exists() && place.path("one/orchard.token").exists());
    assert!(end(child, lines).contains("sandbox: 0 requests served"));
}
