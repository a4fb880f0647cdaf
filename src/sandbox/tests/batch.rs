//! `Batch::strict`: in order, up to the first failure.

use super::*;

const PATH: &str = "/execute/Batch/strict";

fn command(function: &str, email: &str) -> String {
    json!(["Email", function, {"email": email}]).to_string()
}

async fn run(client: &Client, commands: &[String]) -> Value {
    let names: Vec<_> = (0..commands.len()).map(|i| format!("command-{i}")).collect();
    let params: Vec<_> = names.iter().map(String::as_str).zip(commands.iter().map(String::as_str)).collect();
    let got = client.post(PATH, &params).await.unwrap();
    assert_eq!(got.status, 200);
    got.json()
}

#[tokio::test]
async fn a_batch_is_carried_out_in_order_and_answered_one_by_one() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    let commands =
        [command("suspend_login", "alice@example.com"), command("suspend_outgoing", "bob@example.com")];
    assert_eq!(
        run(&client, &commands).await,
        json!({"status":1,"errors":null,"messages":null,"warnings":null,"metadata":{"transformed":1},
            "data":[ok(Value::Null), ok(json!(1))]})
    );
    assert!(is_suspended(&sandbox) && state_of(&sandbox, "bob@example.com").flags.outgoing);
    let log = sandbox.requests();
    let seen: Vec<_> = log.iter().map(|r| (r.number, r.command, r.function.as_str(), r.had_effect)).collect();
    assert_eq!(
        seen,
        [
            (0, None, "strict", true),
            (0, Some(0), "suspend_login", true),
            (0, Some(1), "suspend_outgoing", true)
        ]
    );
    assert_eq!(sandbox.requests_seen(), 1);
}

#[tokio::test]
async fn commands_may_be_repeated_names_in_a_query() {
    let sandbox = start();
    let (a, b) = (command("suspend_login", "alice@example.com"), command("suspend_login", "bob@example.com"));
    let got = Client::of(&sandbox).get(PATH, &[("command", &a), ("command", &b)]).await.unwrap();
    assert_eq!(got.json()["data"].as_array().map(Vec::len), Some(2));
    assert!(is_suspended(&sandbox) && state_of(&sandbox, "bob@example.com").flags.login);
}

#[tokio::test]
async fn the_first_failure_stops_it_and_what_went_before_stays() {
    let gone = "You do not have an email account named “gone@example.com”.";
    let commands = [
        command("suspend_login", "alice@example.com"),
        command("suspend_login", "gone@example.com"),
        command("suspend_login", "bob@example.com"),
    ];
    let sandbox = start();
    assert_eq!(
        run(&Client::of(&sandbox), &commands).await,
        json!({"status":0,"errors":["batch stopped"],"messages":null,"warnings":null,"metadata":{},
            "data":[ok(Value::Null), failure(gone)]})
    );
    assert!(is_suspended(&sandbox));
    assert_eq!(state_of(&sandbox, "bob@example.com"), MailboxState::default());
    assert_eq!(sandbox.requests().len(), 3);

    let sandbox = start_with(Options { stop_shape: StopShape::NoData, ..Options::default() });
    assert_eq!(run(&Client::of(&sandbox), &commands).await, failure(gone));
    assert!(is_suspended(&sandbox));
}

#[tokio::test]
async fn a_command_that_cannot_be_read_stops_it_too() {
    let sandbox = start();
    let client = Client::of(&sandbox);
    let commands = [command("suspend_login", "alice@example.com"), "{".into()];
    let answer = run(&client, &commands).await;
    assert_eq!((&answer["status"], answer["data"].as_array().map(Vec::len)), (&json!(0), Some(2)));
    assert!(is_suspended(&sandbox));
    assert_eq!(run(&client, &[]).await["data"][0], failure("Provide the command"));
}

#[tokio::test]
async fn a_fault_of_the_api_meets_one_command_and_a_fault_of_the_way_the_whole() {
    let no = Rule::new(Fault::ApiFailure("Not today.".into())).email("bob@");
    let sandbox = misbehaving([no, Rule::new(Fault::NoEffect).email("alice@")]);
    let client = Client::of(&sandbox);
    let commands =
        [command("suspend_login", "alice@example.com"), command("suspend_login", "bob@example.com")];
    assert_eq!(run(&client, &commands).await["data"], json!([ok(Value::Null), failure("Not today.")]));
    assert!(!is_suspended(&sandbox));
    let faults: Vec<_> = sandbox.requests().iter().map(|r| r.fault).collect();
    assert_eq!(faults, [None, Some("no-effect"), Some("api-failure")]);

    sandbox.set_script(Script::of([Rule::new(Fault::status_after(502)).email("bob@")]));
    let params = [("command-0", commands[0].as_str()), ("command-1", &commands[1])];
    assert_eq!(client.post(PATH, &params).await.unwrap().status, 502);
    assert!(is_suspended(&sandbox) && state_of(&sandbox, "bob@example.com").flags.login);
}
