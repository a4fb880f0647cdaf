//! A server for the tests that speaks the bytes it is told, and what they all need to speak to it.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::domain::{Function, Secret};

pub const TOKEN: &str = "T0KEN-OF-THIS-TEST-0123456789";
pub const OK: &str = r#"{"data":{"uapi":{"status":1}},"metadata":{"result":1,"reason":"OK"}}"#;
pub const DOMAINS: &str =
    r#"{"data":{"domains":[{"domain":"a.example","user":"auser"}]},"metadata":{"result":1,"reason":"OK"}}"#;

/// A request as it came in; no TLS name means no TLS, or an address.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub name: Option<String>,
    pub text: String,
}

/// A server on loopback that gives every request the same answer, for as long as the runtime lives.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub async fn start(tls: Option<ServerConfig>, body: impl Into<Vec<u8>>) -> Server {
        let body = body.into();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = Arc::new([head.into_bytes(), body].concat());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, list) = (tls.map(|tls| TlsAcceptor::from(Arc::new(tls))), seen.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                match &acceptor {
                    None => exchange(socket, None, &list, &answer).await,
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(socket).await else { continue };
                        let name = stream.get_ref().1.server_name().map(str::to_owned);
                        exchange(stream, name, &list, &answer).await;
                    }
                }
            }
        });
        Server { port, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    name: Option<String>,
    list: &Mutex<Vec<Seen>>,
    answer: &[u8],
) {
    let mut text = String::new();
    let mut block = [0; 4096];
    loop {
        let count = stream.read(&mut block).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&block[..count]));
        let wanted = text
            .split_once("content-length: ")
            .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse().unwrap());
        let whole = text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= wanted);
        if whole || count == 0 {
            break;
        }
    }
    if !text.is_empty() {
        list.lock().unwrap().push(Seen { name, text });
    }
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

pub fn token() -> Credential {
    Credential::Token(Secret::new(TOKEN.to_owned()))
}

pub fn transport(endpoint: &Endpoint, options: &HttpOptions) -> HttpTransport {
    HttpTransport::new(endpoint, "root", token(), options).unwrap()
}

pub fn endpoint(url: &str, api: Api) -> Endpoint {
    Endpoint::new(url.parse().unwrap(), api)
}

pub async fn suspend(transport: &HttpTransport) -> Verdict {
    transport.call("auser", Function::SuspendLogin, "a+b@a.example").await.verdict
}
