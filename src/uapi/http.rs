//! UAPI over HTTP: the real [`Transport`].
//!
//! One client per server and credential, set up to do exactly what it is told: no redirects, no
//! retries of its own, no proxy from the environment, HTTP/1.1 (the only version seen in cPanel's
//! logs), a time limit over the whole exchange, and no more of an answer read than an answer has.

use std::sync::Once;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use serde::{Deserialize, Serialize};

use super::transport::{Answer, Transport, Verdict};
use super::verdict::{Body, MAX_ANSWER_BYTES, Received, judge};
use crate::domain::{ErrorClass, Function, Secret, clean, clip};

/// How the user proves to be one.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An API token, sent as `Authorization: cpanel USER:TOKEN`.
    Token(Secret),
    /// The account's password, sent as HTTP Basic.
    Password(Secret),
}

/// The form in which a call's parameters are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// As a query, as the vendor's specification has it: the address then stands in the server's
    /// access log.
    #[default]
    Get,
    /// As a form, as the vendor's own clients send it.
    Post,
}

/// What an [`HttpTransport`] needs to know beside server and credential.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// See [`Method`]. `release` is always a POST: a query may be fetched again by things between.
    pub method: Method,
    /// For one whole exchange.
    pub timeout: Duration,
    /// For making the connection, TLS included.
    pub connect_timeout: Duration,
    /// Connections kept open while idle.
    pub connections: usize,
    /// The run's name, for the `User-Agent`: the one mark of a run that reaches the server's log.
    pub run_id: String,
}

impl Default for HttpOptions {
    /// The program's own defaults, and no run's name.
    fn default() -> HttpOptions {
        HttpOptions {
            method: Method::Get,
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            connections: 4,
            run_id: String::new(),
        }
    }
}

/// Why a server cannot be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The user name or secret has characters that a header cannot carry.
    #[error("the user name or the secret holds characters that cannot be sent in a header")]
    Header,
    /// The TLS or socket layer could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

/// Calls of one cPanel account at one server.
pub struct HttpTransport {
    client: Client,
    /// The address of each function, in the order of [`Function::ALL`].
    functions: [Url; Function::ALL.len()],
    credential: Credential,
    /// What must never be shown although it is not the secret itself: its Basic form.
    encoded: Option<Secret>,
    method: Method,
}

/// Of the time for an exchange, so much may go into the connection: if the whole of it were used
/// up there, nobody could say that no request was sent.
const CONNECT_SHARE: f64 = 0.8;

/// Longest text that is kept of an answer or fault, in characters.
const MAX_ERROR_CHARS: usize = 500;

impl HttpTransport {
    /// Sets up the client; opens no connection.
    ///
    /// # Errors
    /// If the user or secret cannot be sent, or TLS cannot be set up.
    pub fn new(
        base: Url,
        user: &str,
        credential: Credential,
        options: &HttpOptions,
    ) -> Result<HttpTransport, SetupError> {
        install_crypto();
        let (authorization, encoded) = authorization(user, &credential)?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        let mut builder = Client::builder()
            .user_agent(format!("mailsweep/{} (run {})", env!("CARGO_PKG_VERSION"), ascii(&options.run_id)))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout.min(options.timeout.mul_f64(CONNECT_SHARE)))
            .pool_max_idle_per_host(options.connections);
        if base.scheme() == "http" {
            // Without TLS no certificate store is needed, and a machine may have none.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| SetupError::Client(chain(&e)))?;
        let functions = Function::ALL.map(|function| {
            let mut url = base.clone();
            url.set_path(&format!("/execute/Email/{}", function.uapi_name()));
            url
        });
        Ok(HttpTransport { client, functions, credential, encoded, method: options.method })
    }

    async fn exchange(&self, function: Function, mailbox: &str) -> Answer {
        let mut url = self.functions[function as usize].clone();
        let parameters =
            form_urlencoded::Serializer::new(String::new()).append_pair("email", mailbox).finish();
        let request = match (self.method, function.is_repeatable()) {
            (Method::Get, true) => {
                url.set_query(Some(&parameters));
                self.client.get(url)
            }
            _ => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                self.client.post(url).header(CONTENT_TYPE, form).body(parameters)
            }
        };
        let answer = match request.send().await {
            Ok(response) => receive(response).await,
            Err(fault) => Answer { http_status: None, verdict: from_fault(fault) },
        };
        Answer { verdict: self.presentable(answer.verdict), ..answer }
    }

    /// Cuts the credential out of what the server said, then what is too long.
    fn presentable(&self, mut verdict: Verdict) -> Verdict {
        if let Verdict::Rejected { error, .. }
        | Verdict::Refused { error }
        | Verdict::Throttled { error, .. }
        | Verdict::NotSent { error, .. }
        | Verdict::Open { error, .. }
        | Verdict::Foreign { error, .. } = &mut verdict
        {
            let (Credential::Token(secret) | Credential::Password(secret)) = &self.credential;
            let mut text = secret.redact(error);
            if let Some(encoded) = &self.encoded {
                text = encoded.redact(&text);
            }
            *error = clip(&text, MAX_ERROR_CHARS);
        }
        verdict
    }
}

impl Transport for HttpTransport {
    /// An account's own server knows the account by the credential, so it is not named to it.
    fn call<'a>(
        &'a self,
        _account: &'a str,
        function: Function,
        mailbox: &'a str,
    ) -> LocalBoxFuture<'a, Answer> {
        self.exchange(function, mailbox).boxed_local()
    }
}

/// The one crypto provider of the process; a second call changes nothing.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the embedding program has chosen one already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn authorization(user: &str, credential: &Credential) -> Result<(HeaderValue, Option<Secret>), SetupError> {
    let (text, encoded) = match credential {
        Credential::Token(token) => (format!("cpanel {user}:{}", token.expose()), None),
        Credential::Password(password) => {
            use base64::prelude::{BASE64_STANDARD, Engine};
            let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
            (format!("Basic {encoded}"), Some(Secret::new(encoded)))
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| SetupError::Header)?;
    value.set_sensitive(true);
    Ok((value, encoded))
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}

async fn receive(mut response: Response) -> Answer {
    let status = response.status().as_u16();
    // Nearly every answer comes in one piece, which then need not be copied.
    let mut first = None;
    let mut joined = Vec::new();
    // A refusal counts from its first line on: its words are taken only if they are there already.
    let is_refusal = matches!(status, 401 | 403);
    let mut patience = 3;
    let lost = loop {
        if is_refusal {
            match response.chunk().now_or_never() {
                Some(Ok(Some(chunk))) if first.is_none() => first = Some(chunk),
                None if patience > 0 => {
                    patience -= 1;
                    tokio::task::yield_now().await;
                    continue;
                }
                _ => {}
            }
            break None;
        }
        let read = first.as_ref().map_or(0, bytes::Bytes::len).max(joined.len());
        match response.chunk().await {
            Ok(Some(chunk)) if read + chunk.len() > MAX_ANSWER_BYTES => break Some(Body::TooLong),
            Ok(Some(chunk)) => match &first {
                None => first = Some(chunk),
                Some(first) => {
                    if joined.is_empty() {
                        joined.extend_from_slice(first);
                    }
                    joined.extend_from_slice(&chunk);
                }
            },
            Ok(None) => break None,
            Err(fault) => {
                let class = if fault.is_timeout() { ErrorClass::Timeout } else { ErrorClass::Connect };
                break Some(Body::Lost {
                    class,
                    error: format!("the answer was cut off: {}", chain(&fault)),
                });
            }
        }
    };
    let bytes = if joined.is_empty() { first.as_deref().unwrap_or_default() } else { &joined };
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let received = Received {
        status,
        content_type: text(CONTENT_TYPE).unwrap_or_default(),
        retry_after: text(RETRY_AFTER),
        location: text(LOCATION),
        body: lost.unwrap_or(Body::Whole(bytes)),
    };
    Answer { http_status: Some(status), verdict: judge(&received, SystemTime::now()) }
}

/// A fault before any answer. Only a fault in making the connection is sure to have had no effect.
fn from_fault(fault: reqwest::Error) -> Verdict {
    let fault = fault.without_url();
    let error = chain(&fault);
    match (fault.is_connect(), fault.is_timeout()) {
        (true, true) => Verdict::NotSent { class: ErrorClass::Timeout, error, lasting: false },
        (true, false) => match tls_fault(&fault) {
            Some(tls) => {
                let no_tls =
                    if tls.contains("InvalidContentType") { ": no TLS is spoken at this port" } else { "" };
                Verdict::NotSent { class: ErrorClass::Tls, error: clean(&tls) + no_tls, lasting: true }
            }
            None => Verdict::NotSent { class: ErrorClass::Connect, error, lasting: false },
        },
        (false, true) => Verdict::Open { class: ErrorClass::Timeout, error: "no answer in time".into() },
        (false, false) => Verdict::Open { class: ErrorClass::Connect, error },
    }
}

/// What TLS itself found wrong, if it did. `source()` alone does not lead there: the error is
/// wrapped in I/O errors, each of which has to be opened.
fn tls_fault(fault: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(fault);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inside.map(|e| e as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// An error with its causes on one line; a cause that only repeats the one before is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let said = clean(&error.to_string());
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        next = error.source();
    }
    text
}
