//! What an [`HttpTransport`] puts on the wire and makes of what comes back, against a server that
//! speaks the bytes it is told.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::domain::{ErrorClass, Function, Secret};

const TOKEN: &str = "T0KEN-OF-THIS-TEST-0123456789";
const OK: &str = r#"{"data":{"uapi":{"status":1}},"metadata":{"result":1,"reason":"OK"}}"#;
const DOMAINS: &str =
    r#"{"data":{"domains":[{"domain":"a.example","user":"auser"}]},"metadata":{"result":1,"reason":"OK"}}"#;

/// A request as it came in; no TLS name means no TLS, or an address.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: Option<String>,
    text: String,
}

/// A server on loopback that gives every request the same answer, for as long as the runtime lives.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start(tls: Option<ServerConfig>, body: impl Into<Vec<u8>>) -> Server {
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

    fn seen(&self) -> Vec<Seen> {
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

fn token() -> Credential {
    Credential::Token(Secret::new(TOKEN.to_owned()))
}

fn transport(endpoint: &Endpoint, options: &HttpOptions) -> HttpTransport {
    HttpTransport::new(endpoint, "root", token(), options).unwrap()
}

fn endpoint(url: &str, api: Api) -> Endpoint {
    Endpoint::new(url.parse().unwrap(), api)
}

async fn suspend(transport: &HttpTransport) -> Verdict {
    transport.call("auser", Function::SuspendLogin, "a+b@a.example").await.verdict
}

#[tokio::test]
async fn a_call_through_whm_names_the_account_and_the_function() {
    let server = Server::start(None, OK).await;
    let whm = endpoint(&format!("http://127.0.0.1:{}", server.port), Api::Whm);
    let get = transport(&whm, &HttpOptions::default());
    let post = transport(&whm, &HttpOptions { method: Method::Post, ..HttpOptions::default() });
    assert_eq!(suspend(&get).await, Verdict::Done);
    assert_eq!(suspend(&post).await, Verdict::Done);
    let release = get.call("buser", Function::ReleaseOutgoing, "b@b.example").await;
    assert_eq!((release.http_status, release.verdict), (Some(200), Verdict::Done));
    let form = |account, function, mailbox| {
        format!(
            "api.version=1&cpanel.user={account}&cpanel.module=Email&cpanel.function={function}&email={mailbox}"
        )
    };
    let login = form("auser", "suspend_login", "a%2Bb%40a.example");
    let seen = server.seen();
    assert!(seen[0].text.starts_with(&format!("GET /json-api/uapi_cpanel?{login} HTTP/1.1\r\n")), "{seen:?}");
    for (request, body) in [(&seen[1], login), (&seen[2], form("buser", "release_outgoing", "b%40b.example"))]
    {
        assert!(request.text.starts_with("POST /json-api/uapi_cpanel HTTP/1.1\r\n"), "{request:?}");
        assert!(request.text.ends_with(&format!("\r\n\r\n{body}")), "{request:?}");
    }
    for request in &seen {
        assert!(request.text.contains(&format!("authorization: whm root:{TOKEN}\r\n")), "{request:?}");
    }
}

#[tokio::test]
async fn a_call_at_an_accounts_own_server_does_not_name_the_account() {
    let server = Server::start(None, r#"{"status":1}"#).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let cpanel = transport(&endpoint(&url, Api::Cpanel), &HttpOptions::default());
    assert_eq!(suspend(&cpanel).await, Verdict::Done);
    let password = Credential::Password(Secret::new("pa:ss".to_owned()));
    let whm = HttpTransport::new(&endpoint(&url, Api::Whm), "root", password, &HttpOptions::default());
    suspend(&whm.unwrap()).await;
    let seen = server.seen();
    assert!(
        seen[0].text.starts_with("GET /execute/Email/suspend_login?email=a%2Bb%40a.example HTTP/1.1\r\n")
    );
    assert!(seen[0].text.contains(&format!("authorization: cpanel root:{TOKEN}\r\n")));
    assert!(seen[1].text.contains("authorization: Basic cm9vdDpwYTpzcw==\r\n"), "{seen:?}");
}

#[tokio::test]
async fn each_question_has_its_request_and_its_answer() {
    let owner = r#"{"metadata":{"result":1},"data":{"user":"auser"}}"#;
    let mail = r#"{"status":1,"data":[{"domain":"A.example"}]}"#;
    let tokens = r#"{"status":1,"data":[{"name":"t","expires_at":null}]}"#;
    let pair = |user: &str| Found::Domains(vec![("a.example".to_owned(), user.to_owned())]);
    for (api, question, line, body, found) in [
        (Api::Whm, Question::DomainInfo, "/json-api/get_domain_info?api.version=1", DOMAINS, pair("auser")),
        (
            Api::Whm,
            Question::DomainOwner("a&b.example"),
            "/json-api/getdomainowner?api.version=1&domain=a%26b.example",
            owner,
            Found::Owner(Some("auser".to_owned())),
        ),
        (Api::Cpanel, Question::MailDomains, "/execute/Email/list_mail_domains", mail, pair("root")),
        (
            Api::Cpanel,
            Question::Tokens,
            "/execute/Tokens/list",
            tokens,
            Found::Tokens(vec![Token { name: "t".to_owned(), expires_at: None }]),
        ),
    ] {
        let server = Server::start(None, body).await;
        let options = HttpOptions { method: Method::Post, wants_certificate: true, ..HttpOptions::default() };
        let reader = transport(&endpoint(&format!("http://127.0.0.1:{}", server.port), api), &options);
        let reading = reader.read(question).await;
        let expected = Reading { http_status: Some(200), verdict: Verdict::Done, found, certificate: None };
        assert_eq!(reading, expected);
        assert!(
            server.seen()[0].text.starts_with(&format!("GET {line} HTTP/1.1\r\n")),
            "{:?}",
            server.seen()
        );

        let other = if api == Api::Whm { Api::Cpanel } else { Api::Whm };
        let reader = transport(&endpoint(&format!("http://127.0.0.1:{}", server.port), other), &options);
        let reading = reader.read(question).await;
        assert_eq!(reading.verdict.class(), Some(ErrorClass::NotPermitted));
        assert_eq!((reading.http_status, reading.found), (None, Found::Nothing));
        assert_eq!(server.seen().len(), 1, "a question that is not answered there is not sent");
    }
}

#[tokio::test]
async fn a_reading_that_fails_or_is_odd_finds_nothing() {
    for (body, verdict) in [
        (
            r#"{"metadata":{"result":0,"reason":"Access denied"},"data":{"domains":[]}}"#,
            Verdict::Rejected { class: ErrorClass::NotPermitted, error: "Access denied".into() },
        ),
        (
            r#"{"metadata":{"result":1},"data":{"domains":7}}"#,
            Verdict::Foreign {
                class: ErrorClass::BadAnswer,
                error: "the answer is a success, but it has no list of domains in it".into(),
                open: false,
            },
        ),
    ] {
        let server = Server::start(None, body).await;
        let whm = endpoint(&format!("http://127.0.0.1:{}", server.port), Api::Whm);
        let reading = transport(&whm, &HttpOptions::default()).read(Question::DomainInfo).await;
        assert_eq!((reading.verdict, reading.found), (verdict, Found::Nothing));
    }
}

#[tokio::test]
async fn of_an_answer_a_reading_takes_more_than_a_call_but_not_all() {
    let filler = "x".repeat(MAX_ANSWER_BYTES);
    let server = Server::start(None, DOMAINS.replace("{\"data\"", &format!("{{\"x\":\"{filler}\",\"data\"")));
    let server = server.await;
    let whm = endpoint(&format!("http://127.0.0.1:{}", server.port), Api::Whm);
    let both = transport(&whm, &HttpOptions::default());
    assert_eq!(both.read(Question::DomainInfo).await.verdict, Verdict::Done);
    assert!(suspend(&both).await.into_error().contains("longer than 1024 KB"));

    let server = Server::start(None, vec![b' '; MAX_READING_BYTES + 1]).await;
    let whm = endpoint(&format!("http://127.0.0.1:{}", server.port), Api::Whm);
    let reading = transport(&whm, &HttpOptions::default()).read(Question::DomainInfo).await;
    assert!(reading.verdict.into_error().contains("longer than 65536 KB"));
}

#[tokio::test]
async fn what_a_reading_tells_never_holds_the_credential() {
    let echo = format!(
        r#"{{"metadata":{{"result":0,"reason":"no: {TOKEN}\u001b[2J"}},"status":1,
        "data":[{{"name":"{TOKEN} {}","expires_at":1}},{{"domain":"{TOKEN}.example"}},{{"domain":"b.example"}}]}}"#,
        "y".repeat(600)
    );
    let server = Server::start(None, echo.clone()).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let whm = transport(&endpoint(&url, Api::Whm), &HttpOptions::default());
    let told = whm.read(Question::DomainInfo).await.verdict.into_error();
    assert_eq!(told, "no: ••• [2J");

    let server = Server::start(None, echo.replace(r#""result":0"#, r#""result":1"#)).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let cpanel = transport(&endpoint(&url, Api::Cpanel), &HttpOptions::default());
    let Found::Tokens(tokens) = cpanel.read(Question::Tokens).await.found else { panic!("no tokens") };
    assert!(tokens[0].name.starts_with("••• yyy") && tokens[0].name.chars().count() == 65, "{tokens:?}");
    let found = cpanel.read(Question::MailDomains).await.found;
    assert_eq!(found, Found::Domains(vec![("b.example".to_owned(), "root".to_owned())]));
}

/// A CA and what it signs.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: Vec<u8>,
}

impl Ca {
    fn new(name: &str) -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named(name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Ca { issuer: Issuer::new(params, key), pem }
    }
}

fn named(name: &str) -> rcgen::DistinguishedName {
    let mut full = rcgen::DistinguishedName::new();
    full.push(rcgen::DnType::CommonName, name);
    full
}

/// A server's certificate with its key.
struct Shown {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Shown {
    /// For this name, until this year; signed by the CA, or by itself.
    fn new(name: &str, year: i32, ca: Option<&Ca>) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = named("server");
        params.not_after = rcgen::date_time_ymd(year, 1, 2);
        let made = match ca {
            Some(ca) => params.signed_by(&key, &ca.issuer),
            None => params.self_signed(&key),
        };
        Shown { certificate: made.unwrap().der().clone(), key }
    }

    fn pin(&self) -> Pin {
        Pin::of(&self.key.subject_public_key_info())
    }

    fn served(&self) -> ServerConfig {
        self.served_with(&self.key, rustls::ALL_VERSIONS)
    }

    /// With a key that need not be the certificate's own.
    fn served_with(&self, key: &KeyPair, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        tls::install_crypto();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let pair = Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key));
        ServerConfig::builder_with_protocol_versions(versions)
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(pair)))
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn by_ca(ca: &Ca) -> Trust {
    Trust { ca_pem: Some(ca.pem.clone()), pin_sha256: None }
}

fn by_pin(pin: Pin) -> Trust {
    Trust { ca_pem: None, pin_sha256: Some(pin) }
}

/// `web01.example.net`, which is led to the server.
fn led(server: &Server, trust: Trust) -> Endpoint {
    let connect_to = Some(format!("127.0.0.1:{}", server.port));
    Endpoint { trust, connect_to, ..endpoint("https://web01.example.net:2087", Api::Whm) }
}

/// The words of a TLS fault that sent nothing and will not pass by itself.
async fn refused(server: &Server, trust: Trust) -> String {
    let verdict = suspend(&transport(&led(server, trust), &HttpOptions::default())).await;
    let Verdict::NotSent { class: ErrorClass::Tls, error, lasting: true } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(server.seen().is_empty(), "no request left: {:?}", server.seen());
    error
}

const NAME: &str = "web01.example.net";

#[tokio::test]
async fn with_a_ca_given_its_certificates_are_trusted_and_no_others() {
    let (ca, other) = (Ca::new("Ours"), Ca::new("Others"));
    let server = Server::start(Some(Shown::new(NAME, 2099, Some(&ca)).served()), OK).await;
    let words = refused(&server, by_ca(&other)).await;
    assert!(words.contains("was issued by Ours, which is not trusted here"), "{words}");
    let both = [other.pem.clone(), ca.pem.clone()].concat();
    for pem in [ca.pem, both] {
        let trust = Trust { ca_pem: Some(pem), pin_sha256: None };
        let transport = transport(&led(&server, trust), &HttpOptions::default());
        assert_eq!(suspend(&transport).await, Verdict::Done);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_told_in_words() {
    let ca = Ca::new("Ours");
    for (shown, said) in [
        (
            Shown::new(NAME, 2020, Some(&ca)),
            "the server's certificate expired on 2020-01-02 00:00 UTC: renew it",
        ),
        (
            Shown::new("x.example", 2099, Some(&ca)),
            "the server's certificate is for x.example, not for web01.example.net:",
        ),
        (Shown::new(NAME, 2099, None), "the server's certificate is self-signed: give it as ca_file"),
        (
            Shown::new(NAME, 2099, Some(&Ca::new("Ours"))),
            "names Ours as its issuer but was signed with another key",
        ),
    ] {
        let server = Server::start(Some(shown.served()), OK).await;
        let words = refused(&server, by_ca(&ca)).await;
        assert!(words.contains(said), "{words}");
        assert!(words.contains(&format!("set pin_sha256 to its key {}", shown.pin())), "{words}");
    }
}

#[tokio::test]
async fn without_anything_given_a_self_signed_certificate_is_not_accepted() {
    let server = Server::start(Some(Shown::new(NAME, 2099, None).served()), OK).await;
    match HttpTransport::new(&led(&server, Trust::default()), "root", token(), &HttpOptions::default()) {
        Ok(_) => assert!(refused(&server, Trust::default()).await.contains("is self-signed")),
        // A machine without any certificates can trust nobody.
        Err(fault) => assert!(fault.to_string().contains("ca-certificates"), "{fault}"),
    }
}

#[tokio::test]
async fn a_self_signed_certificate_may_be_its_own_ca_file() {
    let shown = Shown::new(NAME, 2099, None);
    let server = Server::start(Some(shown.served()), OK).await;
    use base64::prelude::{BASE64_STANDARD, Engine};
    let text = BASE64_STANDARD.encode(&shown.certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let trust = Trust { ca_pem: Some(pem.into_bytes()), pin_sha256: None };
    assert_eq!(suspend(&transport(&led(&server, trust), &HttpOptions::default())).await, Verdict::Done);
}

#[tokio::test]
async fn with_a_pin_the_key_alone_counts() {
    let shown = Shown::new("x.example", 2020, None);
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let server = Server::start(Some(shown.served_with(&shown.key, versions)), OK).await;
        let right = transport(&led(&server, by_pin(shown.pin())), &HttpOptions::default());
        assert_eq!(suspend(&right).await, Verdict::Done);
        assert_eq!(server.seen().len(), 1);

        let server = Server::start(Some(shown.served_with(&shown.key, versions)), OK).await;
        let other = Pin::of(b"another key");
        let words = refused(&server, by_pin(other)).await;
        let said =
            format!("the server's key is {}, not {other} as pin_sha256 says: nothing was sent", shown.pin());
        assert!(words.contains(&said), "{words}");
    }
}

#[tokio::test]
async fn a_pin_counts_although_a_ca_would_vouch() {
    let ca = Ca::new("Ours");
    let server = Server::start(Some(Shown::new(NAME, 2099, Some(&ca)).served()), OK).await;
    let trust = Trust { pin_sha256: Some(Pin::of(b"another key")), ..by_ca(&ca) };
    assert!(refused(&server, trust).await.contains("pin_sha256"));
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_proves_nothing() {
    let ca = Ca::new("Ours");
    let (shown, thief) = (Shown::new(NAME, 2099, Some(&ca)), KeyPair::generate().unwrap());
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        for trust in [by_pin(shown.pin()), by_ca(&ca)] {
            let server = Server::start(Some(shown.served_with(&thief, versions)), OK).await;
            let words = refused(&server, trust).await;
            assert!(words.contains("does not have the key of the certificate"), "{words}");
        }
    }
}

#[tokio::test]
async fn connected_elsewhere_the_server_is_still_asked_for_by_its_name() {
    let ca = Ca::new("Ours");
    let server = Server::start(Some(Shown::new(NAME, 2099, Some(&ca)).served()), OK).await;
    let port = server.port;
    for (url, connect_to, host) in [
        (
            "https://web01.example.net:2087".to_owned(),
            format!("127.0.0.1:{port}"),
            "web01.example.net:2087".to_owned(),
        ),
        ("https://web01.example.net".to_owned(), format!("127.0.0.1:{port}"), "web01.example.net".to_owned()),
        (
            "https://WEB01.example.net:2087".to_owned(),
            format!("localhost:{port}"),
            "web01.example.net:2087".to_owned(),
        ),
        (
            format!("https://web01.example.net:{port}"),
            "127.0.0.1".to_owned(),
            format!("web01.example.net:{port}"),
        ),
    ] {
        let endpoint =
            Endpoint { trust: by_ca(&ca), connect_to: Some(connect_to), ..endpoint(&url, Api::Whm) };
        let transport = transport(&endpoint, &HttpOptions::default());
        assert_eq!(suspend(&transport).await, Verdict::Done, "{endpoint:?}");
        let seen = server.seen().pop().unwrap();
        assert_eq!(seen.name.as_deref(), Some(NAME));
        let hosts: Vec<&str> = seen.text.lines().filter_map(|line| line.strip_prefix("host: ")).collect();
        assert_eq!(hosts, [host], "{endpoint:?}");
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_connect_host_that_does_not_exist_is_told_by_its_name() {
    // No name may have a part this long, so the system knows without asking anybody.
    let name = format!("{}.invalid", "x".repeat(70));
    let nowhere = Endpoint {
        connect_to: Some(format!("{name}:2087")),
        trust: by_pin(Pin::of(b"")),
        ..endpoint("https://web01.example.net", Api::Whm)
    };
    let verdict = suspend(&transport(&nowhere, &HttpOptions::default())).await;
    let Verdict::NotSent { class: ErrorClass::Connect, error, lasting: false } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(error.contains(&format!("connect_to {name} is not found")), "{error}");
}

#[test]
fn what_cannot_be_used_is_told_before_any_connection() {
    let at = |url, connect_to: Option<&str>, pem: Option<&str>| {
        let trust = Trust { ca_pem: pem.map(|pem| pem.as_bytes().to_vec()), pin_sha256: None };
        let connect_to = connect_to.map(str::to_owned);
        let endpoint = Endpoint { trust, connect_to, ..endpoint(url, Api::Whm) };
        HttpTransport::new(&endpoint, "root", token(), &HttpOptions::default()).err().unwrap().to_string()
    };
    let url = "https://web01.example.net";
    let pem = String::from_utf8(Ca::new("Ours").pem).unwrap();
    assert!(at(url, Some("a b"), Some(&pem)).starts_with("connect_to: “a b” is not"));
    let moved = at("https://192.0.2.7:2087", Some("192.0.2.8"), Some(&pem));
    assert!(moved.contains("URL's host is itself an address"), "{moved}");
    assert!(at(url, None, Some("")).contains("ca_file cannot be used: it holds no certificate"));
    assert!(
        at(url, None, Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"))
            .contains("ca_file")
    );
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(at(url, None, Some(no_certificate)).contains("ca_file"));
}

#[tokio::test]
async fn a_reading_tells_the_certificate_where_it_is_wanted() {
    let ca = Ca::new(&format!("Ours of {TOKEN}"));
    let shown = Shown::new(NAME, 2031, Some(&ca));
    let server = Server::start(Some(shown.served()), DOMAINS).await;
    for trust in [by_ca(&ca), by_pin(shown.pin())] {
        for wants_certificate in [true, false] {
            let options = HttpOptions { wants_certificate, ..HttpOptions::default() };
            let reading = transport(&led(&server, trust.clone()), &options).read(Question::DomainInfo).await;
            let expected = Certificate { issuer: "Ours of •••".to_owned(), not_after: 1_925_078_400 };
            assert_eq!(reading.verdict, Verdict::Done);
            assert_eq!(reading.certificate, wants_certificate.then_some(expected));
        }
    }
}
