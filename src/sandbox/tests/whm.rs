//! WHM's side: one token for all accounts, in the shapes that WHM has for the same answers.

use super::*;

const ROOT: &str = "whm root:ROOTTOKEN";

fn fleet() -> World {
    let mut world = world();
    world.add_whm_user("root", "ROOTTOKEN", "rootpw").unwrap();
    world.add_whm_user("shop", "SHOPTOKEN", "shoppw").unwrap();
    world.add_account("other", "OTHER", "p").unwrap();
    world.set_owner("other", "shop");
    world.add_mailbox("other", "carol@example.org").unwrap();
    world.add_domain("other", "Addon.example.org").unwrap();
    world
}

fn start_whm(options: Options) -> Sandbox {
    Sandbox::start(Options { world: fleet(), ..options }).unwrap()
}

/// A function of WHM, with API version 1.
async fn whm(client: &Client, function: &str, params: &[(&str, &str)]) -> Value {
    let params: Vec<_> = [("api.version", "1")].iter().chain(params).copied().collect();
    let got = client.post(&format!("/json-api/{function}"), &params).await.unwrap();
    assert_eq!((got.status, got.headers["content-type"].to_str().unwrap()), (200, "application/json"));
    got.json()
}

fn through<'a>(user: &'a str, function: &'a str, email: &'a str) -> [(&'a str, &'a str); 4] {
    [("cpanel.user", user), ("cpanel.module", "Email"), ("cpanel.function", function), ("email", email)]
}

/// A command of a batch: encoded once here, and once more in the form.
fn command(user: &str, function: &str, email: &str) -> String {
    let query =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(through(user, function, email)).finish();
    format!("uapi_cpanel?{query}")
}

fn metadata(command: &str, reason: &str, result: u8) -> Value {
    json!({"command": command, "reason": reason, "result": result, "version": 1})
}

fn uapi_ok(envelope: Value) -> Value {
    json!({"data": {"uapi": envelope}, "metadata": metadata("uapi_cpanel", "OK", 1)})
}

fn no_mailbox(email: &str) -> Value {
    failure(&format!("You do not have an email account named “{email}”."))
}

#[tokio::test]
async fn uapi_cpanel_reaches_every_account_and_its_outside_says_ok_whatever_is_inside() {
    let sandbox = start_whm(Options::default());
    let client = Client::with(&sandbox, ROOT);
    let suspended = whm(&client, "uapi_cpanel", &through(USER, "suspend_login", "alice@example.com")).await;
    assert_eq!(suspended, uapi_ok(ok(Value::Null)));
    let gone = whm(&client, "uapi_cpanel", &through("other", "suspend_login", "alice@example.com")).await;
    assert_eq!(gone, uapi_ok(no_mailbox("alice@example.com")));
    let unknown = whm(&client, "uapi_cpanel", &through("x", "suspend_login", "alice@example.com")).await;
    assert_eq!(unknown, json!({"metadata": metadata("uapi_cpanel", "You do not have a user named “x”.", 0)}));
    let query: Vec<_> = [("api.version", "1")].into_iter().chain(through("other", "list_pops", "")).collect();
    let list = client.get("/json-api/uapi_cpanel", &query).await.unwrap().json();
    assert_eq!(list["data"]["uapi"]["data"][0]["email"], "carol@example.org", "{list}");
    assert!(is_suspended(&sandbox));
    let log = sandbox.requests();
    let seen: Vec<_> = log
        .iter()
        .map(|r| (r.through, r.account.as_deref(), r.user.as_deref(), r.function.as_str(), r.had_effect))
        .collect();
    let root = Some("root");
    assert_eq!(
        seen,
        [
            (Some("uapi_cpanel"), Some(USER), root, "suspend_login", true),
            (Some("uapi_cpanel"), Some("other"), root, "suspend_login", false),
            (Some("uapi_cpanel"), Some("x"), root, "suspend_login", false),
            (Some("uapi_cpanel"), Some("other"), root, "list_pops", false),
        ]
    );
    assert_eq!((log[0].email.as_deref(), log[0].module.as_str()), (Some("alice@example.com"), "Email"));
}

#[tokio::test]
async fn without_its_version_whm_answers_in_an_older_form() {
    let sandbox = start_whm(Options::default());
    let client = Client::with(&sandbox, ROOT);
    let params = through(USER, "suspend_login", "alice@example.com");
    let got = client.post("/json-api/uapi_cpanel", &params).await.unwrap().json();
    assert_eq!(got, json!({"result": [{"status": 1, "statusmsg": "OK"}]}));
    let got = client.post("/json-api/getdomainowner", &[]).await.unwrap().json();
    assert_eq!(got["result"][0]["status"], 0);
}

#[tokio::test]
async fn the_domains_of_all_accounts_come_in_one_answer_or_are_refused() {
    let sandbox = start_whm(Options::default());
    let all = whm(&Client::with(&sandbox, ROOT), "get_domain_info", &[]).await;
    assert_eq!(all["metadata"], metadata("get_domain_info", "OK", 1));
    let rows = |answer: &Value| -> Vec<String> {
        let keys = ["domain", "domain_type", "user", "user_owner", "parent_domain"];
        let row = |row: &Value| keys.map(|key| row[key].as_str().unwrap().to_owned()).join(" ");
        answer["data"]["domains"].as_array().unwrap().iter().map(row).collect()
    };
    assert_eq!(
        rows(&all),
        [
            "example.com main exampleu root example.com",
            "example.org main other shop example.org",
            "addon.example.org addon other shop example.org",
        ]
    );
    let shop = Client::with(&sandbox, "whm shop:SHOPTOKEN");
    assert_eq!(rows(&whm(&shop, "get_domain_info", &[]).await).len(), 2);

    let sandbox = start_whm(Options { refuse_domain_info: true, ..Options::default() });
    let client = Client::with(&sandbox, ROOT);
    let refused = json!({"data": null, "metadata": metadata("get_domain_info", "Access denied", 0)});
    assert_eq!(whm(&client, "get_domain_info", &[]).await, refused);
    assert_eq!(
        whm(&client, "getdomainowner", &[("domain", "ADDON.example.org")]).await,
        json!({"data": {"user": "other"}, "metadata": metadata("getdomainowner", "OK", 1)})
    );
    assert_eq!(sandbox.requests()[1].domain.as_deref(), Some("ADDON.example.org"));
}

#[tokio::test]
async fn a_domain_that_is_not_here_or_not_to_be_seen_has_no_owner_and_that_is_a_success() {
    let sandbox = start_whm(Options::default());
    let (root, shop) = (Client::with(&sandbox, ROOT), Client::with(&sandbox, "whm shop:SHOPTOKEN"));
    let nobody = json!({"data": {"user": null}, "metadata": metadata("getdomainowner", "OK", 1)});
    assert_eq!(whm(&root, "getdomainowner", &[("domain", "example.net")]).await, nobody);
    assert_eq!(whm(&shop, "getdomainowner", &[("domain", "example.com")]).await, nobody);
    assert_eq!(whm(&root, "getdomainowner", &[]).await["metadata"]["result"], 0);
    let unknown = whm(&root, "listpkgs", &[]).await;
    assert_eq!((&unknown["metadata"]["result"], unknown.get("data")), (&json!(0), None));
}

#[tokio::test]
async fn a_reseller_has_his_own_accounts_alone() {
    let sandbox = start_whm(Options::default());
    let client = Client::with(&sandbox, "whm shop:SHOPTOKEN");
    let own = whm(&client, "uapi_cpanel", &through("other", "suspend_login", "carol@example.org")).await;
    assert_eq!(own, uapi_ok(ok(Value::Null)));
    let not_his = whm(&client, "uapi_cpanel", &through(USER, "suspend_login", "alice@example.com")).await;
    assert_eq!(
        not_his["metadata"],
        metadata("uapi_cpanel", "You do not have access to an account named “exampleu”.", 0)
    );
    assert!(!is_suspended(&sandbox) && state_of(&sandbox, "carol@example.org").flags.login);
}

#[tokio::test]
async fn a_suspended_account_is_not_called() {
    let sandbox = start_whm(Options::default());
    sandbox.change(|world| world.set_suspended(USER, true)).unwrap();
    let client = Client::with(&sandbox, ROOT);
    let answer = whm(&client, "uapi_cpanel", &through(USER, "suspend_login", "alice@example.com")).await;
    assert_eq!(answer["metadata"]["result"], 0);
    assert!(!is_suspended(&sandbox));
}

#[tokio::test]
async fn the_older_way_answers_nested_and_without_its_3_by_another_api() {
    let sandbox = start_whm(Options::default());
    let client = Client::with(&sandbox, ROOT);
    let call = async |user: &str, version: &[(&str, &str)]| {
        let mut params = vec![
            ("cpanel_jsonapi_user", user),
            ("cpanel_jsonapi_module", "Email"),
            ("cpanel_jsonapi_func", "suspend_login"),
            ("email", "alice@example.com"),
        ];
        params.extend(version);
        client.get("/json-api/cpanel", &params).await.unwrap().json()
    };
    let two = call(USER, &[]).await;
    assert_eq!(two["cpanelresult"]["apiversion"], 2);
    assert!(!is_suspended(&sandbox));
    let three = [("cpanel_jsonapi_apiversion", "3")];
    assert_eq!(
        call(USER, &three).await,
        json!({"apiversion": 3, "func": "suspend_login", "module": "Email", "result": ok(Value::Null)})
    );
    assert!(is_suspended(&sandbox));
    let reason = "User parameter is invalid or was not supplied";
    let third = json!({"data": {"reason": reason, "result": "0"}, "type": "text", "error": reason});
    assert_eq!(call("x", &three).await, third);
    assert_eq!(call("", &three).await, third);
}

#[tokio::test]
async fn a_batch_goes_on_after_a_failure_and_says_at_the_end_that_there_was_one() {
    let sandbox = start_whm(Options::default());
    let client = Client::with(&sandbox, ROOT);
    let commands = [
        command(USER, "suspend_login", "alice@example.com"),
        command("other", "suspend_login", "gone+x@example.org"),
        command("nosuch", "suspend_login", "alice@example.com"),
        command("other", "hold_outgoing", "carol@example.org"),
    ];
    let params: Vec<_> = commands.iter().map(|command| ("command", command.as_str())).collect();
    let answer = whm(&client, "batch", &params).await;
    let nosuch = json!({"metadata": metadata("uapi_cpanel", "You do not have a user named “nosuch”.", 0)});
    let mut items = vec![
        uapi_ok(ok(Value::Null)),
        uapi_ok(no_mailbox("gone+x@example.org")),
        nosuch,
        uapi_ok(ok(Value::Null)),
    ];
    let outer = metadata("batch", "One or more commands failed.", 0);
    assert_eq!(answer, json!({"data": {"result": items}, "metadata": outer}));
    assert!(state_of(&sandbox, "carol@example.org").flags.held);
    let log = sandbox.requests();
    let seen: Vec<_> =
        log.iter().map(|r| (r.command, r.account.as_deref().unwrap_or("-"), r.function.as_str())).collect();
    assert_eq!(
        seen,
        [
            (None, "-", "batch"),
            (Some(0), USER, "suspend_login"),
            (Some(1), "other", "suspend_login"),
            (Some(2), "nosuch", "suspend_login"),
            (Some(3), "other", "hold_outgoing"),
        ]
    );

    sandbox.change(|world| world.set_mailbox("carol@example.org", MailboxState::default())).unwrap();
    let stop: Vec<_> = params.iter().copied().chain([("abort_on_error", "1")]).collect();
    items.truncate(3);
    items[0]["data"]["uapi"]["messages"] = json!(["Logins for “alice@example.com” are suspended."]);
    assert_eq!(whm(&client, "batch", &stop).await, json!({"data": {"result": items}, "metadata": outer}));
    assert!(!state_of(&sandbox, "carol@example.org").flags.held);

    let sound = whm(&client, "batch", &params[..1]).await;
    assert_eq!(sound["metadata"], metadata("batch", "OK", 1));
    assert_eq!(whm(&client, "batch", &[]).await["metadata"]["result"], 0);
}

#[tokio::test]
async fn an_accounts_own_batch_goes_through_whm_too() {
    let sandbox = start_whm(Options::default());
    let client = Client::with(&sandbox, ROOT);
    let one = json!(["Email", "suspend_login", {"email": "alice@example.com"}]).to_string();
    let params =
        [("cpanel.user", USER), ("cpanel.module", "Batch"), ("cpanel.function", "strict"), ("command", &one)];
    let answer = whm(&client, "uapi_cpanel", &params).await;
    assert_eq!(answer["data"]["uapi"]["data"], json!([ok(Value::Null)]));
    assert!(is_suspended(&sandbox));
    assert_eq!(sandbox.requests()[1].account.as_deref(), Some(USER));
}

#[tokio::test]
async fn the_lists_of_domains_and_tokens_are_an_accounts_own() {
    let sandbox = start_whm(Options::default());
    sandbox.change(|world| world.set_token_expiry("other", Some(4_102_444_800))).unwrap();
    let client = Client::with(&sandbox, "cpanel other:OTHER");
    let domains = client.get("/execute/Email/list_mail_domains", &[]).await.unwrap().json();
    assert_eq!(domains["data"], json!([{"domain": "example.org"}, {"domain": "addon.example.org"}]));
    let tokens = client.get("/execute/Tokens/list", &[]).await.unwrap().json();
    assert_eq!(
        tokens["data"],
        json!([{"name": "mailsweep", "create_time": 1_767_225_600, "expires_at": 4_102_444_800_u64,
            "features": null, "has_full_access": 1}])
    );
}

#[tokio::test]
async fn a_fault_meets_a_call_by_its_inner_name_its_outer_name_or_its_account() {
    let no = || Fault::ApiFailure("Not today.".into());
    let rules = [
        Rule::new(no()).function("suspend_login").email("alice@"),
        Rule::new(Fault::status(503)).function("uapi_cpanel").account("other"),
        Rule::new(no()).function("get_domain_info").once(),
        Rule::new(Fault::NoEffect).function("suspend_login"),
    ];
    let sandbox = start_whm(Options { script: Script::of(rules), ..Options::default() });
    let client = Client::with(&sandbox, ROOT);
    let alice = through(USER, "suspend_login", "alice@example.com");
    assert_eq!(whm(&client, "uapi_cpanel", &alice).await, uapi_ok(failure("Not today.")));
    let carol = through("other", "suspend_login", "carol@example.org");
    assert_eq!(client.post("/json-api/uapi_cpanel", &carol).await.unwrap().status, 503);
    let refused = json!({"data": null, "metadata": metadata("get_domain_info", "Not today.", 0)});
    assert_eq!(whm(&client, "get_domain_info", &[]).await, refused);
    assert_eq!(whm(&client, "get_domain_info", &[]).await["metadata"]["result"], 1);
    let bob = through(USER, "suspend_login", "bob@example.com");
    assert_eq!(whm(&client, "uapi_cpanel", &bob).await, uapi_ok(ok(Value::Null)));
    assert!(!is_suspended(&sandbox) && !state_of(&sandbox, "bob@example.com").flags.login);

    let commands = [
        command(USER, "suspend_login", "bob@example.com"),
        command(USER, "suspend_login", "alice@example.com"),
    ];
    let params = [("command", commands[0].as_str()), ("command", &commands[1])];
    let answer = whm(&client, "batch", &params).await;
    assert_eq!(answer["data"]["result"][1], uapi_ok(failure("Not today.")));
    assert_eq!(answer["metadata"]["result"], 1);
    let faults: Vec<_> = sandbox.requests().iter().rev().take(3).rev().map(|r| r.fault).collect();
    assert_eq!(faults, [None, Some("no-effect"), Some("api-failure")]);
}

#[tokio::test]
async fn password_and_token_of_whm_open_whm_alone_and_an_accounts_the_account() {
    use base64::Engine;
    let lockout = Some(Lockout { after: 1, ..Lockout::default() });
    let sandbox = start_whm(Options { lockout, ..Options::default() });
    let basic = base64::engine::general_purpose::STANDARD.encode("root:rootpw");
    for good in [ROOT, "WHM root:ROOTTOKEN", &format!("Basic {basic}")] {
        let client = Client::with(&sandbox, good);
        assert_eq!(whm(&client, "get_domain_info", &[]).await["metadata"]["result"], 1);
        let other_side = client.call("suspend_login", "alice@example.com").await.unwrap();
        assert_eq!(other_side.status, 403);
        assert!(other_side.body.starts_with("{\"cpanelresult\":"));
    }
    let other_side = Client::of(&sandbox).post("/json-api/get_domain_info", &[]).await.unwrap();
    assert_eq!(other_side.status, 403);
    assert_eq!(Client::of(&sandbox).json("list_pops", "").await["status"], 1);
    assert!(!is_suspended(&sandbox));
}

#[tokio::test]
async fn five_bad_logins_at_whm_lock_the_right_ones_out_of_both_sides() {
    let sandbox = start_whm(Options::default());
    let bad = Client::with(&sandbox, "whm root:WRONG");
    for _ in 0..5 {
        assert_eq!(bad.post("/json-api/get_domain_info", &[]).await.unwrap().status, 401);
    }
    let good = Client::with(&sandbox, ROOT);
    let params = through(USER, "suspend_login", "alice@example.com");
    assert_eq!(good.post("/json-api/uapi_cpanel", &params).await.unwrap().status, 401);
    assert_eq!(Client::of(&sandbox).call("suspend_login", "alice@example.com").await.unwrap().status, 401);
    assert!(!is_suspended(&sandbox));
    sandbox.forgive_logins();
    assert_eq!(good.post("/json-api/uapi_cpanel", &params).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_port_of_one_side_denies_the_other_sides_calls_and_counts_no_login() {
    let lockout = Some(Lockout { after: 1, ..Lockout::default() });
    let sandbox = start_whm(Options { sides: Sides::Whm, lockout, ..Options::default() });
    let got = Client::with(&sandbox, "cpanel exampleu:X").call("suspend_login", "a").await.unwrap();
    assert_eq!(got.status, 403);
    assert_eq!(whm(&Client::with(&sandbox, ROOT), "get_domain_info", &[]).await["metadata"]["result"], 1);

    let sandbox = start_whm(Options { sides: Sides::Cpanel, lockout, ..Options::default() });
    let got = Client::with(&sandbox, "whm root:X").post("/json-api/get_domain_info", &[]).await.unwrap();
    assert_eq!(got.status, 403);
    assert_eq!(Client::of(&sandbox).json("list_pops", "").await["status"], 1);
}
