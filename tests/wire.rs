//! What goes over the wire, and what comes back in ways it should not.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;

use httpmock::prelude::*;
use support::{Place, TOKEN, USER, expect, stderr};

const OK: &str = r#"{"status":1,"errors":null,"messages":null,"warnings":null,"metadata":{},"data":null}"#;

fn one_row() -> Place {
    let place = Place::blind();
    place.write("job.csv", "email,action,channel\nuser+tag@example.com,suspend,login\n");
    place
}

#[test]
fn a_call_is_a_get_with_the_address_as_a_query() {
    let server = MockServer::start();
    let call = server.mock(|when, then| {
        when.method(GET)
            .path("/execute/Email/suspend_login")
            .query_param("email", "user+tag@example.com")
            .header("authorization", format!("cpanel {USER}:{TOKEN}"))
            .header_matches("user-agent", r"^mailsweep/\d+\.\d+\.\d+ \(run run\)$");
        then.status(200).header("content-type", "application/json").body(OK);
    });
    let place = one_row();
    expect(place.run_against(&server.base_url(), &[]), 0);
    call.assert();
    let results = place.results("run");
    assert_eq!(results[0]["http_status"], "200");
    assert_eq!(results[0]["attempts"], "1");
    assert_eq!(results[0]["account"], USER);
}

#[test]
fn with_post_it_is_a_form_and_the_address_is_not_in_the_url() {
    let server = MockServer::start();
    let call = server.mock(|when, then| {
        when.method(POST)
            .path("/execute/Email/suspend_login")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("email=user%2Btag%40example.com")
            .is_true(|request| request.uri().query().is_none());
        then.status(200).body(OK);
    });
    let place = one_row();
    expect(place.run_against(&server.base_url(), &["--method", "post"]), 0);
    call.assert();
}

/// A `release` is not asked for without a look at what it would send.
fn tells_what_is_held(server: &MockServer) {
    server.mock(|when, then| {
        when.path("/execute/Email/get_held_message_count");
        then.status(200).body(r#"{"status":1,"data":3,"errors":null,"messages":null}"#);
    });
}

#[test]
fn a_release_is_always_a_post() {
    let server = MockServer::start();
    let call = server.mock(|when, then| {
        when.method(POST).path("/execute/Email/release_outgoing").body("email=a%40example.com");
        then.status(200).body(OK);
    });
    tells_what_is_held(&server);
    let place = Place::blind();
    place.write("job.csv", "email,action,channel\na@example.com,release,outgoing\n");
    expect(place.run_against(&server.base_url(), &[]), 0);
    call.assert();
}

#[test]
fn each_action_and_channel_is_its_function() {
    let server = MockServer::start();
    let pairs = [
        ("suspend", "login", "suspend_login"),
        ("unsuspend", "login", "unsuspend_login"),
        ("suspend", "incoming", "suspend_incoming"),
        ("unsuspend", "incoming", "unsuspend_incoming"),
        ("suspend", "outgoing", "suspend_outgoing"),
        ("unsuspend", "outgoing", "unsuspend_outgoing"),
        ("hold", "outgoing", "hold_outgoing"),
        ("release", "outgoing", "release_outgoing"),
    ];
    let mut rows = String::from("email,action,channel\n");
    let mut mocks = Vec::new();
    for (i, (action, channel, function)) in pairs.iter().enumerate() {
        rows.push_str(&format!("m{i}@example.com,{action},{channel}\n"));
        mocks.push(server.mock(|when, then| {
            when.path(format!("/execute/Email/{function}"));
            then.status(200).body(OK);
        }));
    }
    tells_what_is_held(&server);
    let place = Place::blind();
    place.write("job.csv", rows);
    expect(place.run_against(&server.base_url(), &["--rate", "none"]), 0);
    for mock in mocks {
        mock.assert();
    }
}

#[test]
fn a_password_goes_as_basic() {
    let server = MockServer::start();
    let call = server.mock(|when, then| {
        when.header("authorization", "Basic ZXhhbXBsZXU6cGE6c3M=");
        then.status(200).body(OK);
    });
    let place = one_row();
    place.write("password", "pa:ss\n");
    let url = server.base_url();
    let args = ["run", "job.csv", "--server", &url, "--user", USER, "--password-file", "password", "--yes"];
    expect(place.mailsweep(&args), 0);
    let mut by_variable = place.mailsweep(&["run", "job.csv", "--server", &url, "--user", USER, "--yes"]);
    by_variable.env("MAILSWEEP_PASSWORD", "pa:ss");
    expect(by_variable, 0);
    call.assert_calls(2);
}

#[test]
fn the_shapes_of_success_and_of_failure_are_told_apart_by_the_envelope_alone() {
    let server = MockServer::start();
    let shapes = [
        ("flat", 200, OK.to_owned(), "ok", ""),
        ("nested", 200, format!(r#"{{"apiversion":3,"result":{OK}}}"#), "ok", ""),
        (
            "whm",
            200,
            format!(r#"{{"data":{{"uapi":{OK}}},"metadata":{{"result":1,"reason":"OK"}}}}"#),
            "ok",
            "",
        ),
        (
            "gone",
            200,
            r#"{"status":0,"errors":["You do not have an email account named “x”."]}"#.into(),
            "failed",
            "no_such_mailbox",
        ),
        (
            "feature",
            200,
            r#"{"status":0,"errors":["You do not have the feature “popaccts”."]}"#.into(),
            "failed",
            "not_permitted",
        ),
        ("other", 200, r#"{"status":0,"errors":["=cmd|' /C calc'!A0"]}"#.into(), "failed", "api"),
        ("created", 201, OK.to_owned(), "unknown", "http"),
    ];
    let mut rows = String::from("email,action,channel\n");
    for (name, status, body, ..) in &shapes {
        rows.push_str(&format!("{name}@example.com,suspend,login\n"));
        server.mock(|when, then| {
            when.query_param("email", format!("{name}@example.com"));
            then.status(*status).body(body);
        });
    }
    let place = Place::blind();
    place.write("job.csv", rows);
    expect(place.run_against(&server.base_url(), &["--rate", "none"]), 1);
    for (row, (name, _, _, status, class)) in place.results("run").iter().zip(&shapes) {
        assert_eq!((row["status"].as_str(), row["error_class"].as_str()), (*status, *class), "{name}");
    }
    assert_eq!(place.results("run")[5]["error"], "'=cmd|' /C calc'!A0", "no formula from a server");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = MockServer::start();
    let taken = elsewhere.mock(|when, then| {
        when.any_request();
        then.status(200).body(OK);
    });
    let server = MockServer::start();
    let asked = server.mock(|when, then| {
        when.any_request();
        then.status(302).header("location", elsewhere.url("/execute/Email/suspend_login"));
    });
    let place = one_row();
    expect(place.run_against(&server.base_url(), &[]), 4);
    assert_eq!(asked.calls(), 2, "tried once more, no further");
    assert_eq!(taken.calls(), 0);
    assert!(place.column("run", "error")[0].contains("redirect"), "{:?}", place.column("run", "error"));
}

#[test]
fn a_refusal_is_the_last_request() {
    for status in [401, 403] {
        let server = MockServer::start();
        let refusal = server.mock(|when, then| {
            when.any_request();
            then.status(status).body("<html>The login is invalid.</html>");
        });
        let place = Place::blind();
        place.write("job.csv", support::job(20));
        let output = expect(place.run_against(&server.base_url(), &["--rate", "none", "--jobs", "8"]), 4);
        assert_eq!(refusal.calls(), 1);
        let told = stderr(&output);
        assert!(told.contains("refused the credential") && told.contains("mailsweep resume run"), "{told}");
        assert!(place.column("run", "status").iter().all(|status| status == "not_attempted"));
        assert!(place.column("run", "error_class").iter().all(|class| class == "auth"));
        assert_eq!(place.summary("run")["servers"][0]["requests"], 1);
    }
}

/// Serves these bytes to every connection, once its request is in.
fn raw_server(answer: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let mut request = [0; 4096];
            let _ = socket.read(&mut request);
            let _ = answer(&mut socket);
        }
    });
    url
}

#[test]
fn no_answer_of_any_kind_breaks_the_run() {
    let whole = |body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    };
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("a login page", whole(b"<html><title>cPanel Login</title></html>")),
        ("nothing", whole(b"")),
        ("cut-off JSON", whole(br#"{"status":1,"err"#)),
        ("wrong types", whole(br#"{"status":[1],"errors":{"a":1},"data":7}"#)),
        ("missing keys", whole(b"{}")),
        ("deep nesting", whole("[".repeat(100_000).as_bytes())),
        ("control characters", whole(b"\x1b[2J\x1b]0;owned\x07\x00\xff\xfe")),
        ("no HTTP", b"220 mail.example.net ESMTP\r\n".to_vec()),
        ("an early end", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"status\":1".to_vec()),
        ("a broken chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        ("nothing at all", b"".to_vec()),
        (
            "many headers",
            [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Bomb: 1\r\n".repeat(5000), b"\r\n".to_vec()].concat(),
        ),
    ];
    for (name, bytes) in bodies {
        let url = raw_server(move |out| out.write_all(&bytes));
        let place = one_row();
        let output = expect(place.run_against(&url, &["--retries", "1"]), 4);
        let row = &place.results("run")[0];
        assert!(matches!(row["status"].as_str(), "not_attempted" | "unknown"), "{name}: {row:?}");
        assert!(!row["error"].is_empty() && !row["error"].contains(char::is_control), "{name}: {row:?}");
        assert!(!stderr(&output).contains('\u{1b}'), "{name}");
    }
}

#[test]
fn of_a_hundred_megabytes_no_more_is_read_than_an_answer_has() {
    let url = raw_server(|out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n{\"status\":1,\"data\":\"")?;
        let block = vec![b'x'; 1 << 20];
        (0..100).try_for_each(|_| out.write_all(&block))
    });
    let place = one_row();
    expect(place.run_against(&url, &["--retries", "0"]), 4);
    assert!(place.column("run", "error")[0].contains("longer than"), "{:?}", place.column("run", "error"));
}

#[test]
fn a_server_that_trickles_runs_into_the_time_limit() {
    let url = raw_server(|out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
        (0..1000).try_for_each(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            out.write_all(b" ")?;
            out.flush()
        })
    });
    let place = one_row();
    expect(place.run_against(&url, &["--retries", "0", "--timeout", "300ms"]), 4);
    assert_eq!(place.column("run", "error_class"), ["timeout"]);
    assert_eq!(place.column("run", "status"), ["unknown"], "it may have had effect");
}

#[test]
fn an_address_that_nobody_listens_on_is_not_attempted() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = one_row();
    let url = format!("http://127.0.0.1:{port}");
    let output = expect(place.run_against(&url, &["--retries", "1"]), 4);
    assert_eq!(place.column("run", "status"), ["not_attempted"]);
    assert_eq!(place.column("run", "error_class"), ["connect"]);
    assert!(stderr(&output).contains("mailsweep resume run"), "{}", stderr(&output));
}

#[test]
fn a_handshake_that_fails_sends_nothing_of_the_request() {
    let (seen, heard) = std::sync::mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut bytes = [0; 2048];
            let count = socket.unwrap().read(&mut bytes).unwrap_or(0);
            let _ = seen.send(bytes[..count].to_vec());
        }
    });
    // Not TLS at all on the other side: the handshake fails, and nothing of the request was sent.
    let place = one_row();
    expect(place.run_against(&format!("https://127.0.0.1:{port}"), &["--retries", "0"]), 4);
    assert_eq!(place.column("run", "status"), ["not_attempted"]);
    for bytes in heard.try_iter() {
        assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()));
    }
}

#[test]
fn a_refusal_counts_before_its_body_has_come() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (counted, count) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (number, socket) in listener.incoming().enumerate() {
            let (Ok(mut socket), counted) = (socket, counted.clone()) else { return };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request);
                let _ = counted.send(());
                if number == 2 {
                    let _ = socket.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 400\r\n\r\n<html>");
                    // The rest never comes.
                    let _ = socket.read(&mut request);
                } else {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                        OK.len()
                    );
                    let _ = socket.write_all((head + OK).as_bytes());
                }
            });
        }
    });
    let place = Place::blind();
    place.write("job.csv", support::job(100));
    expect(place.run_against(&url, &["--rate", "50/s", "--timeout", "60s"]), 4);
    let asked = count.try_iter().count();
    assert!((3..20).contains(&asked), "{asked} of 200 were asked, though the third was refused");
}
