//! Each fault: what the client sees of it, and whether the call had its effect.

use std::error::Error as _;
use std::time::Instant;

use super::*;

/// One call that meets the fault.
async fn meet(fault: Fault) -> (Sandbox, reqwest::Result<Got>) {
    let sandbox = misbehaving([Rule::new(fault).once()]);
    let got = Client::of(&sandbox).call("suspend_login", "alice@example.com").await;
    (sandbox, got)
}

pub(super) fn io_kind(error: &reqwest::Error) -> Option<std::io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

#[tokio::test]
async fn a_reset_shows_as_one_and_has_its_effect_only_afterwards() {
    for (fault, effect) in [(Fault::ResetBefore, false), (Fault::ResetAfter, true)] {
        let (sandbox, got) = meet(fault.clone()).await;
        let error = got.err().expect("no answer");
        assert_eq!(io_kind(&error), Some(std::io::ErrorKind::ConnectionReset), "{error:?}");
        assert_eq!(is_suspended(&sandbox), effect);
        let request = &sandbox.requests()[0];
        assert_eq!((request.status, request.had_effect, request.fault), (None, effect, Some(fault.word())));
        assert!(request.ended.is_some());
    }
}

#[tokio::test]
async fn cut_off_json_has_its_effect_and_shows_in_http_or_not_at_all() {
    let (sandbox, got) = meet(Fault::CutJson(Cut::Length)).await;
    assert!(got.err().is_some_and(|e| e.is_body() || e.is_decode()));
    assert!(is_suspended(&sandbox));

    let (sandbox, got) = meet(Fault::CutJson(Cut::Chunked)).await;
    let got = got.unwrap();
    assert_eq!(got.status, 200);
    assert!(got.body.starts_with("{\"status\":1,") && serde_json::from_str::<Value>(&got.body).is_err());
    assert!(is_suspended(&sandbox));
}

#[tokio::test]
async fn pages_in_place_of_json_have_no_effect() {
    let (sandbox, got) = meet(Fault::LoginPage).await;
    let got = got.unwrap();
    assert_eq!(
        (got.status, &got.headers["content-type"]),
        (200, &"text/html; charset=\"utf-8\"".parse().unwrap())
    );
    assert!(got.body.contains("The login is invalid."));
    assert!(!is_suspended(&sandbox));

    let (sandbox, got) = meet(Fault::EchoAuthorization).await;
    let got = got.unwrap();
    assert_eq!(got.status, 500);
    assert!(got.body.contains("cpanel exampleu:SANDBOXTOKEN"));
    assert!(!is_suspended(&sandbox));
}

#[tokio::test]
async fn a_status_comes_with_or_without_effect() {
    for code in [401, 408, 429, 500, 502, 503, 504] {
        for effect_first in [false, true] {
            let (sandbox, got) = meet(Fault::Status { code, retry_after: None, effect_first }).await;
            let got = got.unwrap();
            assert_eq!((got.status, is_suspended(&sandbox)), (code, effect_first));
            assert_eq!(got.headers.get("retry-after"), None);
            assert!(serde_json::from_str::<Value>(&got.body).is_err());
        }
    }
    let (_, got) = meet(Fault::status(500)).await;
    assert!(got.unwrap().body.contains("No response from subprocess (…)"));
}

#[tokio::test]
async fn retry_after_goes_out_as_it_is_if_it_can() {
    for value in ["7", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", ""] {
        let (_, got) = meet(Fault::retry_after(429, value)).await;
        assert_eq!(got.unwrap().headers["retry-after"], value);
    }
    let (_, got) = meet(Fault::retry_after(503, "a\nb")).await;
    let got = got.unwrap();
    assert_eq!((got.status, got.headers.get("retry-after")), (503, None));
}

#[tokio::test]
async fn a_403_has_the_recorded_form_and_a_redirect_leads_elsewhere() {
    let (_, got) = meet(Fault::status(403)).await;
    let got = got.unwrap();
    assert_eq!(got.status, 403);
    assert!(got.body.starts_with("{\"cpanelresult\":"));
    let (sandbox, got) = meet(Fault::status(302)).await;
    let got = got.unwrap();
    assert_eq!(
        (got.status, got.headers["location"].to_str().unwrap()),
        (302, "https://elsewhere.invalid/login")
    );
    assert!(!is_suspended(&sandbox));
    let (_, got) = meet(Fault::Redirect("http://127.0.0.2:1/x".into())).await;
    assert_eq!(got.unwrap().headers["location"], "http://127.0.0.2:1/x");
}

#[tokio::test]
async fn a_code_that_is_none_is_a_500() {
    for code in [0, 42, 100, 101, 199, 1000, u16::MAX] {
        assert_eq!(meet(Fault::status(code)).await.1.unwrap().status, 500, "{code}");
    }
}

#[tokio::test]
async fn the_api_may_fail_or_lie_without_effect() {
    let (sandbox, got) = meet(Fault::ApiFailure("You do not have the feature “popaccts”.".into())).await;
    assert_eq!(got.unwrap().json(), failure("You do not have the feature “popaccts”."));
    assert!(!is_suspended(&sandbox));
    let (sandbox, got) = meet(Fault::NoEffect).await;
    assert_eq!(got.unwrap().json(), ok(Value::Null));
    let request = &sandbox.requests()[0];
    assert!(!is_suspended(&sandbox) && !request.carried_out && !request.had_effect);
}

#[tokio::test]
async fn a_delay_delays_and_latency_adds_to_it() {
    let sandbox = misbehaving([Rule::new(Fault::Delay(Duration::from_millis(120))).once()]);
    sandbox.set_latency(Duration::from_millis(80));
    let client = Client::of(&sandbox);
    for least in [200, 80] {
        let start = Instant::now();
        client.json("suspend_login", "alice@example.com").await;
        assert!(start.elapsed() >= Duration::from_millis(least));
    }
    for (request, least) in sandbox.requests().iter().zip([200, 80]) {
        assert!(request.ended.unwrap() - request.started >= Duration::from_millis(least));
    }
}

#[tokio::test]
async fn a_hang_never_answers_and_holds_up_nobody_else() {
    let sandbox = misbehaving([Rule::new(Fault::Hang).email("alice@")]);
    let client = Client::of(&sandbox);
    abandon(&sandbox, client.call("suspend_login", "alice@example.com")).await;
    client.json("suspend_login", "bob@example.com").await;
    assert!(!is_suspended(&sandbox));
    assert_eq!(sandbox.requests()[0].ended, None);
}

#[tokio::test]
async fn raw_bytes_go_out_as_they_are_however_many() {
    let mut raw = b"HTTP/1.1 200 Odd\r\nContent-Type: image/png\r\n\r\n\x1b[2J\0".to_vec();
    let head = raw.len() - 5;
    raw.resize(head + (8 << 20), b'x');
    let (sandbox, got) = meet(Fault::Raw(raw)).await;
    let got = got.unwrap();
    assert_eq!((got.body.len(), &got.body[..6]), (8 << 20, "\u{1b}[2J\0x"));
    assert_eq!(got.headers["content-type"], "image/png");
    assert!(!is_suspended(&sandbox));
    let (_, got) = meet(Fault::Raw(b"no http at all".to_vec())).await;
    assert!(got.is_err());
}

#[tokio::test]
async fn a_dead_server_refuses_until_it_comes_back_on_its_port() {
    let sandbox = misbehaving([Rule::new(Fault::Dead).nth(2)]);
    let client = Client::of(&sandbox);
    client.json("suspend_incoming", "alice@example.com").await;
    assert!(client.call("suspend_login", "alice@example.com").await.is_err());
    let refused = client.call("suspend_login", "alice@example.com").await.err().unwrap();
    assert!(refused.is_connect());
    assert_eq!(io_kind(&refused), Some(std::io::ErrorKind::ConnectionRefused));
    sandbox.set_dead(true).unwrap();
    assert!(!is_suspended(&sandbox));
    sandbox.set_dead(false).unwrap();
    sandbox.set_dead(false).unwrap();
    client.json("suspend_login", "alice@example.com").await;
    assert!(is_suspended(&sandbox));
    assert_eq!(sandbox.requests_seen(), 3);
}

#[tokio::test]
async fn dying_closes_open_connections() {
    let sandbox = misbehaving([Rule::new(Fault::Hang)]);
    let client = Client::of(&sandbox);
    let call = async { client.call("suspend_login", "alice@example.com").await };
    let kill = async {
        while sandbox.requests_seen() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sandbox.set_dead(true).unwrap();
    };
    let (got, ()) = tokio::join!(call, kill);
    assert!(got.is_err());
}

#[tokio::test]
async fn shares_of_a_script_meet_requests_over_the_wire() {
    let script = "429:1=40%,login-page=30%".parse().unwrap();
    let sandbox = start_with(Options { script, seed: 11, ..Options::default() });
    let client = Client::of(&sandbox);
    let (mut throttled, mut pages) = (0, 0);
    for _ in 0..200 {
        let got = client.call("suspend_login", "alice@example.com").await.unwrap();
        throttled += usize::from(got.status == 429 && got.headers["retry-after"] == "1");
        pages += usize::from(got.status == 200 && got.body.starts_with('<'));
    }
    assert!((50..110).contains(&throttled) && (30..90).contains(&pages), "{throttled} {pages}");
}
