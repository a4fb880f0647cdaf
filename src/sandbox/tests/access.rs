//! Who is let in, and who is not any more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

async fn status(client: &Client) -> u16 {
    client.call("get_held_message_count", "alice@example.com").await.unwrap().status
}

#[tokio::test]
async fn token_and_password_open_and_anything_else_is_a_401_with_a_login_page() {
    let sandbox = start_with(Options { lockout: None, ..Options::default() });
    assert_eq!(status(&Client::of(&sandbox)).await, 200);
    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{TOKEN}")));
    assert_eq!(status(&Client::with(&sandbox, &basic)).await, 200);
    for wrong in ["cpanel exampleu:WRONG", "cpanel nobody:SANDBOXTOKEN", "whm exampleu:SANDBOXTOKEN", "x"] {
        assert_eq!(status(&Client::with(&sandbox, wrong)).await, 401, "{wrong}");
    }
    let nobody = Client { authorization: None, ..Client::of(&sandbox) };
    let got = nobody.call("suspend_login", "alice@example.com").await.unwrap();
    assert_eq!(got.status, 401);
    assert_eq!(got.headers["content-type"], "text/html; charset=\"utf-8\"");
    assert!(got.body.contains("The login is invalid."));
    assert!(!is_suspended(&sandbox));
    let users: Vec<_> = sandbox.requests().into_iter().map(|r| r.user).collect();
    assert_eq!(users[3].as_deref(), Some("nobody"));
    assert_eq!(users.last(), Some(&None));
}

#[tokio::test]
async fn an_account_reaches_its_own_mailboxes_only() {
    let sandbox = start();
    sandbox.change(|world| world.add_account("other", "OTHER", "p")).unwrap().unwrap();
    let other = Client::with(&sandbox, "cpanel other:OTHER");
    let answer = other.json("suspend_login", "alice@example.com").await;
    assert_eq!(answer, failure("You do not have an email account named “alice@example.com”."));
    assert!(!is_suspended(&sandbox));
    let list = other.get("/execute/Email/list_pops", &[]).await.unwrap().json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn after_five_bad_logins_the_right_token_fails_with_the_same_text() {
    let sandbox = start();
    let bad = Client::with(&sandbox, "cpanel exampleu:WRONG");
    let mut refused = String::new();
    for _ in 0..5 {
        assert_eq!(status(&Client::of(&sandbox)).await, 200);
        refused = bad.call("suspend_login", "alice@example.com").await.unwrap().body;
    }
    let locked = Client::of(&sandbox).call("suspend_login", "alice@example.com").await.unwrap();
    assert_eq!((locked.status, locked.body), (401, refused));
    assert!(!is_suspended(&sandbox));
    sandbox.forgive_logins();
    assert_eq!(status(&Client::of(&sandbox)).await, 200);
}

#[tokio::test]
async fn the_lock_opens_when_its_time_is_over_or_is_never_shut() {
    let lockout = Some(Lockout { after: 1, lasts: Duration::from_secs(1) });
    let sandbox = start_with(Options { lockout, ..Options::default() });
    let (good, bad) = (Client::of(&sandbox), Client::with(&sandbox, "cpanel exampleu:WRONG"));
    assert_eq!(status(&bad).await, 401);
    let mut tries = 0;
    while status(&good).await == 401 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        tries += 1;
        assert!(tries < 500);
    }
    assert!(tries > 0);

    let sandbox = start_with(Options { lockout: None, ..Options::default() });
    let bad = Client::with(&sandbox, "cpanel exampleu:WRONG");
    for _ in 0..10 {
        assert_eq!(status(&bad).await, 401);
    }
    assert_eq!(status(&Client::of(&sandbox)).await, 200);
}

#[tokio::test]
async fn a_refusal_may_come_as_the_recorded_403() {
    let script = "refuse=403".parse().unwrap();
    let sandbox = start_with(Options { script, ..Options::default() });
    let got = Client::with(&sandbox, "cpanel exampleu:WRONG").call("suspend_login", "a").await.unwrap();
    assert_eq!(got.status, 403);
    assert_eq!(got.headers["content-type"], "text/plain; charset=\"utf-8\"");
    assert_eq!(got.headers["connection"], "close");
    assert_eq!(got.headers.get("content-length"), None);
    assert_eq!(
        got.body,
        "{\"cpanelresult\":{\"apiversion\":\"2\",\"error\":\"Access denied\",\"data\":{\"reason\":\"Access denied\",\"result\":\"0\"},\"type\":\"text\"}}\r\n"
    );
    assert_eq!(status(&Client::of(&sandbox)).await, 200);
}

#[tokio::test]
async fn a_token_can_be_changed_while_it_runs() {
    let sandbox = start();
    assert!(sandbox.set_token(USER, "NEW").unwrap());
    assert!(!sandbox.set_token("nobody", "NEW").unwrap());
    assert_eq!(status(&Client::of(&sandbox)).await, 401);
    assert_eq!(status(&Client::with(&sandbox, "cpanel exampleu:NEW")).await, 200);
}
