//! What an answer's bytes mean, without the exchange that they came in: for whoever has them from
//! elsewhere, such as a recording or a fuzzer.

use std::time::SystemTime;

use super::batch;
use super::endpoint::Api;
use super::reading::{asked, pick};
use super::transport::{Found, Question, Verdict};
use super::verdict::{Body, Received, judge, judge_and_keep};
use super::wire::Expected;

/// The verdict on a call's answer that came whole.
pub fn verdict_of(status: u16, retry_after: Option<&str>, body: &[u8]) -> Verdict {
    judge(&received(status, retry_after, Expected::Uapi, body), SystemTime::UNIX_EPOCH)
}

/// What a reading's answer holds.
///
/// # Errors
/// The verdict on it, if it is no success; what is odd about it, if it does not hold what was asked
/// for, or that interface does not answer the question.
pub fn found_in(api: Api, question: Question<'_>, body: &[u8]) -> Result<Found, String> {
    let asked = asked(api, question)?;
    match judge_and_keep(&received(200, None, asked.expected, body), SystemTime::UNIX_EPOCH) {
        (Verdict::Done, Some(body)) => pick(question, &body, "exampleu", |_| false),
        (other, _) => Err(other.into_error()),
    }
}

/// What an answer to so many calls in one says of each of them; `None` for those of which it says
/// nothing. `None` in all if it is no such answer.
pub fn verdicts_in(api: Api, sent: usize, body: &[u8]) -> Option<Vec<Option<Verdict>>> {
    batch::items(api, body, sent).map(|items| items.verdicts)
}

fn received<'a>(
    status: u16,
    retry_after: Option<&'a str>,
    expected: Expected,
    body: &'a [u8],
) -> Received<'a> {
    let (content_type, location, body) = ("application/json", None, Body::Whole(body));
    Received { status, content_type, retry_after, location, expected, body }
}

#[cfg(test)]
mod oracle;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::super::json::KEYS;
    use super::oracle::{QUESTIONS, has_status_1};
    use super::*;

    /// Answers to calls as they are inside the answer to a batch, some of them odd.
    fn inner() -> impl Strategy<Value = Value> {
        let uapi = prop_oneof![
            4 => Just(json!({ "status": 1, "errors": null, "data": null })),
            2 => Just(json!({ "status": 0, "errors": ["no\u{1b} such"], "data": null })),
            1 => Just(json!({ "status": "x" })),
            1 => Just(Value::Null),
        ];
        (uapi, any::<bool>()).prop_map(|(uapi, through_whm)| match through_whm {
            true => {
                json!({ "data": { "uapi": uapi }, "metadata": { "command": "uapi_cpanel", "result": 1 } })
            }
            false => uapi,
        })
    }

    /// JSON in which the words of the API's shapes occur, in any place.
    fn shaped() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(KEYS.to_vec());
        let leaf = prop_oneof![
            Just(json!(1)),
            Just(json!(0)),
            Just(json!("1")),
            Just(json!(1.0)),
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[a-z.=\u{1b}\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn of_a_batch_only_a_call_that_was_answered_well_is_done(
            answers in prop::collection::vec(inner(), 0..5),
            outer in prop::sample::select(vec![json!(1), json!(0), Value::Null]),
            sent in 0usize..5,
        ) {
            for (api, body) in [
                (Api::Cpanel, json!({ "status": outer, "errors": null, "data": answers })),
                (Api::Whm, json!({ "data": { "result": answers }, "metadata": { "result": outer } })),
            ] {
                let Some(verdicts) = verdicts_in(api, sent, body.to_string().as_bytes()) else { continue };
                prop_assert_eq!(verdicts.len(), sent);
                for (place, verdict) in verdicts.into_iter().enumerate() {
                    let is_well = answers.get(place).is_some_and(has_status_1);
                    prop_assert!(verdict != Some(Verdict::Done) || is_well, "{place} of {body}");
                    let told = verdict.map(Verdict::into_error).unwrap_or_default();
                    prop_assert!(!told.chars().any(char::is_control), "{told:?}");
                }
            }
        }

        #[test]
        fn whatever_json_comes_success_has_its_status_and_words_can_be_shown(body in shaped()) {
            let bytes = body.to_string();
            let verdict = verdict_of(200, None, bytes.as_bytes());
            prop_assert!(verdict != Verdict::Done || has_status_1(&body), "{bytes}");
            let told = verdict.into_error();
            prop_assert!(!told.chars().any(char::is_control), "{told:?}");
            for (api, question) in QUESTIONS {
                let shown = match found_in(api, question, bytes.as_bytes()) {
                    Ok(Found::Domains(list)) => list.into_iter().map(|(domain, user)| domain + &user).collect(),
                    Ok(Found::Owner(owner)) => owner.unwrap_or_default(),
                    Ok(Found::States(list)) => list.into_iter().map(|(mailbox, _)| mailbox).collect(),
                    Ok(_) => String::new(),
                    Err(told) => told,
                };
                prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            }
            for api in [Api::Cpanel, Api::Whm] {
                let verdicts = verdicts_in(api, 2, bytes.as_bytes()).unwrap_or_default();
                prop_assert!(!verdicts.contains(&Some(Verdict::Done)) || has_status_1(&body), "{bytes}");
            }
        }
    }
}
