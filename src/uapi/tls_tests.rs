//! Whom an [`HttpTransport`] takes for the right server, and where it looks for it.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::testing::*;
use super::*;
use crate::domain::ErrorClass;

/// A CA and what it signs.
pub struct Ca {
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
pub struct Shown {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Shown {
    /// For this name, until this year; signed by the CA, or by itself.
    pub fn new(name: &str, year: i32, ca: Option<&Ca>) -> Shown {
        Shown::marked(IsCa::NoCa, name, year, ca)
    }

    fn marked(is_ca: IsCa, name: &str, year: i32, ca: Option<&Ca>) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = named("server");
        params.not_after = rcgen::date_time_ymd(year, 1, 2);
        params.is_ca = is_ca;
        let made = match ca {
            Some(ca) => params.signed_by(&key, &ca.issuer),
            None => params.self_signed(&key),
        };
        Shown { certificate: made.unwrap().der().clone(), key }
    }

    fn pem(&self) -> Vec<u8> {
        let text = BASE64_STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
    }

    pub fn pin(&self) -> Pin {
        Pin::of(&self.key.subject_public_key_info())
    }

    pub fn served(&self) -> ServerConfig {
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
async fn a_self_signed_certificate_may_be_its_own_ca_file_unless_it_is_marked_as_a_ca() {
    let shown = Shown::new(NAME, 2099, None);
    let server = Server::start(Some(shown.served()), OK).await;
    let trust = Trust { ca_pem: Some(shown.pem()), pin_sha256: None };
    assert_eq!(suspend(&transport(&led(&server, trust), &HttpOptions::default())).await, Verdict::Done);

    let shown = Shown::marked(IsCa::Ca(BasicConstraints::Unconstrained), NAME, 2099, None);
    let server = Server::start(Some(shown.served()), OK).await;
    for pem in [shown.pem(), Ca::new("Ours").pem] {
        let words = refused(&server, Trust { ca_pem: Some(pem), pin_sha256: None }).await;
        assert!(words.contains("self-signed and marked as a CA's"), "{words}");
        assert!(words.contains(&format!("set pin_sha256 to its key {}", shown.pin())), "{words}");
    }
    let pinned = transport(&led(&server, by_pin(shown.pin())), &HttpOptions::default());
    assert_eq!(suspend(&pinned).await, Verdict::Done);
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
    assert!(at("http://127.0.0.1:2086", None, Some(&pem)).contains("use https"));
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
