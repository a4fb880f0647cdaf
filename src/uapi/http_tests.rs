//! What an [`HttpTransport`] puts on the wire and makes of what comes back.

use super::testing::*;
use super::*;
use crate::domain::{ErrorClass, Function, Secret};

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
