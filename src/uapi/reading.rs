//! What is asked in a reading, and what is picked out of its answer.

use super::endpoint::Api;
use super::json::{Json, Key};
use super::transport::{Found, Question, Token};
use super::wire::{Expected, data};
use crate::domain::{Flag, Mailbox, State, clean};

/// A reading's answer that is longer than this is not read to its end, in bytes. All domains of a
/// server were seen to take 5 MB.
pub const MAX_READING_BYTES: usize = 64 * 1024 * 1024;

/// A question as it is sent.
pub struct Asked {
    /// Behind scheme, host and port.
    pub path: &'static str,
    /// The parameters, in order.
    pub parameters: Vec<(&'static str, String)>,
    /// What its success looks like.
    pub expected: Expected,
}

/// How a question is asked of an interface.
///
/// # Errors
/// In words, if that interface does not answer it: the ports serve either one account or the
/// server (vendor's guide to API authentication).
pub fn asked(api: Api, question: Question<'_>) -> Result<Asked, &'static str> {
    let whm = |path, rest: Option<(&'static str, String)>| {
        let version = ("api.version", "1".to_owned());
        Ok(Asked { path, parameters: [version].into_iter().chain(rest).collect(), expected: Expected::Whm })
    };
    let uapi = |path| Ok(Asked { path, parameters: Vec::new(), expected: Expected::Uapi });
    // A function of the module `Email` about one account: to WHM the account is named.
    let email = |path, function: &str, account: &str, rest: Vec<(&'static str, String)>| {
        let (path, mut parameters) = match api {
            Api::Cpanel => (path, Vec::new()),
            Api::Whm => ("/json-api/uapi_cpanel", as_account(account, "Email", function)),
        };
        parameters.extend(rest);
        Ok(Asked { path, parameters, expected: Expected::Uapi })
    };
    match (api, question) {
        (_, Question::States { account }) => {
            let rest = vec![("get_restrictions", "1".to_owned()), ("no_disk", "1".to_owned())];
            email("/execute/Email/list_pops_with_disk", "list_pops_with_disk", account, rest)
        }
        (_, Question::HeldCount { account, mailbox }) => {
            let rest = vec![("email", mailbox.to_owned())];
            email("/execute/Email/get_held_message_count", "get_held_message_count", account, rest)
        }
        (Api::Whm, Question::DomainInfo) => whm("/json-api/get_domain_info", None),
        (Api::Whm, Question::DomainOwner(domain)) => {
            whm("/json-api/getdomainowner", Some(("domain", domain.to_owned())))
        }
        (Api::Cpanel, Question::MailDomains) => uapi("/execute/Email/list_mail_domains"),
        (Api::Cpanel, Question::Tokens) => uapi("/execute/Tokens/list"),
        (Api::Cpanel, Question::DomainInfo | Question::DomainOwner(_)) => Err(
            "the domains of a server are known to WHM alone (port 2087), and this server is set to api cpanel",
        ),
        (Api::Whm, Question::MailDomains | Question::Tokens) => Err(
            "the domains and tokens of one account are known to cPanel (port 2083), and this server is set to \
                 api whm",
        ),
    }
}

/// How WHM is asked to call UAPI as one of its accounts; since version 86 (vendor's documentation).
pub fn as_account(account: &str, module: &str, function: &str) -> Vec<(&'static str, String)> {
    vec![
        ("api.version", "1".to_owned()),
        ("cpanel.user", account.to_owned()),
        ("cpanel.module", module.to_owned()),
        ("cpanel.function", function.to_owned()),
    ]
}

/// Picks the answer to a question out of a body that was judged to be a success. `user` is whose
/// credential it is; a row with a name that `is_secret` is left out.
///
/// # Errors
/// What is odd about the body, to be put behind “the answer is a success, but”.
pub fn pick(
    question: Question<'_>,
    body: &Json<'_>,
    user: &str,
    is_secret: impl Fn(&str) -> bool,
) -> Result<Found, String> {
    let data = data(body);
    // As the server wrote it: lower case would hide a secret from who looks for it.
    let is_fit = |value: &Json<'_>| value.as_str().is_some_and(|text| !is_secret(text));
    let domain = |row: &Json<'_>| Some(row.at(Key::Domain)).filter(|value| is_fit(value)).and_then(domain);
    let name = |value: &Json<'_>| Some(value).filter(|value| is_fit(value)).and_then(account);
    match question {
        Question::DomainInfo => {
            let found = rows(data.get(Key::Domains), "list of domains", |row| {
                Some((domain(row)?, name(row.at(Key::User))?))
            });
            found.map(Found::Domains)
        }
        Question::MailDomains => {
            let found = rows(Some(data), "list of domains", |row| Some((domain(row)?, user.to_owned())));
            found.map(Found::Domains)
        }
        Question::Tokens => {
            let found = rows(Some(data), "list of tokens", |row| {
                Some(Token { name: token_name(row.at(Key::Name))?, expires_at: end(row.at(Key::ExpiresAt))? })
            });
            found.map(Found::Tokens)
        }
        Question::States { .. } => {
            rows(Some(data), "list of mailboxes", |row| mailbox_row(row, &is_fit)).map(Found::States)
        }
        Question::HeldCount { .. } => {
            count(data).map(Found::Count).ok_or_else(|| "it has no number in it".to_owned())
        }
        Question::DomainOwner(_) => match data.get(Key::User) {
            Some(Json::Null) => Ok(Found::Owner(None)),
            Some(Json::Text(text)) if text.trim().is_empty() => Ok(Found::Owner(None)),
            Some(value) => match name(value) {
                Some(owner) => Ok(Found::Owner(Some(owner))),
                None => Err("the owner in it is no account's name".to_owned()),
            },
            None => Err("it has no owner in it".to_owned()),
        },
    }
}

/// The rows of a list that can be read. A list in which none can is not what was asked for.
fn rows<T>(
    list: Option<&Json<'_>>,
    what: &str,
    read: impl Fn(&Json<'_>) -> Option<T>,
) -> Result<Vec<T>, String> {
    let Some(Json::List(list)) = list else { return Err(format!("it has no {what} in it")) };
    let found: Vec<T> = list.iter().filter_map(read).collect();
    if found.is_empty() && !list.is_empty() {
        return Err(format!("none of the {} rows in its {what} can be read", list.len()));
    }
    Ok(found)
}

/// A row of the list of mailboxes. The account's own row has its name in place of an address, and in
/// this list the two columns of it are swapped; it is no mailbox, and is read as one without flags
/// that nobody asks for.
fn mailbox_row(row: &Json<'_>, is_fit: &impl Fn(&Json<'_>) -> bool) -> Option<(String, State)> {
    let names = [row.at(Key::Email), row.at(Key::Login)];
    if names.iter().any(|name| name.as_str().is_some() && !is_fit(name)) {
        return None;
    }
    let mut names = names.iter().filter_map(|name| name.as_str());
    let address = names.clone().find_map(|name| Mailbox::parse(name.trim()).ok());
    // So that a list of the account's own row alone is an empty list and not an odd one.
    let Some(address) = address else { return names.next().map(|name| (clean(name), State::UNKNOWN)) };
    let state = State::read(|flag| {
        let key = match flag {
            Flag::Login => Key::SuspendedLogin,
            Flag::Incoming => Key::SuspendedIncoming,
            Flag::Outgoing => Key::SuspendedOutgoing,
            Flag::Held => Key::HoldOutgoing,
        };
        row.get(key).and_then(switch)
    });
    // A row that contradicts itself tells nothing: some flag is set, and none of them says so.
    let is_odd = row.get(Key::HasSuspended).and_then(switch) == Some(true)
        && Flag::ALL.into_iter().all(|flag| state.get(flag) == Some(false));
    Some((address.into_string(), if is_odd { State::UNKNOWN } else { state }))
}

/// A flag as it was seen: 1, 0, "1", "0", true, false, and null for one that is not set. A flag that
/// is missing was not told.
fn switch(value: &Json<'_>) -> Option<bool> {
    match value {
        Json::Null => Some(false),
        Json::Bool(on) => Some(*on),
        Json::Integer(0) => Some(false),
        Json::Integer(1) => Some(true),
        Json::Text(text) => match text.trim() {
            "" | "0" => Some(false),
            "1" => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// A number, which may have been sent as a string.
fn count(value: &Json<'_>) -> Option<u64> {
    match value {
        Json::Integer(number) => u64::try_from(*number).ok(),
        Json::Large(number) => Some(*number),
        Json::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A domain in the form that mailboxes have it, found by the same rule as theirs.
fn domain(value: &Json<'_>) -> Option<String> {
    let text = value.as_str()?.trim();
    let text = text.strip_suffix('.').unwrap_or(text);
    Mailbox::parse(&format!("x@{text}")).ok().map(|mailbox| mailbox.domain().to_owned())
}

/// The name of an account. cPanel's have at most 16 characters; foreign ones may be longer.
fn account(value: &Json<'_>) -> Option<String> {
    const LONGEST: usize = 64;
    let text = value.as_str()?.trim();
    // One that begins with a sign would be a formula to a spreadsheet.
    let is_name = (1..=LONGEST).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    is_name.then(|| text.to_owned())
}

fn token_name(value: &Json<'_>) -> Option<String> {
    Some(clean(value.as_str()?)).filter(|name| !name.is_empty())
}

/// When a token ends; the outer `None` is for what is no time. `expires_at` is null if it does not
/// (vendor's specification); zero was never a token's end either.
fn end(value: &Json<'_>) -> Option<Option<i64>> {
    let seconds = match value {
        Json::Null => return Some(None),
        Json::Integer(number) => *number,
        Json::Text(text) if text.trim().is_empty() => return Some(None),
        Json::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Some((seconds != 0).then_some(seconds))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::super::json::parse;
    use super::*;

    fn pick_from(
        question: Question<'_>,
        body: &[u8],
        is_secret: impl Fn(&str) -> bool,
    ) -> Result<Found, String> {
        let body = parse(body).map_err(|fault| fault.to_string())?;
        pick(question, &body, "exampleu", is_secret)
    }

    fn found(question: Question<'_>, body: &str) -> Result<Found, String> {
        pick_from(question, body.as_bytes(), |name| name == "S3CRET")
    }

    fn domains(list: &[(&str, &str)]) -> Result<Found, String> {
        Ok(Found::Domains(list.iter().map(|(d, u)| ((*d).to_owned(), (*u).to_owned())).collect()))
    }

    #[test]
    fn domains_come_in_the_form_that_mailboxes_have() {
        let body = r#"{"metadata":{"result":1},"data":{"domains":[
            {"domain":" Example.COM. ","user":"exampleu","domain_type":"main","ipv4":["192.0.2.1"]},
            {"domain":"bücher.example","user":" other ","php_version":null},
            {"domain":"xn--bcher-kva.example","user":"other"}]}}"#;
        let expected = domains(&[
            ("example.com", "exampleu"),
            ("xn--bcher-kva.example", "other"),
            ("xn--bcher-kva.example", "other"),
        ]);
        assert_eq!(found(Question::DomainInfo, body), expected);
        let body = r#"{"status":1,"data":[{"domain":"Example.com"},{"domain":"bücher.example"}]}"#;
        let expected = domains(&[("example.com", "exampleu"), ("xn--bcher-kva.example", "exampleu")]);
        assert_eq!(found(Question::MailDomains, body), expected);
    }

    #[test]
    fn odd_rows_are_left_out_and_an_empty_list_is_one() {
        let body = r#"{"metadata":{"result":1},"data":{"domains":[null,7,"x.example",[],{},
            {"domain":"a.example"},{"user":"u"},{"domain":7,"user":"u"},{"domain":"a.example","user":null},
            {"domain":"*.a.example","user":"u"},{"domain":"a..example","user":"u"},{"domain":"","user":"u"},
            {"domain":"a@b.example","user":"u"},{"domain":"a b.example","user":"u"},{"domain":"a.example","user":"a b"},
            {"domain":"a.example","user":"\u001b[2J"},{"domain":"a.example","user":"-1"},{"domain":"a.example","user":""},{"domain":"a.example","user":"S3CRET"},
            {"domain":"good.example","user":"u"}]}}"#;
        assert_eq!(found(Question::DomainInfo, body), domains(&[("good.example", "u")]));
        let empty = r#"{"metadata":{"result":1},"data":{"domains":[]}}"#;
        assert_eq!(found(Question::DomainInfo, empty), domains(&[]));
        assert_eq!(found(Question::MailDomains, r#"{"status":1,"data":[]}"#), domains(&[]));
        assert_eq!(found(Question::Tokens, r#"{"status":1,"data":[]}"#), Ok(Found::Tokens(vec![])));
    }

    const STATES: Question<'static> = Question::States { account: "exampleu" };

    fn states(rows: &str) -> Vec<(String, String)> {
        match found(STATES, &format!(r#"{{"status":1,"data":[{rows}]}}"#)) {
            Ok(Found::States(list)) => {
                list.into_iter().map(|(name, state)| (name, state.to_string())).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn state(flags: &str) -> String {
        states(&format!(r#"{{"email":"a@example.com",{flags}}}"#)).remove(0).1
    }

    #[test]
    fn flags_are_read_in_every_type_that_was_seen_and_a_missing_one_is_not_known() {
        let all = |value: &str| {
            state(&format!(
                r#""suspended_login":{value},"suspended_incoming":{value},"suspended_outgoing":{value},"hold_outgoing":{value}"#
            ))
        };
        for no in ["0", "\"0\"", "false", "null", "\"\""] {
            assert_eq!(all(no), "nnnn", "{no}");
        }
        for yes in ["1", "\"1\"", "true", "\" 1 \""] {
            assert_eq!(all(yes), "yyyy", "{yes}");
        }
        for odd in ["2", "-1", "0.5", "\"yes\"", "[]", "{}"] {
            assert_eq!(all(odd), "????", "{odd}");
        }
        assert_eq!(state(r#""suspended_login":null,"suspended_incoming":1"#), "ny??");
        assert_eq!(state(r#""diskused":"246.23""#), "????", "get_restrictions was forgotten");
    }

    #[test]
    fn a_row_that_contradicts_itself_tells_nothing() {
        let none = r#""suspended_login":0,"suspended_incoming":0,"suspended_outgoing":0,"hold_outgoing":0"#;
        assert_eq!(state(&format!(r#"{none},"has_suspended":1"#)), "????");
        assert_eq!(state(&format!(r#"{none},"has_suspended":"0""#)), "nnnn");
        let one = none.replacen('0', "1", 1);
        assert_eq!(state(&format!(r#"{one},"has_suspended":0"#)), "ynnn");
    }

    #[test]
    fn mailboxes_are_named_as_they_are_normalised_and_the_accounts_own_row_is_none_of_them() {
        let rows = r#"{"email":" Anna@EXAMPLE.com","login":"x","suspended_login":"1"},
            {"email":"Main Account","login":"exampleu","suspended_login":1},
            {"email":"exampleu","login":"Main Account"},
            {"email":"ben","login":"ben@bücher.example"},
            {"email":"S3CRET"},{},null,7"#;
        let list = states(rows);
        let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["anna@example.com", "Main Account", "exampleu", "ben@xn--bcher-kva.example"]);
        assert_eq!(list[1].1, "????");
        assert!(
            found(STATES, r#"{"status":1,"data":[{"email":"Main Account","login":"exampleu"}]}"#).is_ok()
        );
        assert!(found(STATES, r#"{"status":1,"data":{}}"#).is_err());
    }

    #[test]
    fn a_count_of_held_messages_is_a_number() {
        let held = Question::HeldCount { account: "exampleu", mailbox: "a@example.com" };
        assert_eq!(found(held, r#"{"status":1,"data":3}"#), Ok(Found::Count(3)));
        assert_eq!(found(held, r#"{"status":1,"data":"12"}"#), Ok(Found::Count(12)));
        for odd in ["null", "-1", "\"many\"", "[]"] {
            assert!(found(held, &format!(r#"{{"status":1,"data":{odd}}}"#)).is_err(), "{odd}");
        }
    }

    #[test]
    fn an_account_is_named_to_whm_alone() {
        let cpanel = asked(Api::Cpanel, STATES).unwrap();
        assert_eq!(cpanel.path, "/execute/Email/list_pops_with_disk");
        let rest = [("get_restrictions", "1".to_owned()), ("no_disk", "1".to_owned())];
        assert_eq!(cpanel.parameters, rest);
        let whm = asked(Api::Whm, STATES).unwrap();
        assert_eq!((whm.path, whm.expected), ("/json-api/uapi_cpanel", Expected::Uapi));
        assert!(whm.parameters.contains(&("cpanel.user", "exampleu".to_owned())));
        assert!(rest.iter().all(|pair| whm.parameters.contains(pair)));
    }

    #[test]
    fn data_of_another_shape_is_told() {
        for (question, body, why) in [
            (Question::DomainInfo, r#"{"data":{}}"#, "no list of domains"),
            (Question::DomainInfo, r#"{"data":null}"#, "no list of domains"),
            (Question::DomainInfo, r#"{"data":{"domains":{"a":1}}}"#, "no list of domains"),
            (Question::DomainInfo, r#"{"data":{"domains":["a.example","b.example"]}}"#, "none of the 2 rows"),
            (Question::MailDomains, r#"{"status":1}"#, "no list of domains"),
            (Question::MailDomains, r#"{"status":1,"data":1}"#, "no list of domains"),
            (Question::Tokens, r#"{"status":1,"data":{"a":{}}}"#, "no list of tokens"),
            (Question::Tokens, r#"{"status":1,"data":[{}]}"#, "none of the 1 rows"),
            (Question::DomainOwner("a.example"), r#"{"data":{}}"#, "no owner"),
            (Question::DomainOwner("a.example"), r#"{"data":[]}"#, "no owner"),
            (Question::DomainOwner("a.example"), r#"{"data":{"user":7}}"#, "no account's name"),
            (Question::DomainOwner("a.example"), r#"{"data":{"user":"S3CRET"}}"#, "no account's name"),
        ] {
            let error = found(question, body).unwrap_err();
            assert!(error.contains(why), "{body}: {error}");
        }
    }

    #[test]
    fn an_owner_is_a_name_or_nobody() {
        for (user, owner) in [("\"park\"", Some("park")), ("null", None), ("\"\"", None)] {
            let body = format!(r#"{{"metadata":{{"result":1}},"data":{{"user":{user}}}}}"#);
            let expected = Ok(Found::Owner(owner.map(str::to_owned)));
            assert_eq!(found(Question::DomainOwner("a.example"), &body), expected);
        }
    }

    #[test]
    fn tokens_have_a_name_and_an_end_or_none() {
        let body = r#"{"status":1,"data":[{"name":"a","expires_at":null},{"name":"b","expires_at":1790000000},
            {"name":"c","expires_at":" 1790000001 "},{"name":"d","create_time":5},{"name":"e","expires_at":0},
            {"name":"f","expires_at":""},{"name":"g","expires_at":"soon"},{"name":"h","expires_at":[]},
            {"name":"","expires_at":1},{"expires_at":1},{"name":"i\u001b\n","expires_at":-1}]}"#;
        let expected = [
            ("a", None),
            ("b", Some(1_790_000_000)),
            ("c", Some(1_790_000_001)),
            ("d", None),
            ("e", None),
            ("f", None),
            ("i", Some(-1)),
        ];
        let expected = expected.map(|(name, expires_at)| Token { name: name.to_owned(), expires_at });
        assert_eq!(found(Question::Tokens, body), Ok(Found::Tokens(expected.to_vec())));
    }

    #[test]
    fn twenty_thousand_domains_are_read_one_by_one() {
        let mut body = String::from(r#"{"data":{"domains":["#);
        for i in 0..20_000 {
            let comma = if i == 0 { "" } else { "," };
            write!(
                body,
                r#"{comma}{{"domain":"d{i}.example","user":"u{}","docroot":"/home/u/{i}","port":"80"}}"#,
                i / 3
            )
            .unwrap();
        }
        body.push_str(r#"]},"metadata":{"result":1,"reason":"OK"}}"#);
        let Ok(Found::Domains(list)) = found(Question::DomainInfo, &body) else { panic!("not a list") };
        assert_eq!(list.len(), 20_000);
        assert_eq!(list[19_999], ("d19999.example".to_owned(), "u6666".to_owned()));
    }

    #[test]
    fn a_question_is_asked_only_where_it_is_answered() {
        let whm = [Question::DomainInfo, Question::DomainOwner("a.example")];
        let cpanel = [Question::MailDomains, Question::Tokens];
        for question in whm {
            assert!(asked(Api::Whm, question).is_ok());
            assert!(asked(Api::Cpanel, question).is_err_and(|words| words.contains("2087")));
        }
        for question in cpanel {
            assert!(asked(Api::Cpanel, question).is_ok());
            assert!(asked(Api::Whm, question).is_err_and(|words| words.contains("2083")));
        }
    }

    const QUESTIONS: [Question<'_>; 6] = [
        Question::DomainInfo,
        Question::DomainOwner("a.example"),
        Question::MailDomains,
        Question::Tokens,
        STATES,
        Question::HeldCount { account: "u", mailbox: "a@a.example" },
    ];

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,\"0-9a-z\u{e9}\\\\]{0,80}") {
            for question in QUESTIONS {
                for inner in [&bytes[..], text.as_bytes()] {
                    let _ = pick_from(question, inner, |_| false);
                    let body = [br#"{"status":1,"data":"#, inner, b"}"].concat();
                    let _ = pick_from(question, &body, |_| false);
                }
            }
        }

        #[test]
        fn whatever_a_row_says_what_is_found_is_fit_to_be_shown(a in any::<String>(), b in any::<String>(), end in any::<f64>()) {
            let row = serde_json::json!({"domain": a, "user": b, "name": a, "expires_at": end, "email": a, "login": b});
            let body = serde_json::json!({"data": {"domains": [row], "user": a}});
            let list = serde_json::json!({"data": [row]});
            for question in QUESTIONS {
                for body in [&body, &list] {
                    let shown = match pick_from(question, body.to_string().as_bytes(), |_| false) {
                        Ok(Found::Domains(list)) => list.into_iter().map(|(a, b)| a + &b).collect(),
                        Ok(Found::Owner(owner)) => owner.unwrap_or_default(),
                        Ok(Found::Tokens(list)) => list.into_iter().map(|token| token.name).collect(),
                        Ok(Found::States(list)) => list.into_iter().map(|(name, _)| name).collect(),
                        Ok(Found::Nothing | Found::Count(_)) => String::new(),
                        Err(words) => words,
                    };
                    prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
                }
            }
        }
    }
}
