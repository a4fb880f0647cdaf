//! Several calls in one request: what is sent, and which answer belongs to which call.
//!
//! A server starts a process for each request, so many calls in one cost it far less. cPanel has
//! `Batch::strict` for one account: it stops at the first failure, and what its answer then looks like
//! is recorded nowhere. WHM has `batch`, here of calls through `uapi_cpanel`, which goes on. Answers
//! are told apart by their place alone; wherever the places cannot be trusted, no call counts as
//! answered, and each is asked for again by itself.

use serde_json::json;

use super::endpoint::Api;
use super::json::{Json, Key, parse};
use super::reading::as_account;
use super::transport::Verdict;
use super::verdict::rejected;
use super::wire::{Envelope, Expected, envelope};
use crate::domain::Function;

/// One call of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The account.
    pub account: &'a str,
    /// What is called.
    pub function: Function,
    /// About which mailbox.
    pub mailbox: &'a str,
}

/// What came of the calls of a batch whose answer could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Items {
    /// For each call, in their order, what was answered; `None` where nothing was.
    pub verdicts: Vec<Option<Verdict>>,
    /// How many of them, from the first, were run for sure or answered; what comes behind was not
    /// run. `None` where that is not known either.
    pub reached: Option<usize>,
    /// Why the batch as a whole was not carried out, if it says so and answers no single call.
    pub refusal: Option<String>,
}

/// Where batches go.
pub fn path(api: Api) -> &'static str {
    match api {
        Api::Cpanel => "/execute/Batch/strict",
        Api::Whm => "/json-api/batch",
    }
}

/// The form that is posted.
pub fn form(api: Api, items: &[Item<'_>]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    if api == Api::Whm {
        form.append_pair("api.version", "1");
    }
    for item in items {
        let (function, mailbox) = (item.function.uapi_name(), item.mailbox);
        let command = match api {
            Api::Cpanel => json!(["Email", function, { "email": mailbox }]).to_string(),
            // A function and its query; so its values are encoded twice in all.
            Api::Whm => {
                let mut query = form_urlencoded::Serializer::new(String::from("uapi_cpanel?"));
                let version = |name: &str| name == "api.version";
                let pairs = as_account(item.account, "Email", function);
                query.extend_pairs(pairs.iter().filter(|(name, _)| !version(name)));
                query.append_pair("email", mailbox);
                query.finish()
            }
        };
        form.append_pair("command", &command);
    }
    form.finish()
}

/// Reads the answer to a batch of so many calls. `None` if it is not one.
pub fn items(api: Api, body: &[u8], sent: usize) -> Option<Items> {
    let body = parse(body).ok()?;
    match api {
        Api::Cpanel => strict(&body, sent),
        Api::Whm => whm(&body, sent),
    }
}

/// `Batch::strict`: all were run if its `status` is 1, else those up to the first failure.
fn strict(body: &Json<'_>, sent: usize) -> Option<Items> {
    let outer = match body.get(Key::Result) {
        Some(inner) if inner.get(Key::Status).is_some() => inner,
        _ => body,
    };
    let (is_success, words) = match envelope(&outer_alone(outer), Expected::Uapi) {
        Envelope::Success => (true, Vec::new()),
        Envelope::Failure(words) => (false, words),
        Envelope::Alien => return None,
    };
    let answers = outer.get(Key::Data).and_then(Json::as_list).unwrap_or_default();
    let mut verdicts: Vec<Option<Verdict>> = answers.iter().map(verdict).collect();
    let fits = if is_success { verdicts.len() == sent } else { verdicts.len() <= sent };
    if !fits || verdicts.contains(&None) {
        return Some(Items { verdicts: vec![None; sent], reached: None, refusal: None });
    }
    if is_success {
        return Some(Items { verdicts, reached: Some(sent), refusal: None });
    }
    if verdicts.is_empty() {
        // Whether the first call failed, or a later one, or the batch itself, is not said.
        return Some(Items { verdicts: vec![None; sent], reached: None, refusal: Some(words.join("; ")) });
    }
    // A failure ends it: if none is among the answers, it is the next one's, in words of its own.
    let is_failure = |verdict: &Option<Verdict>| matches!(verdict, Some(Verdict::Rejected { .. }));
    let reached = verdicts.iter().any(is_failure).then_some(verdicts.len());
    verdicts.resize(sent, None);
    Some(Items { verdicts, reached, refusal: None })
}

/// An envelope without what it holds, which has envelopes of its own.
fn outer_alone<'a>(outer: &Json<'a>) -> Json<'a> {
    let kept = [Key::Status, Key::Errors, Key::Messages];
    Json::Object(kept.into_iter().map(|key| (key, outer.at(key).clone())).collect())
}

/// WHM's `batch` goes on after a failure, so there is an answer for each call or the places say nothing.
fn whm(body: &Json<'_>, sent: usize) -> Option<Items> {
    let outer = body.get(Key::Metadata)?;
    let Some(answers) = body.get(Key::Data).and_then(|data| data.get(Key::Result)).and_then(Json::as_list)
    else {
        let reason = outer.get(Key::Reason).and_then(Json::as_str).unwrap_or_default();
        return Some(Items { verdicts: vec![None; sent], reached: None, refusal: Some(reason.to_owned()) });
    };
    let is_ours = |answer: &Json<'_>| {
        let command = answer.get(Key::Metadata).and_then(|metadata| metadata.get(Key::Command));
        command.and_then(Json::as_str).is_none_or(|command| command == "uapi_cpanel")
    };
    let verdicts: Vec<Option<Verdict>> =
        answers.iter().map(|answer| verdict(answer).filter(|_| is_ours(answer))).collect();
    if verdicts.len() != sent {
        return Some(Items { verdicts: vec![None; sent], reached: None, refusal: None });
    }
    Some(Items { verdicts, reached: Some(sent), refusal: None })
}

/// What the answer to one call means; `None` if it is not one.
fn verdict(answer: &Json<'_>) -> Option<Verdict> {
    match envelope(answer, Expected::Uapi) {
        Envelope::Success => Some(Verdict::Done),
        Envelope::Failure(words) => Some(rejected(words)),
        Envelope::Alien => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::domain::ErrorClass;

    fn item<'a>(account: &'a str, mailbox: &'a str) -> Item<'a> {
        Item { account, function: Function::SuspendLogin, mailbox }
    }

    #[test]
    fn commands_are_encoded_once_for_cpanel_and_twice_for_whm() {
        let items = [item("exampleu", "a+b@example.com"), item("other", "c@example.com")];
        let decoded = |form: &str| -> Vec<(String, String)> {
            form_urlencoded::parse(form.as_bytes()).into_owned().collect()
        };
        let cpanel = decoded(&form(Api::Cpanel, &items));
        assert_eq!(cpanel[0].0, "command");
        let command: Value = serde_json::from_str(&cpanel[0].1).unwrap();
        assert_eq!(command, json!(["Email", "suspend_login", {"email": "a+b@example.com"}]));
        let whm = decoded(&form(Api::Whm, &items));
        assert_eq!(whm[0], ("api.version".to_owned(), "1".to_owned()));
        let (function, query) = whm[1].1.split_once('?').unwrap();
        assert_eq!(function, "uapi_cpanel");
        let inner = decoded(query);
        assert!(inner.contains(&("cpanel.user".into(), "exampleu".into())), "{inner:?}");
        assert!(inner.contains(&("email".into(), "a+b@example.com".into())), "{inner:?}");
        assert!(!inner.iter().any(|(name, _)| name == "api.version"));
        assert_eq!(whm.len(), 3);
    }

    const OK: &str = r#"{"status":1,"errors":null,"data":null}"#;
    const GONE: &str =
        r#"{"status":0,"errors":["You do not have an email account named “x@y”."],"data":null}"#;

    fn read(api: Api, body: &str, sent: usize) -> Items {
        items(api, body.as_bytes(), sent).unwrap()
    }

    /// `d` done, `g` no such mailbox, `r` otherwise rejected, `-` no answer.
    fn letters(items: &Items) -> String {
        let letter = |verdict: &Option<Verdict>| match verdict {
            Some(Verdict::Done) => 'd',
            Some(Verdict::Rejected { class: ErrorClass::NoSuchMailbox, .. }) => 'g',
            Some(Verdict::Rejected { .. }) => 'r',
            Some(other) => panic!("{other:?}"),
            None => '-',
        };
        items.verdicts.iter().map(letter).collect()
    }

    #[test]
    fn strict_answers_all_or_those_up_to_the_first_failure() {
        let all = read(Api::Cpanel, &format!(r#"{{"status":1,"data":[{OK},{OK}]}}"#), 2);
        assert_eq!((letters(&all).as_str(), all.reached), ("dd", Some(2)));
        let nested = read(Api::Cpanel, &format!(r#"{{"result":{{"status":1,"data":[{OK}]}}}}"#), 1);
        assert_eq!(letters(&nested), "d");
        let stopped = format!(r#"{{"status":0,"errors":["batch stopped"],"data":[{OK},{GONE}]}}"#);
        let short = read(Api::Cpanel, &stopped, 4);
        assert_eq!((letters(&short).as_str(), short.reached), ("dg--", Some(2)));
        let no_data = read(Api::Cpanel, GONE, 3);
        assert_eq!((letters(&no_data).as_str(), no_data.reached), ("---", None));
        assert!(no_data.refusal.is_some_and(|words| words.contains("do not have an email account")));
        let without_the_failure = read(Api::Cpanel, &format!(r#"{{"status":0,"data":[{OK}]}}"#), 3);
        assert_eq!((letters(&without_the_failure).as_str(), without_the_failure.reached), ("d--", None));
    }

    #[test]
    fn where_places_cannot_be_trusted_nothing_is_answered() {
        for body in [
            format!(r#"{{"status":1,"data":[{OK}]}}"#),
            format!(r#"{{"status":1,"data":[{OK},{OK},{OK}]}}"#),
            format!(r#"{{"status":0,"data":[{OK},{OK},{OK}]}}"#),
            format!(r#"{{"status":1,"data":[{OK},{{"x":1}}]}}"#),
            r#"{"status":1,"data":null}"#.to_owned(),
        ] {
            let items = read(Api::Cpanel, &body, 2);
            assert_eq!((letters(&items).as_str(), items.reached), ("--", None), "{body}");
        }
        for body in ["[]", "{}", "7", "{\"status\":\"x\"}", "<html>", "", "{\"metadata\":7"] {
            assert_eq!(items(Api::Cpanel, body.as_bytes(), 2), None, "{body}");
        }
    }

    fn whm_item(uapi: &str) -> String {
        format!(
            r#"{{"data":{{"uapi":{uapi}}},"metadata":{{"command":"uapi_cpanel","result":1,"reason":"OK"}}}}"#
        )
    }

    #[test]
    fn whm_has_three_levels_and_an_answer_for_each() {
        let denied = r#"{"metadata":{"command":"uapi_cpanel","result":0,"reason":"You do not have a user named “x”."}}"#;
        let list = [whm_item(OK), whm_item(GONE), denied.to_owned()].join(",");
        let body = format!(
            r#"{{"data":{{"result":[{list}]}},"metadata":{{"command":"batch","result":0,"reason":"x"}}}}"#
        );
        let mixed = read(Api::Whm, &body, 3);
        assert_eq!((letters(&mixed).as_str(), mixed.reached), ("dgr", Some(3)));
        assert_eq!(letters(&read(Api::Whm, &body, 4)), "----", "one is missing, nobody knows which");
        let other = body.replacen("uapi_cpanel", "killdns", 1);
        assert_eq!(letters(&read(Api::Whm, &other, 3)), "-gr");
        let refused = r#"{"metadata":{"command":"batch","result":0,"reason":"Access denied"}}"#;
        assert_eq!(read(Api::Whm, refused, 2).refusal.as_deref(), Some("Access denied"));
        assert_eq!(items(Api::Whm, b"{\"data\":{}}", 2), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_lived_with(text in "[\\[\\]{}:,\"0-1a-z]{0,120}", sent in 0usize..4) {
            for api in [Api::Cpanel, Api::Whm] {
                for body in [text.clone(), format!(r#"{{"status":1,"data":[{text}]}}"#)] {
                    if let Some(items) = items(api, body.as_bytes(), sent) {
                        prop_assert_eq!(items.verdicts.len(), sent);
                    }
                }
            }
        }
    }
}
