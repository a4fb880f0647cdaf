//! One request, from its head to the end of its answer.
//!
//! The order: read, note, queue for a worker, draw the fate, wait, carry out, answer. What a call
//! changes is changed at the end of its wait, and also if the client has gone in the meantime: a
//! server that is slow is not one that forgets. That is why a wait has a task of its own. Who goes
//! while still in the queue was never there.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{DENIED, HTML, JSON, LOGIN_PAGE, page};
use super::asked::{Asked, Way};
use super::capacity::Turn;
use super::gate::Credential;
use super::log;
use super::script::{Cut, Fault};
use super::serve::Order;
use super::state::{Caller, Course, Reply, Shared};

/// The largest form that is read.
const MAX_FORM_BYTES: usize = 64 << 20;

/// Where a redirect without a goal of its own leads: a host that cannot exist.
const ELSEWHERE: &str = "https://elsewhere.invalid/login";

/// An answer that HTTP knows no words for. The connection ends with it.
#[derive(Debug)]
pub(super) enum Break {
    /// A reset.
    Reset,
    /// These bytes, and the end.
    Raw(Bytes),
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends here")
    }
}

impl std::error::Error for Break {}

type Answer = Response<Full<Bytes>>;

/// How an exchange ends.
enum Ending {
    Answer(Answer),
    /// Bytes that make up an answer of this status.
    Raw(u16, Bytes),
    Reset,
    Never,
}

/// Where a request came from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub peer: IpAddr,
    pub connection: u64,
}

/// What is known of a request when its wait begins.
struct Visit {
    shared: Arc<Shared>,
    /// `None` if the path is none of the API's.
    asked: Option<Asked>,
    caller: Caller,
    authorization: Option<Vec<u8>>,
    noted: log::LogId,
    fault: Option<Fault>,
}

/// Answers one request.
pub(super) async fn exchange(
    shared: Arc<Shared>,
    origin: Origin,
    request: Request<Incoming>,
) -> Result<Answer, Break> {
    let started = shared.start.elapsed();
    let number = shared.number();
    let (head, body) = request.into_parts();
    let form = if head.method == Method::POST {
        match Limited::new(body, MAX_FORM_BYTES).collect().await {
            Ok(form) => form.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Ok(html(413, page(413, "Payload Too Large")));
            }
            Err(_) => return Err(Break::Reset),
        }
    } else {
        Bytes::new()
    };
    let asked = match head.method {
        Method::GET | Method::POST => Asked::read(head.uri.path(), head.uri.query(), &form),
        _ => None,
    };
    let authorization = head.headers.get(AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    let credential = authorization.as_deref().map(|a| Credential::read(&String::from_utf8_lossy(a)));
    let noted = shared.state().log.note(|| {
        let call = asked.as_ref().map(|asked| &asked.call);
        let own = |text: Option<&str>| text.map(str::to_owned);
        let user = own(credential.as_ref().and_then(Credential::user));
        log::Request {
            number,
            command: None,
            started,
            ended: None,
            connection: origin.connection,
            through: call.and_then(|call| call.way.command()),
            account: match call {
                Some(call) if call.way != Way::Execute => call.account.clone(),
                _ => user.clone(),
            },
            user,
            method: head.method.to_string(),
            module: call.map_or_else(|| head.uri.path().to_owned(), |call| call.module.clone()),
            function: call.map(|call| call.function.clone()).unwrap_or_default(),
            email: own(call.and_then(|call| call.email())),
            domain: own(call.and_then(|call| call.domain())),
            status: None,
            carried_out: false,
            had_effect: false,
            fault: None,
        }
    });
    let (worker, capacity) = match shared.workers.ask(Instant::now()) {
        Turn::Free => (None, None),
        Turn::Now(worker, capacity) => (Some(worker), Some(capacity)),
        Turn::Wait(place) => place.worker().await,
        Turn::Full => {
            let ended = shared.start.elapsed();
            if let Some(request) = shared.state().log.get_mut(noted) {
                (request.status, request.ended, request.fault) = (Some(503), Some(ended), Some("full"));
            }
            return Ok(html(503, page(503, "Service Unavailable")));
        }
    };
    let calls = asked.as_ref().map_or(1, |asked| if asked.is_list() { asked.inner().len() } else { 1 });
    let service = capacity.map_or(Duration::ZERO, |capacity| capacity.time(shared.seed, number, calls));
    let (fault, wait) = {
        let mut state = shared.state();
        let fault = asked.as_ref().and_then(|asked| state.faults.for_request(asked));
        if let (Some(request), Some(fault)) = (state.log.get_mut(noted), &fault) {
            request.fault = Some(fault.word());
        }
        let delay = if let Some(Fault::Delay(delay)) = fault { delay } else { Duration::ZERO };
        (fault, state.latency.saturating_add(delay))
    };
    let caller = Caller { peer: origin.peer, credential };
    let visit = Visit { shared, asked, caller, authorization, noted, fault };
    let ending = if wait.is_zero() && worker.is_none() {
        visit.finish()
    } else {
        let waited = tokio::spawn(async move {
            if let Some(worker) = worker {
                tokio::time::sleep(service).await;
                drop(worker);
            }
            // The rest of the time goes by on the way, where no worker is kept.
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            visit.finish()
        });
        waited.await.unwrap_or(Ending::Reset)
    };
    match ending {
        Ending::Answer(answer) => Ok(answer),
        Ending::Raw(_, bytes) => Err(Break::Raw(bytes)),
        Ending::Reset => Err(Break::Reset),
        Ending::Never => std::future::pending().await,
    }
}

impl Visit {
    /// Does what is to be done, and writes the end into the log.
    fn finish(mut self) -> Ending {
        let fault = self.fault.take();
        let ending = self.meet(fault);
        let status = match &ending {
            Ending::Answer(answer) => Some(answer.status().as_u16()),
            Ending::Raw(status, _) => Some(*status),
            Ending::Reset => None,
            Ending::Never => return ending,
        };
        let ended = self.shared.start.elapsed();
        if let Some(request) = self.shared.state().log.get_mut(self.noted) {
            (request.status, request.ended) = (status, Some(ended));
        }
        ending
    }

    fn meet(&self, fault: Option<Fault>) -> Ending {
        match fault {
            None | Some(Fault::Delay(_)) => self.call(None, json),
            Some(fault @ (Fault::ApiFailure(_) | Fault::NoEffect)) => self.call(Some(&fault), json),
            Some(Fault::ResetAfter) => self.call(None, |_| Ending::Reset),
            Some(Fault::CutJson(cut)) => self.call(None, |body| cut_off(cut, &body)),
            Some(Fault::Status { code, retry_after, effect_first: true }) => {
                self.call(None, |_| status(code, retry_after.as_deref()))
            }
            Some(Fault::Status { code, retry_after, .. }) => status(code, retry_after.as_deref()),
            Some(Fault::ResetBefore) => Ending::Reset,
            Some(Fault::LoginPage) => Ending::Answer(html(200, LOGIN_PAGE.to_owned())),
            Some(Fault::Redirect(location)) => redirect(302, &location),
            Some(Fault::Hang) => Ending::Never,
            Some(Fault::Raw(bytes)) => Ending::Raw(0, bytes.into()),
            Some(Fault::EchoAuthorization) => {
                let header = self.authorization.as_deref().map(String::from_utf8_lossy);
                let text = format!("Internal Server Error\nAuthorization: {}\n", header.unwrap_or_default());
                Ending::Answer(html(500, text))
            }
            Some(Fault::Dead) => {
                // If nobody takes the order the server is stopping, and as dead as can be.
                let _ = self.shared.orders.send(Order::Dead { dead: true, done: None });
                Ending::Never
            }
        }
    }

    /// Carries the call out and ends with what `then` makes of the body of its answer; unless it
    /// was refused or failed on the way.
    fn call(&self, fault: Option<&Fault>, then: impl FnOnce(Bytes) -> Ending) -> Ending {
        let Some(asked) = &self.asked else {
            return Ending::Answer(html(404, page(404, "Not Found")));
        };
        let now = self.shared.start.elapsed();
        let (reply, refusal) = {
            let mut state = self.shared.state();
            let reply = state.carry_out(asked, &self.caller, Course { fault, noted: self.noted, now });
            (reply, if state.faults.refuse_with_403() { 403 } else { 401 })
        };
        match reply {
            Reply::Body(body) => then(body),
            Reply::Refused => status(refusal, None),
            Reply::Denied => status(403, None),
            Reply::NotKept(error) => {
                let text = format!("Internal Server Error\nThe sandbox cannot keep its state: {error}\n");
                Ending::Answer(html(500, text))
            }
        }
    }
}

fn json(body: Bytes) -> Ending {
    Ending::Answer(with_type(JSON, 200, body))
}

fn html(code: u16, text: String) -> Answer {
    with_type(HTML, code, text.into())
}

fn with_type(content_type: &'static str, code: u16, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    // A code below 200 would be no answer but the announcement of one.
    let status = StatusCode::from_u16(code).ok().filter(|status| !status.is_informational());
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn status(code: u16, retry_after: Option<&str>) -> Ending {
    match code {
        403 => return Ending::Raw(403, Bytes::from_static(DENIED.as_bytes())),
        300..400 => return redirect(code, ELSEWHERE),
        _ => {}
    }
    let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
    let mut answer = html(code, page(code, reason.unwrap_or("Error")));
    if let Some(value) = retry_after.and_then(|value| HeaderValue::from_str(value).ok()) {
        answer.headers_mut().insert(RETRY_AFTER, value);
    }
    if code == 401 {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ending::Answer(answer)
}

fn redirect(code: u16, location: &str) -> Ending {
    let mut answer = html(code, page(code, "Moved"));
    let value = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static(ELSEWHERE));
    answer.headers_mut().insert(LOCATION, value);
    Ending::Answer(answer)
}

fn cut_off(cut: Cut, body: &[u8]) -> Ending {
    let half = &body[..body.len() / 2];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nConnection: close\r\n");
    let bytes = match cut {
        Cut::Length => [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), half].concat(),
        Cut::Chunked => {
            let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", half.len());
            [head.as_bytes(), half, b"\r\n0\r\n\r\n"].concat()
        }
    };
    Ending::Raw(200, bytes.into())
}
