//! A refusal while another request still waits for its connection: that one is never sent.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::{Place, wait_until};

type Tls = StreamOwned<ServerConnection, TcpStream>;

const GOOD: &str = "200 OK\r\nContent-Type: application/json";
const REFUSAL: &str = "401 Unauthorized";

/// A certificate that signs itself, and what serves by it.
fn certificate() -> (String, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (certificate.pem(), Arc::new(config))
}

/// Reads one request; whether there was one.
fn request(stream: &mut Tls) -> bool {
    let mut text = Vec::new();
    let mut block = [0; 4096];
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut block) {
            Ok(count) if count > 0 => text.extend_from_slice(&block[..count]),
            _ => return false,
        }
    }
    true
}

fn answer(stream: &mut Tls, head: &str) {
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 12\r\n\r\n{{\"status\":1}}").unwrap();
    stream.flush().unwrap();
}

#[test]
fn after_a_refusal_a_request_that_waits_for_its_connection_is_not_sent() {
    let place = Place::blind();
    let (pem, config) = certificate();
    place.write("ca.pem", pem);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let entry = format!(
        "[[server]]\nname = \"web\"\nurl = \"{url}\"\nuser = \"exampleu\"\napi = \"cpanel\"\n\
         domains = [\"example.com\"]\ntoken_file = \"token\"\nca_file = \"ca.pem\"\nrate = \"none\"\n"
    );
    place.write("mailsweep.toml", entry);
    place.write("job.csv", support::job(6));
    let mut command = place.mailsweep(&["run", "job.csv", "--yes", "--run-dir", "run"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    let tls = |stream| StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
    let mut first = tls(listener.accept().unwrap().0);
    assert!(request(&mut first));
    answer(&mut first, GOOD);
    // Two at once now: one by this connection, one that makes its own and is held there.
    assert!(request(&mut first));
    let (held, _) = listener.accept().unwrap();
    answer(&mut first, REFUSAL);
    place.wait_for_journal("run", "\"t\":\"halt\"", 1);
    // Now it could have it, and so could the first one be used again.
    let sent = AtomicUsize::new(2);
    std::thread::scope(|scope| {
        for mut stream in [first, tls(held)] {
            let sent = &sent;
            scope.spawn(move || {
                while request(&mut stream) {
                    sent.fetch_add(1, Ordering::SeqCst);
                    answer(&mut stream, GOOD);
                }
            });
        }
        wait_until("the run has ended", || child.try_wait().unwrap().is_some());
    });
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert_eq!(sent.into_inner(), 2, "nothing after the refusal");
    let results = place.results("run");
    let attempts: Vec<&str> = results.iter().map(|row| row["attempts"].as_str()).collect();
    let ends: Vec<String> =
        results.iter().map(|row| format!("{}/{}", row["status"], row["error_class"])).collect();
    assert_eq!(ends.iter().filter(|end| *end == "ok/").count(), 1, "{ends:?}");
    assert_eq!(ends.iter().filter(|end| *end == "not_attempted/auth").count(), 11, "{ends:?}");
    assert_eq!(attempts.iter().filter(|n| **n == "1").count(), 2, "{attempts:?}");
    assert_eq!(attempts.iter().filter(|n| n.is_empty()).count(), 10, "{attempts:?}");
    assert_eq!(place.summary("run")["servers"][0]["requests"], 2);
}
