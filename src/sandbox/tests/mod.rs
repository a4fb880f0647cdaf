//! The sandbox as a client sees it: over a real connection, with a client library of its own.

mod access;
mod batch;
mod calls;
mod capacity;
mod misbehaviour;
mod process;
mod tls;
mod whm;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

const USER: &str = "exampleu";
const TOKEN: &str = "SANDBOXTOKEN";

fn world() -> World {
    World::for_mailboxes(USER, TOKEN, ["alice@example.com", "bob@example.com"])
}

fn start() -> Sandbox {
    start_with(Options::default())
}

fn start_with(options: Options) -> Sandbox {
    Sandbox::start(Options { world: world(), ..options }).unwrap()
}

fn misbehaving(rules: impl IntoIterator<Item = Rule>) -> Sandbox {
    start_with(Options { script: Script::of(rules), ..Options::default() })
}

/// A client of one sandbox with the right token.
struct Client {
    http: reqwest::Client,
    url: String,
    authorization: Option<String>,
}

/// What came back: status, content type, body.
struct Got {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl Client {
    fn of(sandbox: &Sandbox) -> Client {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Client { http, url: sandbox.url(), authorization: Some(format!("cpanel {USER}:{TOKEN}")) }
    }

    fn with(sandbox: &Sandbox, authorization: &str) -> Client {
        Client { authorization: Some(authorization.to_owned()), ..Client::of(sandbox) }
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> reqwest::Result<Got> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        self.send(self.http.get(format!("{}{path}?{query}", self.url))).await
    }

    async fn post(&self, path: &str, params: &[(&str, &str)]) -> reqwest::Result<Got> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let request = self.http.post(format!("{}{path}", self.url)).body(form);
        self.send(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    /// Calls a function of `Email` for an address.
    async fn call(&self, function: &str, email: &str) -> reqwest::Result<Got> {
        self.get(&format!("/execute/Email/{function}"), &[("email", email)]).await
    }

    /// The body of a call that is answered well by HTTP.
    async fn json(&self, function: &str, email: &str) -> Value {
        let got = self.call(function, email).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.body);
        got.json()
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> reqwest::Result<Got> {
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Got { status, headers, body: answer.text().await? })
    }
}

/// Makes a call and leaves as soon as it has arrived.
async fn abandon(sandbox: &Sandbox, call: impl Future<Output = reqwest::Result<Got>>) {
    let before = sandbox.requests_seen();
    let arrived = async {
        while sandbox.requests_seen() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        got = call => panic!("answered with {:?}", got.map(|got| got.status)),
        () = arrived => {}
    }
}

/// The envelope of a success.
fn ok(data: Value) -> Value {
    json!({"status":1,"errors":null,"messages":null,"warnings":null,"metadata":{},"data":data})
}

/// The envelope of a failure.
fn failure(error: &str) -> Value {
    json!({"status":0,"errors":[error],"messages":null,"warnings":null,"metadata":{},"data":null})
}

fn state_of(sandbox: &Sandbox, email: &str) -> MailboxState {
    sandbox.world().mailbox(email).unwrap()
}

/// Whether the login is suspended: the effect of the call that these tests mostly make.
fn is_suspended(sandbox: &Sandbox) -> bool {
    state_of(sandbox, "alice@example.com").flags.login
}
