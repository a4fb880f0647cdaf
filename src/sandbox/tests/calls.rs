//! Each function: its answer, its effect, its failures.

use super::*;
use crate::domain::{Flags, Function};

#[tokio::test]
async fn each_function_sets_its_flag_and_answers_as_documented() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    for function in Function::ALL {
        let target = function.target();
        let mut before = MailboxState::default();
        before.flags[target.flag] = !target.on;
        sandbox.change(|world| world.set_mailbox("alice@example.com", before)).unwrap();
        let data = match function.uapi_name() {
            "suspend_outgoing" | "unsuspend_incoming" => json!(1),
            _ => Value::Null,
        };
        assert_eq!(client.json(function.uapi_name(), "alice@example.com").await, ok(data), "{function:?}");
        assert_eq!(state_of(&sandbox, "alice@example.com").flags[target.flag], target.on, "{function:?}");
    }
    assert_eq!(state_of(&sandbox, "bob@example.com"), MailboxState::default());
}

#[tokio::test]
async fn suspending_a_login_again_says_so_and_has_no_effect() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    client.json("suspend_login", "alice@example.com").await;
    let mut again = ok(Value::Null);
    again["messages"] = json!(["Logins for “alice@example.com” are suspended."]);
    assert_eq!(client.json("suspend_login", "alice@example.com").await, again);
    let seen: Vec<_> = sandbox.requests().iter().map(|r| (r.carried_out, r.had_effect)).collect();
    assert_eq!(seen, [(true, true), (true, false)]);
}

#[tokio::test]
async fn releasing_sends_the_queue_and_deleting_does_not() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    let fill = |n| {
        let flags = Flags { held: true, ..Flags::default() };
        let change = |world: &mut World| {
            let sent_messages = world.mailbox("alice@example.com").unwrap().sent_messages;
            world.set_mailbox("alice@example.com", MailboxState { flags, held_messages: n, sent_messages })
        };
        assert!(sandbox.change(change).unwrap());
    };
    fill(3);
    assert_eq!(client.json("get_held_message_count", "alice@example.com").await, ok(json!(3)));
    assert_eq!(client.json("release_outgoing", "alice@example.com").await, ok(Value::Null));
    assert_eq!(client.json("get_held_message_count", "alice@example.com").await, ok(json!(0)));
    fill(2);
    client.json("release_outgoing", "alice@example.com").await;
    assert_eq!(state_of(&sandbox, "alice@example.com").sent_messages, 5);
    fill(4);
    assert_eq!(client.json("delete_held_messages", "alice@example.com").await, ok(json!(4)));
    assert_eq!(client.json("delete_held_messages", "alice@example.com").await, ok(json!(0)));
    let state = state_of(&sandbox, "alice@example.com");
    assert_eq!((state.sent_messages, state.held_messages, state.flags.held), (5, 0, true));
}

#[tokio::test]
async fn every_failure_of_the_api_is_a_200_with_status_0() {
    let sandbox = start();
    sandbox
        .change(|world| {
            world.add_account("other", "OTHER", "p").unwrap();
            world.add_mailbox("other", "carol@example.org").unwrap();
        })
        .unwrap();
    let client = Client::of(&sandbox);
    for email in ["gone@example.com", "carol@example.org", "exampleu", "a b\u{1b}“\"@x"] {
        let expected = failure(&format!("You do not have an email account named “{email}”."));
        assert_eq!(client.json("suspend_login", email).await, expected);
    }
    assert_eq!(
        client.json("test", "alice@example.com").await,
        failure("The system could not find the function “test” in the module “Email”.")
    );
    assert_eq!(client.json("Suspend_Login", "alice@example.com").await["status"], 0);
    assert_eq!(client.json("hold_outgoing", "").await, failure("Provide the email"));
    let got = client.get("/execute/Mail/suspend_login", &[("email", "alice@example.com")]).await.unwrap();
    assert_eq!((got.status, got.json()), (200, failure("Failed to load module “Mail”.")));
    assert!(sandbox.requests().iter().all(|r| !r.carried_out && r.status == Some(200)));
}

#[tokio::test]
async fn a_call_may_come_as_a_query_or_as_a_form() {
    let sandbox = start();
    sandbox.change(|world| world.add_mailbox(USER, "a+b@example.com")).unwrap().unwrap();
    let client = Client::of(&sandbox);
    let params = [("email", "A+b@Example.com")];
    assert_eq!(client.post("/execute/Email/suspend_login", &params).await.unwrap().json(), ok(Value::Null));
    assert!(state_of(&sandbox, "a+b@example.com").flags.login);
    client.get("/execute/Email/unsuspend_login", &params).await.unwrap();
    assert!(!state_of(&sandbox, "a+b@example.com").flags.login);
    let methods: Vec<_> = sandbox.requests().into_iter().map(|r| (r.method, r.email.unwrap())).collect();
    assert_eq!(
        methods,
        [("POST", "A+b@Example.com"), ("GET", "A+b@Example.com")].map(|(m, e)| (m.into(), e.into()))
    );
}

#[tokio::test]
async fn the_lists_have_their_envelope_and_show_what_was_done() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    client.json("suspend_login", "bob@example.com").await;
    assert_eq!(
        client.get("/execute/Email/list_pops", &[("skip_main", "1")]).await.unwrap().json(),
        json!({"status":1,"errors":null,"messages":null,"warnings":null,"metadata":{"transformed":1},"data":[
            {"email":"alice@example.com","login":"alice@example.com","suspended_login":0,"suspended_incoming":0},
            {"email":"bob@example.com","login":"bob@example.com","suspended_login":1,"suspended_incoming":0},
        ]})
    );
    let params = [("get_restrictions", "1"), ("no_disk", "1")];
    let list = client.get("/execute/Email/list_pops_with_disk", &params).await.unwrap().json();
    assert_eq!(list["metadata"], json!({"transformed":1}));
    assert_eq!(list["data"].as_array().unwrap().len(), 3);
    let suspended = |row: &Value| ["1", "\"1\""].contains(&row["suspended_login"].to_string().as_str());
    assert_eq!([0, 1, 2].map(|row| suspended(&list["data"][row])), [false, true, false], "{list}");
}

#[tokio::test]
async fn what_is_not_the_api_is_not_answered_by_it() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    for path in ["/", "/login/", "/execute/Email", "/json-api"] {
        assert_eq!(client.get(path, &[]).await.unwrap().status, 404, "{path}");
    }
    let request =
        client.http.put(format!("{}/execute/Email/suspend_login?email=alice@example.com", client.url));
    assert_eq!(client.send(request).await.unwrap().status, 404);
    assert!(!is_suspended(&sandbox));
    assert_eq!(sandbox.requests()[1].module, "/login/");
}

#[tokio::test]
async fn an_answer_has_no_headers_but_the_plainest() {
    let sandbox = start();
    let got = Client::of(&sandbox).call("suspend_login", "alice@example.com").await.unwrap();
    let names: Vec<_> = got.headers.keys().map(reqwest::header::HeaderName::as_str).collect();
    assert_eq!(names, ["content-type", "content-length", "date"]);
    assert_eq!(got.headers["content-type"], "application/json");
}

#[tokio::test]
async fn sessions_are_ended_without_an_address_and_no_mailbox_changes() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    let before: Vec<_> = sandbox.world().mailboxes().map(|(_, _, state)| state).collect();
    let answer = client.get("/execute/Email/terminate_mailbox_sessions", &[]).await.unwrap().json();
    assert_eq!(answer, ok(Value::Null));
    let after: Vec<_> = sandbox.world().mailboxes().map(|(_, _, state)| state).collect();
    assert_eq!(before, after);
    let seen: Vec<_> = sandbox.requests().iter().map(|r| (r.carried_out, r.had_effect)).collect();
    assert_eq!(seen, [(true, false)]);
}
