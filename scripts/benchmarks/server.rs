//! The server that `scripts/bench` measures against: answers every request on loopback at once with
//! the same small success, or with `failing` as its argument with a long failure that names the
//! request. Prints its port; ends when its standard input does.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::Write;
use std::rc::Rc;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

const ANSWER: &str =
    r#"{"status":1,"errors":null,"messages":null,"warnings":null,"metadata":{},"data":null}"#;

fn main() -> std::io::Result<()> {
    let is_failing = std::env::args().nth(1).is_some_and(|mode| mode == "failing");
    std::thread::spawn(|| {
        // The bench closes this when it is through.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(is_failing))
}

async fn serve(is_failing: bool) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    let requests = Rc::new(Cell::new(0_u64));
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let requests = Rc::clone(&requests);
        let answer = service_fn(move |_| {
            requests.set(requests.get() + 1);
            let body =
                if is_failing { failure(requests.get()) } else { Bytes::from_static(ANSWER.as_bytes()) };
            let mut response = Response::new(Full::new(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            std::future::ready(Ok::<_, Infallible>(response))
        });
        tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
    }
}

fn failure(request: u64) -> Bytes {
    let words =
        "The system could not carry this out, for reasons that it goes on about at length. ".repeat(5);
    format!(r#"{{"status":0,"errors":["{request}: {words}"],"messages":null,"data":null}}"#).into()
}
