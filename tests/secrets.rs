//! The credential is on the wire and nowhere else: in no file, no output, no list of processes,
//! whatever the server or the operator does.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use mailsweep::sandbox::{Fault, Rule, Script};
use support::{ENDED, Place, TOKEN, USER, code, job, server, stderr, wait_until};

/// Forms of output in which something could slip through.
const FORMS: [&[&str]; 3] = [&["-v"], &["-v", "--log-format", "json"], &["-q", "--json"]];

/// A password of the characters that get another form in a page, in JSON or in an address.
const PASSWORD: &str = "Pa\"s<w&r>d+/ %41'ß-NEVER-SHOWN";

/// Bytes without what may be put between the characters of a text.
fn squeezed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_whitespace()).collect()
}

/// Looks for the secret, as it is and in any form of which it could be had back, in all that a
/// command has said and left.
fn assert_nowhere(place: &Place, said: &[u8], secret: &str, what: &str) {
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let json = serde_json::to_string(secret).unwrap().trim_matches('"').to_owned();
    let json_twice = serde_json::to_string(&json).unwrap().trim_matches('"').to_owned();
    let percent: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let forms = [
        secret.to_owned(),
        html,
        json,
        json_twice,
        percent.replace('+', "%20"),
        percent,
        BASE64_STANDARD.encode(format!("{USER}:{secret}")),
        BASE64_STANDARD.encode(secret),
    ];
    for text in [squeezed(said), squeezed(&place.all_bytes())] {
        for form in &forms {
            let form = squeezed(form.as_bytes());
            if let Some(at) = text.find(&form) {
                panic!(
                    "{what}: {form} in …{}",
                    text.get(at.saturating_sub(80)..at + form.len()).unwrap_or_default()
                );
            }
        }
    }
}

/// Runs a command to its end, whatever that is, and looks for the secret.
fn keeps(place: &Place, mut command: Command, secret: &str, what: &str) -> i32 {
    let output = command.output().unwrap();
    let said = [output.stdout.as_slice(), &output.stderr, what.as_bytes()].concat();
    assert_nowhere(place, &said, secret, what);
    let told = stderr(&output);
    assert!(!told.contains("panicked"), "{told}");
    code(&output)
}

/// A server that answers each request with what is made of its `Authorization` header.
fn echoing(answer: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match socket.read(&mut part) {
                    Ok(count @ 1..) => request.extend(&part[..count]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let header = text.lines().find(|line| line.to_lowercase().starts_with("authorization:"));
            let value = header.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value);
            let _ = socket.write_all(answer(value).as_bytes());
        }
    });
    url
}

fn page(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// What it is that a server was sent: the secret behind the header.
fn secret_of(header: &str) -> String {
    match header.strip_prefix("Basic ") {
        Some(encoded) => {
            let pair = String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap();
            pair.split_once(':').unwrap().1.to_owned()
        }
        None => header.split_once(':').unwrap_or_default().1.to_owned(),
    }
}

fn json(text: &str) -> String {
    serde_json::json!({"status": 0, "errors": [text]}).to_string()
}

/// A text with a line break after every few characters, as mail and some pages wrap it.
fn wrapped(text: &str, gap: &str) -> String {
    text.chars()
        .collect::<Vec<_>>()
        .chunks(9)
        .map(|part| part.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join(gap)
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn percent(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

type Echo = (&'static str, fn(&str) -> String);

const ECHOES: [Echo; 14] = [
    ("in an error of the API", |header| page("200 OK", "", &json(&format!("bad header {header}")))),
    ("the secret alone, in an error", |header| page("200 OK", "", &json(&secret_of(header)))),
    ("in a page", |header| page("500 Oops", "", &format!("<html><pre>{header}</pre></html>"))),
    ("in a page, escaped", |header| page("500 Oops", "", &format!("<p>{}</p>", html(&secret_of(header))))),
    ("in a title", |header| page("200 OK", "", &format!("<title>{header} {}</title>", secret_of(header)))),
    ("in a redirect", |header| page("302 Found", &format!("Location: /login?{header}\r\n"), "")),
    ("in a redirect, encoded", |header| {
        page("302 Found", &format!("Location: /login?auth={}\r\n", percent(&secret_of(header))), "")
    }),
    ("in a content type", |header| page("200 OK", &format!("Content-Type: {header}\r\n"), "x")),
    ("wrapped into lines", |header| page("200 OK", "", &json(&wrapped(&secret_of(header), "\r\n ")))),
    ("wrapped by what cannot be seen", |header| page("200 OK", "", &json(&wrapped(header, "\u{200b}")))),
    ("in broken JSON", |header| page("200 OK", "", &json(&secret_of(header)).replace("]}", ""))),
    ("with a refusal", |header| page("401 No", "", &format!("no such token: {header}"))),
    ("with a 429", |header| page("429 Slow down", "Retry-After: 0\r\n", header)),
    ("behind long words", |header| page("200 OK", "", &format!("{} {header}", "x".repeat(485)))),
];

#[test]
fn a_server_that_repeats_the_header_is_not_repeated() {
    std::thread::scope(|scope| {
        for (what, answer) in ECHOES {
            scope.spawn(move || is_not_repeated(what, answer));
        }
    });
}

fn is_not_repeated(what: &str, answer: fn(&str) -> String) {
    let url = echoing(answer);
    for (secret, flag) in [(TOKEN, "--token-file"), (PASSWORD, "--password-file")] {
        for (i, form) in FORMS.iter().enumerate() {
            let place = Place::new();
            place.write("token", secret);
            place.write("job.csv", "email,action,channel\na@example.com,suspend,login\n");
            let args = ["run", "job.csv", "--server", &url, "--user", USER, flag, "token", "--yes"];
            let mut command = place.mailsweep(&args);
            command.args(["--run-dir", "run", "--retries", "0", "--rate", "none"]).args(*form);
            let code = keeps(&place, command, secret, &format!("{what}, form {i}"));
            assert!(matches!(code, 1 | 4), "{what}: {code}");
            assert_ne!(place.column("run", "error"), [""], "{what}: something is said");
        }
    }
}

#[test]
fn the_sandboxs_own_echo_is_not_repeated() {
    let sandbox = server(4, 0, Script::of([Rule::new(Fault::EchoAuthorization).email("user001")]));
    for form in FORMS {
        let place = Place::new();
        place.write("job.csv", job(4));
        let mut command = place.run_against(&sandbox.url(), &["--retries", "0", "--rate", "none"]);
        command.args(form);
        assert_eq!(keeps(&place, command, TOKEN, "echo"), 1);
        assert!(place.column("run", "error")[2].contains("Authorization"), "it was there");
    }
}

#[test]
fn a_secret_that_cannot_be_used_is_not_shown_either() {
    let bad = [
        format!("{TOKEN}\n{TOKEN}\n"),
        format!(" {TOKEN}"),
        format!("{TOKEN}\u{7}"),
        format!("{TOKEN}\u{0}"),
        TOKEN.repeat(200),
    ];
    for (i, text) in bad.iter().enumerate() {
        for by in
            ["--token-file", "--password-file", "--token-command", "MAILSWEEP_TOKEN", "MAILSWEEP_PASSWORD"]
        {
            let place = Place::new();
            place.write("token", text);
            place.write("job.csv", job(1));
            let mut command =
                place.mailsweep(&["run", "job.csv", "--server", "http://127.0.0.1:9", "--user", USER]);
            command.args(["--yes", "--run-dir", "run"]);
            match by {
                "--token-command" => drop(command.args([by, "cat token"])),
                file if file.starts_with('-') => drop(command.args([by, "token"])),
                // A variable cannot hold this one.
                _ if text.contains('\0') => continue,
                variable => drop(command.env(variable, text)),
            }
            assert_eq!(keeps(&place, command, TOKEN, &format!("{i} by {by}")), 2, "{i} by {by}");
            assert!(!place.path("run").exists());
        }
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_refused_without_being_repeated() {
    for url in [
        format!("https://{USER}:{TOKEN}@127.0.0.1:2083"),
        format!("https://{TOKEN}@127.0.0.1:2083"),
        format!("http://{USER}:{TOKEN}@mail.example.net:2082"),
        format!("htps:/{USER}:{TOKEN}@127.0.0.1:2083"),
        format!("https://127.0.0.1:2083/?token={TOKEN}"),
        format!("https://127.0.0.1:2083/{TOKEN}"),
        format!("https://127.0.0.1:2083#{TOKEN}"),
    ] {
        for dry_run in [&[][..], &["-n"]] {
            let place = Place::new();
            place.write("job.csv", job(1));
            let mut command = place.mailsweep(&["run", "job.csv", "--server", &url, "--user", USER]);
            command.args(["--token-file", "token", "--yes", "--run-dir", "run"]).args(dry_run);
            assert_eq!(keeps(&place, command, TOKEN, "url"), 2, "{url}");
            assert!(!place.path("run").exists());
        }
    }
}

#[test]
fn a_server_that_cannot_be_reached_or_breaks_off_learns_and_tells_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let resetting = server(1, 0, Script::of([Rule::new(Fault::ResetBefore)]));
    let cut = server(1, 0, "cut-json=100%".parse().unwrap());
    let urls = [
        format!("http://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}"),
        resetting.url(),
        resetting.url().replace("http:", "https:"),
        cut.url(),
    ];
    for url in urls {
        for form in FORMS {
            let place = Place::new();
            place.write("job.csv", job(1));
            let mut command = place.run_against(&url, &["--retries", "0"]);
            command.args(form);
            assert_eq!(keeps(&place, command, TOKEN, &url), 4);
        }
    }
}

#[test]
fn in_the_list_of_processes_there_is_no_secret() {
    let command = |place: &Place, url: &str, by: &str| {
        let mut command = place.mailsweep(&["run", "job.csv", "--server", url, "--user", USER, "--yes"]);
        command.args(["--run-dir", "run", "--rate", "none", "--jobs", "1"]).stderr(Stdio::null());
        match by {
            "variable" => drop(command.env("MAILSWEEP_TOKEN", TOKEN)),
            "file" => drop(command.args(["--token-file", "token"])),
            _ => drop(command.args(["--token-command", "cat token"])),
        }
        command
    };
    for by in ["variable", "file", "command"] {
        let place = Place::new();
        place.write("job.csv", job(6));
        let sandbox = server(6, 80, Script::default());
        let mut child = command(&place, &sandbox.url(), by).spawn().unwrap();
        place.wait_for_journal("run", ENDED, 1);
        let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default();
        assert!(line.starts_with(env!("CARGO_BIN_EXE_mailsweep").as_bytes()), "it is at work: {line:?}");
        assert!(!String::from_utf8_lossy(&line).contains(TOKEN));
        wait_until("its end", || child.try_wait().unwrap().is_some());
        assert_nowhere(&place, b"", TOKEN, by);
    }
}

#[test]
fn a_token_command_says_what_it_likes_but_not_the_token() {
    // What fails after printing must not be quoted.
    for shell in ["cat token; exit 3", "cat token token", "cat token; kill -9 $$"] {
        let place = Place::new();
        place.write("job.csv", job(1));
        let mut command =
            place.mailsweep(&["run", "job.csv", "--server", "http://127.0.0.1:9", "--user", USER]);
        command.args(["--yes", "--run-dir", "run", "--token-command", shell]);
        assert_eq!(keeps(&place, command, TOKEN, shell), 2, "{shell}");
    }
}
