//! What still leaves once a server is halted: nothing, wherever it waits.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::testing::*;
use super::tls_tests::Shown;
use super::*;

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"status\":1}";
const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}";

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Should a test fail, nothing waits for long.
fn options(method: Method) -> HttpOptions {
    HttpOptions { method, timeout: Duration::from_secs(5), ..HttpOptions::default() }
}

/// Reads one request.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    let mut block = [0; 4096];
    while !text.contains("email=") {
        let count = stream.read(&mut block).await.unwrap();
        assert!(count > 0, "no request came: {text}");
        text.push_str(&String::from_utf8_lossy(&block[..count]));
    }
    text
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// All that still comes by a connection, to its end.
async fn rest(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    // How it ends does not matter.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn after_a_halt_no_request_takes_an_idle_connection_or_makes_one() {
    for method in [Method::Get, Method::Post] {
        let (listener, port) = listener().await;
        let url = format!("http://127.0.0.1:{port}");
        let transport = transport(&endpoint(&url, Api::Cpanel), &options(method));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            answer(&mut stream, GOOD).await;
            stream
        };
        let (done, stream) = tokio::join!(suspend(&transport), server);
        assert_eq!(done, Verdict::Done);
        transport.halt();
        // The first one finds the connection idle, the second one finds none.
        for _ in 0..2 {
            let verdict = suspend(&transport).await;
            assert!(verdict.is_called_back(), "{verdict:?}");
        }
        let reading = transport.read(Question::MailDomains).await;
        assert!(reading.verdict.is_called_back(), "{:?}", reading.verdict);
        drop(transport);
        assert_eq!(rest(stream).await, b"", "{method:?}");
        let more = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(more.is_err(), "nobody connects any more");
    }
}

/// Two requests at once, by TLS: one is on its way, the other waits for its own connection to be made
/// or for the other one's to become free. Then the first is answered, after a halt if the answer does
/// not halt by itself. Returns the two verdicts, the first request's at first, and all that reached
/// the server after it.
async fn one_on_its_way_and_one_waiting(answered: &str, is_halted: bool) -> ([Verdict; 2], Vec<u8>) {
    let shown = Shown::new("127.0.0.1", 2099, None);
    let acceptor = TlsAcceptor::from(Arc::new(shown.served()));
    let (listener, port) = listener().await;
    let trust = Trust { ca_pem: None, pin_sha256: Some(shown.pin()) };
    let whole = Endpoint { trust, ..endpoint(&format!("https://127.0.0.1:{port}"), Api::Cpanel) };
    let transport = Rc::new(transport(&whole, &options(Method::Get)));
    let halting = is_halted.then(|| transport.clone());
    let server = async {
        let (first, _) = listener.accept().await.unwrap();
        let (second, _) = listener.accept().await.unwrap();
        let mut first = acceptor.accept(first).await.unwrap();
        request(&mut first).await;
        if let Some(transport) = halting {
            transport.halt();
        }
        answer(&mut first, answered).await;
        let second = async {
            match acceptor.accept(second).await {
                Ok(second) => rest(second).await,
                Err(_) => Vec::new(),
            }
        };
        let (first, second) = tokio::join!(rest(first), second);
        [first, second].concat()
    };
    let client = async {
        let (one, other) = tokio::join!(suspend(&transport), suspend(&transport));
        drop(transport);
        // Which of the two was connected first is not said.
        if one.is_called_back() { [other, one] } else { [one, other] }
    };
    tokio::join!(client, server)
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_is_called_back_by_a_halt() {
    let ([first, waiting], more) = one_on_its_way_and_one_waiting(GOOD, true).await;
    assert_eq!(first, Verdict::Done, "what was sent is answered as ever");
    assert!(waiting.is_called_back(), "{waiting:?}");
    assert!(more.is_empty(), "{}", String::from_utf8_lossy(&more));
}

#[tokio::test]
async fn a_refusal_calls_back_what_waits_before_anybody_has_judged_it() {
    let ([first, waiting], more) = one_on_its_way_and_one_waiting(REFUSAL, false).await;
    assert!(matches!(first, Verdict::Refused { .. }), "{first:?}");
    assert!(waiting.is_called_back(), "{waiting:?}");
    assert!(more.is_empty(), "{}", String::from_utf8_lossy(&more));
}
