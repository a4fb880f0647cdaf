//! Any bytes in an answer's place have a verdict, in words that can be shown; success is never read out
//! of a body without `status` 1. The first byte chooses HTTP status and question.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailsweep::uapi::{Api, Found, Question, Verdict, found_in, verdict_of, verdicts_in};
use serde_json::Value;

#[path = "../../../src/uapi/bytes/oracle.rs"]
mod oracle;
use oracle::{QUESTIONS, has_status_1};

const STATUS: [u16; 16] = [200, 200, 200, 200, 200, 200, 401, 403, 404, 408, 429, 500, 502, 503, 302, 204];

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let status = STATUS[usize::from(first % 16)];
    let header = std::str::from_utf8(body).ok().map(|text| text.lines().next().unwrap_or_default());
    let verdict = verdict_of(status, header, body);
    // What is not read of a body need not be text.
    let json = || -> Value {
        let text = String::from_utf8_lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
        serde_json::from_str(&text).expect("JSON")
    };
    if verdict == Verdict::Done {
        assert!(status == 200 && has_status_1(&json()), "{}", json());
    }
    let told = verdict.into_error();
    assert!(!told.chars().any(char::is_control), "{told:?}");

    for api in [Api::Cpanel, Api::Whm] {
        let Some(verdicts) = verdicts_in(api, 3, body) else { continue };
        assert_eq!(verdicts.len(), 3);
        assert!(!verdicts.contains(&Some(Verdict::Done)) || has_status_1(&json()), "{}", json());
        for told in verdicts.into_iter().flatten().map(Verdict::into_error) {
            assert!(!told.chars().any(char::is_control), "{told:?}");
        }
    }

    for (api, question) in QUESTIONS {
        match found_in(api, question, body) {
            Ok(Found::Domains(list)) => {
                for (domain, account) in list {
                    assert!(!domain.is_empty() && !account.is_empty());
                    assert!(!(domain + &account).chars().any(char::is_control));
                }
            }
            Ok(Found::Owner(owner)) => assert!(!owner.unwrap_or_default().chars().any(char::is_control)),
            Ok(Found::States(list)) => {
                assert!(!list.iter().any(|(mailbox, _)| mailbox.chars().any(char::is_control)));
            }
            Ok(_) => {}
            Err(told) => assert!(!told.chars().any(char::is_control), "{told:?}"),
        }
    }
});
