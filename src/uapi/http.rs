//! UAPI over HTTP: the real [`Transport`].
//!
//! One client per server and credential, set up to do exactly what it is told: no redirects, no
//! retries of its own, no proxy from the environment, HTTP/1.1 (the only version seen in cPanel's
//! logs), a time limit over the whole exchange, and no more of an answer read than an answer has.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use reqwest::tls::TlsInfo;
use reqwest::{Client, Response, Url};
use serde::{Deserialize, Serialize};

use super::batch::{self, Item, Items};
use super::certificate::Certificate;
use super::endpoint::{Api, ConnectTo, Endpoint, Trust};
use super::fault::{chain, from_fault};
use super::gate::Gate;
use super::reading::{self, MAX_READING_BYTES, as_account};
use super::room::{ROOM, Share};
use super::taken::{LastSuccess, Taken, take};
use super::tls;
use super::transport::{Answer, Found, Question, Reader, Reading, Together, Transport, Verdict};
use super::verdict::{MAX_ANSWER_BYTES, is_refusal, not_asked, odd_batch, odd_data};
use super::wire::Expected;
use crate::domain::{Function, Secret, clean, clip};

/// How the user proves to be one.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An API token, sent as `Authorization: cpanel USER:TOKEN`, to WHM as `whm USER:TOKEN`.
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
    /// Whether a [`Reading`] tells the server's certificate.
    pub wants_certificate: bool,
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
            wants_certificate: false,
        }
    }
}

/// Why a server cannot be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The user name or secret has characters that a header cannot carry.
    #[error("the user name or the secret holds characters that cannot be sent in a header")]
    Header,
    /// The CA file is none.
    #[error("ca_file cannot be used: {0}")]
    Ca(String),
    /// A server without TLS has nothing that could be trusted as wanted.
    #[error("http has no certificate to compare with ca_file or pin_sha256: use https, or leave them out")]
    NoTls,
    /// The address to connect to is none, or the URL cannot be led there.
    #[error("connect_to: {0}")]
    ConnectTo(String),
    /// The TLS or socket layer could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

/// Calls and readings with one credential at one server: as one cPanel account, or through WHM for
/// all accounts that the credential has access to.
pub struct HttpTransport {
    client: Client,
    /// Before whatever is sent.
    gate: Gate,
    api: Api,
    /// Scheme, host, and the port to connect to.
    base: Url,
    /// The address of each function, in the order of [`Function::ALL`].
    functions: [Url; Function::ALL.len()],
    user: String,
    credential: Credential,
    /// What must never be shown although it is not the secret itself: its Basic form.
    encoded: Option<Secret>,
    method: Method,
    last_success: LastSuccess,
}

/// Of the time for an exchange, so much may go into the connection: if the whole of it were used
/// up there, nobody could say that no request was sent.
const CONNECT_SHARE: f64 = 0.8;

/// An answer to several calls that is longer than this is not read to its end, in bytes.
const MAX_TOGETHER_BYTES: usize = 4 * MAX_ANSWER_BYTES;

/// Where WHM calls UAPI as one of its accounts.
const WHM_UAPI: &str = "/json-api/uapi_cpanel";

/// Longest text that is kept of an answer or fault, in characters.
const MAX_ERROR_CHARS: usize = 500;

/// Longest name of a token that is kept, in characters; cPanel's have at most 50.
const MAX_TOKEN_NAME_CHARS: usize = 64;

impl HttpTransport {
    /// Sets up the client; opens no connection.
    ///
    /// # Errors
    /// If the user or secret cannot be sent, `connect_to` or the CA certificates cannot be used, or
    /// TLS cannot be set up.
    pub fn new(
        endpoint: &Endpoint,
        user: &str,
        credential: Credential,
        options: &HttpOptions,
    ) -> Result<HttpTransport, SetupError> {
        tls::install_crypto();
        let (authorization, encoded) = authorization(endpoint.api, user, &credential)?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        let mut builder = Client::builder()
            .user_agent(format!("mailsweep/{} (run {})", env!("CARGO_PKG_VERSION"), ascii(&options.run_id)))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout.min(options.timeout.mul_f64(CONNECT_SHARE)))
            .pool_max_idle_per_host(options.connections);
        builder = if endpoint.base.scheme() == "http" {
            if endpoint.trust != Trust::default() {
                return Err(SetupError::NoTls);
            }
            // Without TLS no certificate store is needed, and a machine may have none.
            builder.tls_certs_only([])
        } else {
            let settings = tls::settings(&endpoint.trust)?;
            builder.tls_backend_preconfigured(settings).tls_info(options.wants_certificate)
        };
        let mut base = endpoint.base.clone();
        if let Some(connect_to) = &endpoint.connect_to {
            let connect_to: ConnectTo = connect_to.parse().map_err(SetupError::ConnectTo)?;
            headers.insert(HOST, host_header(&base)?);
            builder = builder.dns_resolver(Arc::new(connect_to.clone()));
            lead(&mut base, &connect_to)?;
        }
        let gate = Gate::default();
        builder = builder.connector_layer(gate.clone());
        let client = builder.default_headers(headers).build().map_err(|e| SetupError::Client(chain(&e)))?;
        let functions = Function::ALL.map(|function| {
            let mut url = base.clone();
            match endpoint.api {
                Api::Cpanel => url.set_path(&format!("/execute/Email/{}", function.uapi_name())),
                Api::Whm => url.set_path(WHM_UAPI),
            }
            url
        });
        let (api, user, method) = (endpoint.api, user.to_owned(), options.method);
        let last_success = LastSuccess::default();
        Ok(HttpTransport {
            client,
            gate,
            api,
            base,
            functions,
            user,
            credential,
            encoded,
            method,
            last_success,
        })
    }

    fn exchange(&self, account: &str, function: Function, mailbox: &str) -> impl Future<Output = Answer> {
        let url = self.functions[function as usize].clone();
        let mut parameters = form_urlencoded::Serializer::new(String::new());
        if self.api == Api::Whm {
            parameters.extend_pairs(as_account(account, "Email", function.uapi_name()));
        }
        let parameters = parameters.append_pair("email", mailbox).finish();
        let method = if function.is_repeatable() { self.method } else { Method::Post };
        self.call_once(method, url, parameters)
    }

    /// Ends the sessions of an account's mailboxes; the function takes no address (vendor's
    /// specification, since version 96).
    async fn terminate_sessions(&self, account: &str) -> Answer {
        const FUNCTION: &str = "terminate_mailbox_sessions";
        let mut url = self.base.clone();
        let mut parameters = form_urlencoded::Serializer::new(String::new());
        match self.api {
            Api::Cpanel => url.set_path(&format!("/execute/Email/{FUNCTION}")),
            Api::Whm => {
                url.set_path(WHM_UAPI);
                parameters.extend_pairs(as_account(account, "Email", FUNCTION));
            }
        }
        self.call_once(Method::Post, url, parameters.finish()).await
    }

    async fn exchange_together(&self, items: &[Item<'_>]) -> Together {
        let mut url = self.base.clone();
        url.set_path(batch::path(self.api));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let body = self.gate.body(batch::form(self.api, items));
        let request = self.client.post(url).header(CONTENT_TYPE, form).body(body);
        let nothing = |http_status, verdict| Together {
            http_status,
            verdict,
            verdicts: vec![None; items.len()],
            reached: None,
            refusal: None,
        };
        let taken = match request.send().await {
            Ok(response) => self.take(response, MAX_TOGETHER_BYTES, None).await,
            Err(fault) => return nothing(None, self.presentable(from_fault(fault))),
        };
        let status = Some(taken.status);
        let is_whole = taken.status == 200 && taken.lost.is_none();
        match is_whole.then(|| batch::items(self.api, taken.bytes(), items.len())).flatten() {
            Some(Items { verdicts, reached, refusal }) => Together {
                http_status: status,
                verdict: Verdict::Done,
                verdicts: verdicts
                    .into_iter()
                    .map(|verdict| verdict.map(|verdict| self.presentable(verdict)))
                    .collect(),
                reached,
                refusal: refusal.map(|words| clip(&self.redacted(&clean(&words)), MAX_ERROR_CHARS)),
            },
            None => {
                let verdict = match taken.judge(Expected::Whm) {
                    // JSON of the API, and yet no answer to a batch.
                    Verdict::Done | Verdict::Rejected { .. } => odd_batch(),
                    verdict => verdict,
                };
                nothing(status, self.presentable(verdict))
            }
        }
    }

    async fn call_once(&self, method: Method, mut url: Url, parameters: String) -> Answer {
        let request = match method {
            Method::Get => {
                url.set_query(Some(&parameters));
                self.client.get(url).body(self.gate.body(""))
            }
            Method::Post => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                self.client.post(url).header(CONTENT_TYPE, form).body(self.gate.body(parameters))
            }
        };
        let answer = match request.send().await {
            Ok(response) => {
                let taken = self.take(response, MAX_ANSWER_BYTES, None).await;
                Answer { http_status: Some(taken.status), verdict: taken.judge_by(&self.last_success) }
            }
            Err(fault) => Answer { http_status: None, verdict: from_fault(fault) },
        };
        Answer { verdict: self.presentable(answer.verdict), ..answer }
    }

    async fn ask(&self, question: Question<'_>) -> Reading {
        let mut reading =
            Reading { http_status: None, verdict: Verdict::Done, found: Found::Nothing, certificate: None };
        let asked = match reading::asked(self.api, question) {
            Ok(asked) => asked,
            Err(words) => return Reading { verdict: not_asked(words), ..reading },
        };
        let mut url = self.base.clone();
        url.set_path(asked.path);
        if !asked.parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(asked.parameters);
        }
        match self.client.get(url).body(self.gate.body("")).send().await {
            Ok(response) => {
                reading.certificate = self.certificate(&response);
                let mut share = ROOM.share();
                let taken = self.take(response, MAX_READING_BYTES, Some(&mut share)).await;
                reading.http_status = Some(taken.status);
                let (verdict, body) = taken.judge_and_keep(asked.expected);
                reading.verdict = verdict;
                if let Some(body) = body {
                    match reading::pick(question, &body, &self.user, |name| self.is_secret(name)) {
                        Ok(found) => reading.found = self.presentable_found(found),
                        Err(words) => reading.verdict = odd_data(&words),
                    }
                }
            }
            Err(fault) => reading.verdict = from_fault(fault),
        }
        reading.verdict = self.presentable(reading.verdict);
        reading
    }

    /// Takes an answer in. After a refusal nothing more leaves, not even while its words are read.
    async fn take(&self, response: Response, limit: usize, share: Option<&mut Share<'_>>) -> Taken {
        if is_refusal(response.status().as_u16()) {
            self.gate.close();
        }
        take(response, limit, share).await
    }

    /// The certificate of the connection that an answer came by, if it was wanted.
    fn certificate(&self, response: &Response) -> Option<Certificate> {
        let der = response.extensions().get::<TlsInfo>()?.peer_certificate()?;
        let certificate = Certificate::from_der(der)?;
        Some(Certificate { issuer: self.redacted(&certificate.issuer), ..certificate })
    }

    /// Whether a name holds the credential: a server may echo it wherever it likes. A name that is
    /// looked up later cannot be changed, so it is left out whole. A short password may well be part
    /// of a name by chance.
    fn is_secret(&self, name: &str) -> bool {
        const TOO_LONG_FOR_CHANCE: usize = 16;
        let (Credential::Token(secret) | Credential::Password(secret)) = &self.credential;
        let is_in = |secret: &Secret| secret.is_in(name);
        secret.expose().len() >= TOO_LONG_FOR_CHANCE
            && (is_in(secret) || self.encoded.as_ref().is_some_and(is_in))
    }

    fn redacted(&self, text: &str) -> String {
        let (Credential::Token(secret) | Credential::Password(secret)) = &self.credential;
        let text = secret.redact(text);
        self.encoded.as_ref().map_or_else(|| text.clone(), |encoded| encoded.redact(&text))
    }

    /// Cuts the credential out of the names of tokens, then what is too long.
    fn presentable_found(&self, mut found: Found) -> Found {
        if let Found::Tokens(tokens) = &mut found {
            for token in tokens {
                token.name = clip(&self.redacted(&token.name), MAX_TOKEN_NAME_CHARS);
            }
        }
        found
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
            *error = clip(&self.redacted(error), MAX_ERROR_CHARS);
        }
        verdict
    }
}

impl Transport for HttpTransport {
    fn halt(&self) {
        self.gate.close();
    }

    /// cPanel knows the account by the credential, so it is named to WHM alone.
    fn call<'a>(
        &'a self,
        account: &'a str,
        function: Function,
        mailbox: &'a str,
    ) -> LocalBoxFuture<'a, Answer> {
        self.exchange(account, function, mailbox).boxed_local()
    }

    fn call_together<'a>(&'a self, items: &'a [Item<'a>]) -> LocalBoxFuture<'a, Together> {
        self.exchange_together(items).boxed_local()
    }

    fn end_sessions<'a>(&'a self, account: &'a str) -> LocalBoxFuture<'a, Answer> {
        self.terminate_sessions(account).boxed_local()
    }
}

impl Reader for HttpTransport {
    /// Always a GET: it changes nothing.
    fn read<'a>(&'a self, question: Question<'a>) -> LocalBoxFuture<'a, Reading> {
        self.ask(question).boxed_local()
    }
}

/// The `Host` header for a URL.
fn host_header(base: &Url) -> Result<HeaderValue, SetupError> {
    let host = base.host_str().unwrap_or_default();
    let text = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&text).map_err(|_| SetupError::Header)
}

/// Puts the port to connect to into the URL: there it counts more than one that a name resolves to.
/// The host stays, for TLS to ask for; the way to its address is the resolver's.
fn lead(base: &mut Url, connect_to: &ConnectTo) -> Result<(), SetupError> {
    if !connect_to.fits(base) {
        return Err(SetupError::ConnectTo(format!(
            "the URL's host is itself an address, which always is connected to: write the server's name into the \
             URL, and {connect_to} stays here"
        )));
    }
    if let Some(port) = connect_to.port() {
        // Only a URL without a host has no port.
        let _ = base.set_port(Some(port));
    }
    Ok(())
}

fn authorization(
    api: Api,
    user: &str,
    credential: &Credential,
) -> Result<(HeaderValue, Option<Secret>), SetupError> {
    let (text, encoded) = match credential {
        // The kind of token is named as the interface is (vendor's guide to API authentication).
        Credential::Token(token) => (format!("{api} {user}:{}", token.expose()), None),
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
