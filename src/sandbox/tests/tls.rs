//! The sandbox with a certificate of its own.

use sha2::{Digest, Sha256};

use super::*;

fn client(sandbox: &Sandbox, ca_pem: &str) -> Client {
    let plain = Client::of(sandbox);
    let ca = reqwest::Certificate::from_pem(ca_pem.as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only([ca])
        .retry(reqwest::retry::never())
        .tls_info(true)
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    Client { http, ..plain }
}

fn secure(tls: Tls) -> Sandbox {
    start_with(Options { tls: Some(tls), ..Options::default() })
}

/// What stands in the way of a call with this certificate, all causes in one line.
async fn objection(tls: Tls) -> String {
    let sandbox = secure(tls);
    let client = client(&sandbox, sandbox.ca_pem().unwrap());
    let fault = client.call("suspend_login", "alice@example.com").await.err().expect("a refusal");
    assert!(!is_suspended(&sandbox) && sandbox.requests_seen() == 0);
    format!("{fault:?}")
}

#[tokio::test]
async fn who_trusts_the_authority_is_served_and_sees_the_pinned_key() {
    let sandbox = secure(Tls::default());
    assert!(sandbox.url().starts_with("https://127.0.0.1:"));
    let client = client(&sandbox, sandbox.ca_pem().unwrap());
    client.json("suspend_login", "alice@example.com").await;
    assert!(is_suspended(&sandbox));
    let answer = client.http.get(sandbox.url()).send().await.unwrap();
    let shown = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(shown).unwrap();
    let hash = Sha256::digest(leaf.tbs_certificate.subject_pki.raw);
    let pin: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sandbox.pin_sha256(), Some(pin.as_str()));
    let by_name = client.http.get(format!("https://localhost:{}/", sandbox.port())).send().await;
    assert_eq!(by_name.unwrap().status(), 404);
}

#[tokio::test]
async fn a_stranger_an_end_and_another_name_are_refused() {
    let other = Authority::new().unwrap();
    let sandbox = secure(Tls::default());
    let stranger = client(&sandbox, &other.pem()).call("suspend_login", "alice@example.com").await;
    assert!(format!("{:?}", stranger.err().unwrap()).contains("Certificate"));
    let expired = objection(Tls::expired()).await;
    assert!(expired.contains("Expired"), "{expired}");
    let misnamed = objection(Tls::for_name("web01.example.net")).await;
    assert!(misnamed.contains("NotValidForName"), "{misnamed}");
}

#[tokio::test]
async fn one_authority_can_sign_for_several_servers_and_each_for_its_time() {
    let authority = Authority::new().unwrap();
    let tls = Tls { authority: Some(authority.clone()), ..Tls::ending_in(Duration::from_secs(5 * 86_400)) };
    let (one, two) = (secure(tls.clone()), secure(tls));
    for sandbox in [&one, &two] {
        client(sandbox, &authority.pem()).json("suspend_login", "alice@example.com").await;
    }
    assert_ne!(one.pin_sha256(), two.pin_sha256());
    let client = client(&one, &authority.pem());
    let answer = client.http.get(one.url()).send().await.unwrap();
    let shown = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(shown).unwrap();
    let left = leaf.validity().time_to_expiration().unwrap().whole_hours();
    assert!((5 * 24 - 2..=5 * 24).contains(&left), "{left}");
}

#[tokio::test]
async fn misbehaviour_looks_the_same_through_tls() {
    let rules = [
        Rule::new(Fault::status(403)).nth(1),
        Rule::new(Fault::ResetAfter).nth(1),
        Rule::new(Fault::CutJson(Cut::Length)).nth(1),
        Rule::new(Fault::CutJson(Cut::Chunked)).nth(1),
    ];
    let tls = Some(Tls::default());
    let sandbox = start_with(Options { tls, script: Script::of(rules), ..Options::default() });
    let client = client(&sandbox, sandbox.ca_pem().unwrap());
    let call = async || client.call("suspend_login", "alice@example.com").await;
    // Its end is the connection's, so it must be an orderly one.
    let denied = call().await.unwrap();
    assert_eq!((denied.status, denied.body.ends_with("}\r\n")), (403, true));
    assert!(!is_suspended(&sandbox));
    let reset = call().await.err().expect("no answer");
    assert_eq!(misbehaviour::io_kind(&reset), Some(std::io::ErrorKind::ConnectionReset), "{reset:?}");
    assert!(is_suspended(&sandbox));
    assert!(call().await.err().is_some_and(|e| e.is_body() || e.is_decode()));
    let cut = call().await.unwrap();
    assert!(cut.status == 200 && serde_json::from_str::<Value>(&cut.body).is_err());
    assert_eq!(call().await.unwrap().status, 200);
}

#[tokio::test]
async fn what_does_not_speak_tls_harms_nobody() {
    let sandbox = secure(Tls::default());
    let plain = Client::of(&sandbox);
    let plain = Client { url: plain.url.replace("https", "http"), ..plain };
    assert!(plain.call("suspend_login", "alice@example.com").await.is_err());
    let client = client(&sandbox, sandbox.ca_pem().unwrap());
    client.json("suspend_login", "alice@example.com").await;
}
