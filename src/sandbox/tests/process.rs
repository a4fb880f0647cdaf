//! The sandbox as a running thing: its state across lives, its log, its end.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn what_was_answered_is_there_in_the_next_life() {
    let dir = tempfile::tempdir().unwrap();
    let store = Some(dir.path().join("sandbox.json"));
    let sandbox = start_with(Options { store: store.clone(), ..Options::default() });
    let client = Client::of(&sandbox);
    client.json("suspend_login", "alice@example.com").await;
    client.json("suspend_login", "alice@example.com").await;
    client.json("hold_outgoing", "bob@example.com").await;
    // Read while it runs, as after a kill: nothing waits for an orderly end.
    let path = store.clone().unwrap();
    assert_eq!(World::load(&path).unwrap(), sandbox.world());
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    drop(sandbox);

    let torn = std::fs::read_to_string(&path).unwrap() + "{\"name\":\"bob@exam";
    std::fs::write(&path, torn).unwrap();
    let sandbox = Sandbox::start(Options { store: store.clone(), ..Options::default() }).unwrap();
    assert!(is_suspended(&sandbox) && state_of(&sandbox, "bob@example.com").flags.held);
    let client = Client::of(&sandbox);
    client.json("unsuspend_login", "alice@example.com").await;
    sandbox.set_token(USER, "NEW").unwrap();
    let client = Client::with(&sandbox, "cpanel exampleu:NEW");
    client.json("suspend_incoming", "bob@example.com").await;
    assert_eq!(World::load(&path).unwrap(), sandbox.world());
    assert!(sandbox.world().accounts().any(|(_, token, _)| token == "NEW"));
}

#[tokio::test]
async fn a_store_that_is_none_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sandbox.json");
    std::fs::write(&path, "my shopping list\n").unwrap();
    let error = Sandbox::start(Options { store: Some(path.clone()), ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("sandbox.json, line 1"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my shopping list\n");
}

#[tokio::test]
async fn a_slow_call_has_its_effect_though_the_client_has_gone() {
    let sandbox = start_with(Options { latency: Duration::from_millis(500), ..Options::default() });
    let client = Client::of(&sandbox);
    abandon(&sandbox, client.call("suspend_login", "alice@example.com")).await;
    assert!(!is_suspended(&sandbox));
    drop(client);
    let start = Instant::now();
    while !is_suspended(&sandbox) {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sandbox.requests()[0].had_effect);
}

#[tokio::test]
async fn the_log_tells_order_overlap_and_connections() {
    let sandbox = start_with(Options { latency: Duration::from_millis(400), ..Options::default() });
    let client = Client::of(&sandbox);
    tokio::join!(
        client.json("suspend_login", "alice@example.com"),
        client.json("suspend_login", "bob@example.com")
    );
    client.json("unsuspend_login", "alice@example.com").await;
    let log = sandbox.requests();
    let [first, second, third] = &log[..] else { panic!("{log:?}") };
    assert!(second.started < first.ended.unwrap() && third.started > second.ended.unwrap());
    assert_ne!(first.connection, second.connection);
    assert!([first.connection, second.connection].contains(&third.connection));
    assert_eq!((third.number, third.user.as_deref(), third.status), (2, Some(USER), Some(200)));
}

#[tokio::test]
async fn without_a_log_requests_are_only_counted() {
    let sandbox = start_with(Options { log_requests: false, ..Options::default() });
    Client::of(&sandbox).json("suspend_login", "alice@example.com").await;
    assert_eq!((sandbox.requests(), sandbox.requests_seen()), (vec![], 1));
    assert!(is_suspended(&sandbox));
}

#[tokio::test]
async fn stopping_frees_the_port_and_leaves_what_was_seen() {
    let mut sandbox = start();
    let port = sandbox.port();
    let client = Client::of(&sandbox);
    client.json("suspend_login", "alice@example.com").await;
    sandbox.stop();
    sandbox.stop();
    assert!(client.call("suspend_login", "bob@example.com").await.is_err());
    assert!(is_suspended(&sandbox));
    assert_eq!(sandbox.requests().len(), 1);
    assert!(sandbox.set_dead(true).is_err());
    let next = start_with(Options { port, ..Options::default() });
    assert_eq!(next.port(), port);
    let error = Sandbox::start(Options { port, ..Options::default() }).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn nonsense_on_the_wire_harms_nobody() {
    let sandbox = start();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    for nonsense in [
        "\0\0\0\0",
        "GET",
        "GET /execute/Email/suspend_login?email=%ff%00%zz HTTP/1.1\r\nAuthorization: cpanel \u{ff}\r\n\r\n",
        "POST /execute/Batch/strict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\ncommand=[[[[[",
        "POST /execute/Email/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "DELETE * HTTP/1.1\r\n\r\n",
        &long,
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", sandbox.port())).await.unwrap();
        // The server may close before it has read all.
        let _ = stream.write_all(nonsense.as_bytes()).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    Client::of(&sandbox).json("suspend_login", "alice@example.com").await;
    assert!(is_suspended(&sandbox));
}

#[test]
fn in_a_crowd_each_mailbox_is_found_at_once() {
    let addresses: Vec<String> =
        (0..200_000).map(|i| format!("mailbox{i}@d{}.example.com", i % 100)).collect();
    let world = World::for_mailboxes(USER, TOKEN, addresses.iter().map(String::as_str));
    assert_eq!(world.len(), addresses.len());
    assert!(addresses.iter().all(|address| world.mailbox(address).is_some()));
}
