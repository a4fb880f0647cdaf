use proptest::prelude::*;

use super::tests::{parse, server};

/// What is wrong with a text, line by line, without the file's name.
fn faults(text: &str) -> Vec<String> {
    let shown = parse(text).expect_err(text).to_string();
    let lines =
        shown.lines().map(|line| line.strip_prefix("/etc/ms/mailsweep.toml:").expect(line).to_owned());
    lines.collect()
}

/// The one fault of a text.
#[track_caller]
fn fault(text: &str) -> String {
    let mut faults = faults(text);
    assert_eq!(faults.len(), 1, "{faults:#?}\n{text}");
    faults.remove(0)
}

#[track_caller]
fn says(text: &str, expected: &str) {
    let found = fault(text);
    assert!(found.contains(expected), "{found}\nlacks {expected}");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
    let with = |more| server("web01", "https://a", more);
    assert_eq!(
        fault(&with("pin_sha265 = \"x\"")),
        "6: unknown key “pin_sha265” in [[server]] “web01”: did you mean “pin_sha256”?"
    );
    says(&with("connect-to = \"a:1\""), "did you mean “connect_to”?");
    says(&with("Jobs = 4"), "did you mean “jobs”?");
    says(&with("protect = []"), "6: unknown key “protect” in [[server]] “web01”: it belongs at the top");
    says("rate = \"1/s\"", "1: unknown key “rate” in the file: it belongs in [defaults] or in a [[server]]");
    says("[defaults]\nuser = \"x\"", "2: unknown key “user” in [defaults]: it belongs in a [[server]]");
    says("[[servers]]\nname = \"a\"", "1: unknown key “servers” in the file: did you mean “server”?");
    says(&with("colour = \"x\""), "known are name, url, user");
    // A misplaced secret may well stand as a key.
    let odd = fault(&with("U7HMR63FGY292DQZ4H5BFH16JLYMO01M = 1"));
    assert!(odd.starts_with("6: unknown key in [[server]]") && !odd.contains("U7HMR"), "{odd}");
}

#[test]
fn a_secret_in_the_file_is_answered_with_where_it_belongs() {
    for key in ["token", "Password", "api-token", "secret"] {
        let found = fault(&server("a", "https://a", &format!("{key} = \"S3CRET\"")));
        assert!(found.contains("does not belong in this file") && found.contains("token_file"), "{found}");
        assert!(!found.contains("S3CRET"), "{found}");
    }
    let token = "U7HMR63FGY292DQZ4H5BFH16JLYMO01M";
    for (key, value) in [("token_env", token), ("password_env", "hunter2!"), ("token_env", "1A")] {
        let text = server("a", "https://a", "").replace("token_env = \"X\"", &format!("{key} = \"{value}\""));
        let found = fault(&text);
        assert!(found.starts_with("5: ") && found.contains("name of a variable"), "{found}");
        assert!(!found.contains(value), "{found}");
    }
    let found = fault(&server("a", "https://root:S3CRET@a", ""));
    assert!(found.starts_with("3: ") && found.contains("user and token_file") && !found.contains("S3CRET"));
    let found = fault(&server("a", "https://a", "").replace("\"root\"", "\"root:S3CRET\""));
    assert!(found.starts_with("4: ") && found.contains("no colon") && !found.contains("S3CRET"));
}

#[test]
fn broken_toml_is_told_by_line_and_not_repeated() {
    for (text, line) in [
        ("\ntoken = S3CRET", "2"),
        ("ticket = \"S3CRET", "1"),
        ("\n\nS3CRET\n", "3"),
        ("[[server]\nS3CRET = \"\"", "1"),
        ("operator = \"a\"\noperator = \"S3CRET\"", "2"),
        ("ticket = \"\\S3CRET\"", "1"),
        ("[defaults]\nrate = 10/s", "2"),
    ] {
        let found = faults(text);
        assert!(found[0].starts_with(&format!("{line}: not TOML: ")), "{found:?}");
        assert!(!found.join("\n").contains("S3CRET"), "{found:?}");
    }
}

#[test]
fn what_an_entry_lacks_is_named() {
    for (key, line) in
        [("name", "name = \"a\"\n"), ("url", "url = \"https://a\"\n"), ("user", "user = \"root\"\n")]
    {
        let text = "\n".to_owned() + &server("a", "https://a", "").replace(line, "");
        says(&text, &format!("has no “{key}”: add {key} = "));
        assert!(fault(&text).starts_with("2: "), "{}", fault(&text));
    }
    says(
        &server("a", "https://a", "").replace("token_env = \"X\"\n", ""),
        "1: [[server]] “a” has no credential",
    );
    says(
        &server("a", "https://a", "token_file = \"x\""),
        "1: [[server]] “a” has token_file and token_env: keep one",
    );
    let all = faults("[[server]]\n[defaults]");
    assert!(all.len() == 4 && all[0].starts_with("1: [[server]] number 1 has no “name”"), "{all:#?}");
}

#[test]
fn each_wrong_value_is_refused_where_it_stands() {
    for (line, expected) in [
        (
            "rate = \"10\"",
            "6: “rate” in [[server]] “a” is wrong: “10” is not a rate: write a number and its unit",
        ),
        ("rate = 10", "must be a number and its unit, such as \"10/s\""),
        ("rate = \"fast\"", "must be a number and its unit"),
        ("jobs = 0", "must be a whole number from 1 to 4294967295"),
        ("jobs = \"4\"", "must be a whole number without quotes, such as 4, not a text"),
        ("burst = -1", "“burst” in [[server]] “a” must be a whole number from 1"),
        ("retries = 1.5", "must be a whole number without quotes, such as 4, not a fraction"),
        ("retries = 4294967296", "must be a whole number from 0"),
        ("max_errors = \"101%\"", "is wrong: “101%” is neither a number"),
        ("max_errors = true", "must be a number, such as 20, or a share"),
        (
            "timeout = 60",
            "must be a length of time, longer than nothing, such as \"30s\" or \"5m\"; it is a number",
        ),
        ("timeout = \"0s\"", "must be longer than nothing"),
        ("max_outage = \"x\"", "must be a length of time"),
        ("connect_timeout = []", "it is a list"),
        ("api = \"uapi\"", "must be \"cpanel\" or \"whm\""),
        ("method = \"PUT\"", "must be \"get\" or \"post\""),
        ("account = \"a@b.example\"", "not a mailbox"),
        ("api = \"whm\"\naccount = \"exampleu\"", "7: “account” in [[server]] “a” is for api = \"cpanel\""),
        ("domains = \"example.com\"", "must be a list of texts"),
        ("domains = [\"example.com\",\n\"a@example.com\"]", "7: “domains” in [[server]] “a” must be domains"),
        ("domains = [1]", "must be a text in quotes, not a number: entry 1"),
        ("pin_sha256 = \"ab\"", "64 hex digits, or base64"),
        ("connect_to = \"192.0.2.10\"", "must be a host and a port"),
        ("ca_file = \"~bob/ca.pem\"", "only ~/ is understood"),
        ("ca_file = \"\"", "is empty"),
        ("ca_file = \"a\\nb\"", "line break"),
    ] {
        says(&server("a", "https://a", line), expected);
    }
    for (text, expected) in [
        ("operator = 1", "1: “operator” in the file must be a text in quotes, not a number"),
        ("require_ticket = \"yes\"", "must be true or false, not a text"),
        ("allow_plaintext = 1", "must be true or false"),
        ("protect = [\n\"a@*\",\n\"example.com\"]", "3: “protect” in the file is wrong: entry 2 has no @"),
        ("defaults = 1", "must be one table, [defaults], not a number"),
        ("[[defaults]]\njobs = 1", "must be one table, [defaults], not a list"),
        ("[server]\nname = \"a\"", "1: “server” must not be a table: each server begins with [[server]]"),
        ("server = [1]", "must be a list of tables"),
        ("[defaults]\nmethod = 1", "2: “method” in [defaults]"),
    ] {
        says(text, expected);
    }
    for name in ["", "a b", "a,b", "-a", &"a".repeat(65)] {
        let expected = if name.is_empty() { "is empty" } else { "is no name" };
        assert!(faults(&server(name, "https://a", "")).concat().contains(expected), "{name}");
    }
}

#[test]
fn plain_http_is_for_loopback_unless_allowed() {
    says(&server("a", "http://a", ""), "allow_plaintext = true at the top of the file");
    assert!(parse(&server("a", "http://127.0.0.1:1", "")).is_ok());
    assert!(parse(&("allow_plaintext = true\n".to_owned() + &server("a", "http://a", ""))).is_ok());
    says(&server("a", "https://a/execute", ""), "only scheme, host and port");
    says(&server("a", "web01", ""), "3: “url” in [[server]] “a” is wrong: not an address");
}

#[test]
fn entries_that_do_not_go_together_are_named_with_both_lines() {
    let two = |one: (&str, &str), other: (&str, &str)| {
        let second = server(other.0, "https://A:443", other.1).replace("root", "other");
        server(one.0, "https://a", one.1) + &second
    };
    for (one, other) in [
        ("rate = \"1/s\"", "rate = \"2/s\""),
        ("jobs = 1", "jobs = 2"),
        ("max_errors = 5", "max_errors = \"5%\""),
        ("timeout = \"1s\"", "timeout = \"2s\""),
        ("connect_to = \"a:1\"", "connect_to = \"a:2\""),
        ("ca_file = \"a\"", "ca_file = \"b\""),
    ] {
        let key = other.split(' ').next().unwrap();
        let found = fault(&two(("a", one), ("b", other)));
        assert!(found.starts_with(&format!("12: “{key}” in [[server]] “b” differs from line 6")), "{found}");
        assert!(parse(&two(("a", one), ("b", one))).is_ok() && parse(&two(("a", ""), ("b", one))).is_ok());
    }
    let pins = ["ab", "cd"].map(|byte| format!("pin_sha256 = \"{}\"", byte.repeat(32)));
    says(&two(("a", &pins[0]), ("b", &pins[1])), "12: “pin_sha256” in [[server]] “b” differs from line 6");
    assert!(parse(&two(("a", "timeout = \"60s\""), ("b", "timeout = \"1m\""))).is_ok());

    for name in ["a", "A"] {
        let names = server("a", "https://a", "") + &server(name, "https://b", "");
        says(&names, &format!("7: [[server]] “{name}” has the name of another server, that of line 1"));
    }
    assert!(parse(&two(("a", ""), ("a", ""))).is_ok());
    let users = server("a", "https://a", "") + &server("b", "https://a", "");
    says(&users, "7: [[server]] “b” is the same user at the same server as line 1");
    let schemes = "allow_plaintext = true\n".to_owned()
        + &server("a", "https://a:1", "")
        + &server("b", "http://a:1", "").replace("root", "other");
    says(&schemes, "10: “url” in [[server]] “b” has another scheme than line 4");
    let domains = server("a", "https://a", "domains = [\"x.example\", \"Bücher.example\"]")
        + &server("b", "https://b", "domains = [\"y.example\",\n\"xn--bcher-kva.EXAMPLE\"]");
    says(&domains, "13: “domains” in [[server]] “b” has one that line 6 has too");
}

#[test]
fn all_faults_are_told_at_once_in_order_and_no_more_than_twenty() {
    let text = "operator = 1\n".to_owned()
        + &server("a", "http://a", "jobs = 0\ncolour = 1")
        + &server("b", "https://b", "token = \"x\"")
        + "[defaults]\nrate = 1";
    assert_eq!(parse(&text).unwrap_err().lines(), [1, 4, 7, 8, 14, 16]);
    let many: String = (0..50).map(|n| format!("x{n} = 1\n")).collect();
    let fault = parse(&many).unwrap_err();
    assert_eq!(fault.lines(), (1..=20).collect::<Vec<_>>());
    assert!(fault.to_string().ends_with("mailsweep.toml: and 30 more"), "{fault}");
}

/// Text that is near to a configuration: pieces of one, in any order.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            "[[server]]", "[server]", "[defaults]", "[[defaults]]", "protect", "domains", "url", "name", "user",
            "token_file", "token_env", "token_command", "rate", "jobs", "max_errors", "timeout", "api", "account",
            "method", "ca_file", "pin_sha256", "connect_to", "require_ticket", "token", "server", "x.y", "\"", "'",
            "\"\"\"", "=", " = ", " = ", " = ", "\n", "\n", "\n", "[", "]", "{", "}", ",", "1", "true", "1979-05-27",
            "0x1F", "1e400", "\\u0000", "\\", "#", "~/", "é", "\u{0}", "\r", "\"https://a\"", "\"whm\"", "\"a@*\"",
        ]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// Where a value may stand, the word VALUE in place of it.
fn with_value() -> impl Strategy<Value = String> {
    let key = proptest::sample::select(vec![
        "protect",
        "runs_dir",
        "operator",
        "ticket",
        "require_ticket",
        "metrics_file",
        "notify_command",
        "allow_plaintext",
        "url",
        "user",
        "token_file",
        "token_command",
        "token_env",
        "password_file",
        "password_env",
        "api",
        "method",
        "account",
        "domains",
        "ca_file",
        "pin_sha256",
        "connect_to",
        "rate",
        "burst",
        "jobs",
        "retries",
        "max_errors",
        "max_outage",
        "timeout",
        "connect_timeout",
        "token",
        "password",
        "tokenfile",
        "defaults",
        "server",
    ]);
    let value = proptest::sample::select(vec![
        "VALUE",
        "\"VALUE\"",
        "\"VALUE",
        "'VALUE'",
        "[\"VALUE\"]",
        "[\"VALUE\", 1, VALUE]",
        "\"https://VALUE\"",
        "\"https://x:VALUE@h\"",
        "\"https://h/VALUE\"",
        "\"VALUE://h\"",
        "\"https://VALUE:x\"",
        "\"VALUE@example.com\"",
        "\"x@VALUE\"",
        "\"~VALUE\"",
        "\"1/VALUE\"",
        "\"VALUE/s\"",
        "\"VALUE%\"",
        "\"10VALUE\"",
        "\"VALUE\\n\"",
        "\"\\VALUE\"",
        "{ x = \"VALUE\" }",
        "1VALUE",
        "\"\"\"VALUE\n\"\"\"",
        "# VALUE",
        "\"x\" VALUE",
        "\"h:VALUE\"",
        "\"VALUE:0\"",
    ]);
    let head =
        proptest::sample::select(vec!["", "[defaults]\n", "[[server]]\n", "[[server]]\nname = \"web\"\n"]);
    let line = (key, value).prop_map(|(key, value)| format!("{key} = {value}\n"));
    (head, proptest::collection::vec(line, 1..5))
        .prop_map(|(head, lines)| format!("{head}{}", lines.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_text_makes_the_reading_panic(any in "(?s).{0,200}", near in nearly()) {
        for text in [any, near] {
            if let Err(fault) = parse(&text) {
                prop_assert!(!fault.lines().is_empty() && !fault.to_string().is_empty());
            }
        }
    }

    #[test]
    fn no_error_repeats_a_value_of_the_file(text in with_value(), value in "[A-Z][A-Z0-9]{7,31}") {
        // Such a word stands in no error by itself.
        let text = text.replace("VALUE", &format!("Q{value}"));
        if let Err(fault) = parse(&text) {
            let shown = fault.to_string().to_lowercase();
            prop_assert!(!shown.contains(&format!("q{}", value.to_lowercase())), "{}\n{}", shown, text);
        }
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    for text in [
        "x = ".to_owned() + &"[".repeat(100_000),
        "x = ".to_owned() + &"{a=".repeat(100_000),
        "a.".repeat(100_000) + "a = 1",
    ] {
        assert!(parse(&text).is_err());
    }
}
