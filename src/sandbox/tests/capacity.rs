//! A server that can do only so much.

use super::*;

/// So slow that nothing ends while a test looks.
const LONG: Duration = Duration::from_secs(600);

async fn until(sandbox: &Sandbox, load: (usize, usize)) {
    for _ in 0..2000 {
        if sandbox.load() == load {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the load is {:?}, not {load:?}", sandbox.load());
}

/// Makes a call and leaves when the load is so.
async fn leave_at(sandbox: &Sandbox, load: (usize, usize), call: impl Future<Output = reqwest::Result<Got>>) {
    tokio::select! {
        got = call => panic!("answered with {:?}", got.map(|got| got.status)),
        () = until(sandbox, load) => {}
    }
}

fn limited(capacity: Capacity) -> Sandbox {
    start_with(Options { capacity: Some(capacity), ..Options::default() })
}

#[tokio::test]
async fn who_finds_the_queue_full_is_turned_away_at_once() {
    let sandbox = limited(Capacity { queue: 1, ..Capacity::new(1, LONG) });
    let client = Client::of(&sandbox);
    let worked_on = client.call("suspend_login", "alice@example.com");
    let crowd = async {
        until(&sandbox, (1, 0)).await;
        let waiting = client.call("suspend_login", "bob@example.com");
        let late = async {
            until(&sandbox, (1, 1)).await;
            client.call("hold_outgoing", "bob@example.com").await.unwrap()
        };
        tokio::select! {
            late = late => late,
            got = waiting => panic!("{:?}", got.map(|got| got.status)),
        }
    };
    let late = tokio::select! {
        late = crowd => late,
        got = worked_on => panic!("{:?}", got.map(|got| got.status)),
    };
    assert_eq!(late.status, 503);
    let log = sandbox.requests();
    assert_eq!((log[2].status, log[2].fault, log[2].carried_out), (Some(503), Some("full"), false));
    assert!(log[0].status.is_none() && log[1].status.is_none());
}

#[tokio::test]
async fn who_gives_up_in_the_queue_leaves_it_and_was_never_there() {
    let sandbox = limited(Capacity { queue: 1, ..Capacity::new(1, LONG) });
    let (first, second) = (Client::of(&sandbox), Client::of(&sandbox));
    leave_at(&sandbox, (1, 0), first.call("suspend_login", "alice@example.com")).await;
    leave_at(&sandbox, (1, 1), second.call("hold_outgoing", "bob@example.com")).await;
    drop(second);
    until(&sandbox, (1, 0)).await;
    sandbox.set_capacity(None);
    Client::of(&sandbox).json("suspend_login", "bob@example.com").await;
    assert!(!state_of(&sandbox, "bob@example.com").flags.held);
}

#[tokio::test]
async fn workers_take_as_many_as_they_are_and_all_are_served_in_the_end() {
    let sandbox = limited(Capacity { jitter: 0.5, ..Capacity::new(2, Duration::from_millis(20)) });
    let client = Client::of(&sandbox);
    let calls = (0..20).map(|_| client.json("get_held_message_count", "alice@example.com"));
    futures::future::join_all(calls).await;
    assert_eq!(sandbox.load(), (0, 0));
    // With two workers at a time the answers of any three requests cannot all lie within one service.
    let mut ends: Vec<_> = sandbox.requests().iter().map(|r| r.ended.unwrap()).collect();
    ends.sort();
    assert!(ends.windows(3).all(|three| three[2] - three[0] >= Duration::from_millis(9)), "{ends:?}");
}

#[tokio::test]
async fn capacity_can_be_taken_away_and_given_back_while_it_runs() {
    let sandbox = limited(Capacity::new(0, Duration::ZERO));
    let client = Client::of(&sandbox);
    let call = client.json("suspend_login", "alice@example.com");
    let change = async {
        until(&sandbox, (0, 1)).await;
        assert!(!is_suspended(&sandbox));
        sandbox.set_capacity(Some(Capacity::new(1, Duration::ZERO)));
    };
    tokio::join!(call, change);
    assert!(is_suspended(&sandbox));
    sandbox.set_capacity(None);
    client.json("suspend_login", "bob@example.com").await;
}
