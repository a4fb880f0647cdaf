//! The one table that decides what an answer means.
//!
//! Success is HTTP 200 with a JSON body that has the UAPI envelope with `status` 1, and nothing
//! else is: cPanel answers 200 to every failure of the API too, and login and firewall pages come
//! with 200 as well. What is not success is sorted by one question: can the call have had effect?

use std::time::{Duration, SystemTime};

use super::json::{Json, parse, without_mark};
use super::transport::Verdict;
use super::wire::{Envelope, Expected, envelope};
use crate::domain::{ErrorClass, clean};

/// An answer longer than this is not read to its end, in bytes: a call's answer has some hundred.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The parts of an HTTP answer that matter.
pub struct Received<'a> {
    pub status: u16,
    pub content_type: &'a str,
    pub retry_after: Option<&'a str>,
    pub location: Option<&'a str>,
    pub expected: Expected,
    pub body: Body<'a>,
}

/// What could be read of a body.
#[derive(Clone)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It goes on beyond this many bytes.
    TooLong(usize),
    /// The connection was lost, or the time was up, before its end.
    Lost { class: ErrorClass, error: String },
}

/// Judges an answer. `now` is what a `Retry-After` date is counted from.
pub fn judge(received: &Received<'_>, now: SystemTime) -> Verdict {
    judge_and_keep(received, now).0
}

/// The same; of a success also what it says, for whoever asked for that.
pub fn judge_and_keep<'a>(received: &Received<'a>, now: SystemTime) -> (Verdict, Option<Json<'a>>) {
    match received.status {
        200 => judge_ok(received),
        _ => (judge_other(received, now), None),
    }
}

/// Judges an answer that is no 200.
fn judge_other(received: &Received<'_>, now: SystemTime) -> Verdict {
    let Received { status, .. } = *received;
    match status {
        status if is_refusal(status) => Verdict::Refused { error: words_of(received) },
        429 | 503 => Verdict::Throttled {
            after: received.retry_after.and_then(|value| parse_retry_after(value, now)),
            error: words_of(received),
        },
        408 | 500 | 502 | 504 => Verdict::Open { class: ErrorClass::Http, error: words_of(received) },
        300..=399 => {
            let to = received.location.map(|l| format!(" to {}", clean(l))).unwrap_or_default();
            let error = format!("HTTP {status}: redirected{to}; redirects are not followed");
            Verdict::Foreign { class: ErrorClass::Http, error, open: false }
        }
        400..=499 => Verdict::Foreign { class: ErrorClass::Http, error: words_of(received), open: false },
        // 1xx, other 2xx and unusual 5xx: nothing the API is known to say.
        _ => Verdict::Foreign { class: ErrorClass::Http, error: words_of(received), open: true },
    }
}

/// Whether an answer with this status refuses the credential, whatever else it says.
pub fn is_refusal(status: u16) -> bool {
    matches!(status, 401 | 403)
}

fn judge_ok<'a>(received: &Received<'a>) -> (Verdict, Option<Json<'a>>) {
    let bytes = match &received.body {
        Body::Whole(bytes) => without_mark(bytes),
        Body::TooLong(limit) => {
            let error = format!("the answer is longer than {} KB", limit / 1024);
            return (Verdict::Foreign { class: ErrorClass::BadAnswer, error, open: true }, None);
        }
        Body::Lost { class, error } => {
            return (Verdict::Open { class: *class, error: error.clone() }, None);
        }
    };
    let verdict = match parse(bytes) {
        Ok(body) => match envelope(&body, received.expected) {
            Envelope::Success => return (Verdict::Done, Some(body)),
            Envelope::Failure(words) => rejected(words),
            Envelope::Alien => bad_answer("JSON, but not an answer of the API", received, bytes, true),
        },
        // Something that begins as JSON came from the API and was cut or garbled on its way.
        Err(fault) if starts_like_json(bytes) => {
            let what = if fault.is_eof() { "cut-off JSON" } else { "broken JSON" };
            bad_answer(what, received, bytes, true)
        }
        Err(_) if bytes.is_empty() => bad_answer("an empty answer", received, bytes, true),
        // A page came instead of the API's answer; anything else may have come with it.
        Err(_) => bad_answer("not an answer of the API", received, bytes, !starts_with(bytes, b"<")),
    };
    (verdict, None)
}

/// The API's «no», in its own words.
pub fn rejected(words: Vec<String>) -> Verdict {
    Verdict::Rejected { class: classify(&words), error: join(words) }
}

/// An answer that succeeded but does not hold what was asked for. Only readings are looked into, so
/// nothing can have had effect.
pub fn odd_data(words: &str) -> Verdict {
    let error = format!("the answer is a success, but {words}");
    Verdict::Foreign { class: ErrorClass::BadAnswer, error, open: false }
}

/// An answer of the API that is none to a batch. What it was sent for may have been done.
pub fn odd_batch() -> Verdict {
    let error = "the answer is not one to a batch of calls".to_owned();
    Verdict::Foreign { class: ErrorClass::BadAnswer, error, open: true }
}

/// A question that the interface at the server's port does not answer; it is not sent.
pub fn not_asked(words: &str) -> Verdict {
    Verdict::Rejected { class: ErrorClass::NotPermitted, error: words.to_owned() }
}

fn bad_answer(what: &str, received: &Received<'_>, body: &[u8], open: bool) -> Verdict {
    let kind = match received.content_type {
        "" => String::new(),
        kind => format!(" ({})", clean(kind)),
    };
    let shown = excerpt(body);
    let error = if shown.is_empty() { format!("{what}{kind}") } else { format!("{what}{kind}: {shown}") };
    Verdict::Foreign { class: ErrorClass::BadAnswer, error, open }
}

fn starts_like_json(bytes: &[u8]) -> bool {
    starts_with(bytes, b"{[")
}

/// Whether the first byte that is no blank is one of these.
fn starts_with(bytes: &[u8], first: &[u8]) -> bool {
    bytes.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| first.contains(b))
}

/// What an answer with a status other than 200 says for itself.
fn words_of(received: &Received<'_>) -> String {
    let said = match &received.body {
        Body::Whole(bytes) => match parse(bytes).map(|body| envelope(&body, received.expected)) {
            Ok(Envelope::Failure(words)) => join(words),
            _ => excerpt(bytes),
        },
        Body::TooLong(_) | Body::Lost { .. } => String::new(),
    };
    let status = received.status;
    if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") }
}

/// The title of a page, or the beginning of the text: enough for a person to recognise it.
fn excerpt(body: &[u8]) -> String {
    const HEAD: usize = 4096;
    let mut head = &body[..body.len().min(HEAD)];
    if head.len() < body.len() {
        // A word that is cut in two could be half of an echoed secret, which nothing would find.
        let words = head.iter().rposition(u8::is_ascii_whitespace).unwrap_or(0);
        head = &head[..words];
    }
    let text = String::from_utf8_lossy(head);
    // ASCII lower case keeps every byte where it was.
    let lower = text.to_ascii_lowercase();
    if let Some(open) = lower.find("<title")
        && let Some(start) = lower[open..].find('>').map(|i| open + i + 1)
        && let Some(length) = lower[start..].find("</title")
    {
        return format!("a page titled “{}”", clean(&text[start..start + length]));
    }
    clean(&text)
}

fn join(words: Vec<String>) -> String {
    if words.is_empty() {
        "the server gave no reason".to_owned()
    } else {
        words.iter().map(|w| clean(w)).collect::<Vec<_>>().join("; ")
    }
}

/// Sorts the API's own words. They follow the account's language, so only texts that were seen in
/// public clients are looked for, and everything else is `api`.
fn classify(words: &[String]) -> ErrorClass {
    const NO_MAILBOX: &str = "do not have an email account named";
    const NOT_PERMITTED: [&str; 6] = [
        "do not have the feature",
        "do not have access",
        "do not have a user named",
        "user parameter is invalid",
        "permission denied",
        "access denied",
    ];
    let text = words.join("\n").to_lowercase();
    // Many things may not exist; only a mailbox that does not is nobody's fault.
    let is_gone =
        text.contains("does not exist") && (text.contains("email account") || text.contains("mailbox"));
    if text.contains(NO_MAILBOX) || is_gone {
        ErrorClass::NoSuchMailbox
    } else if NOT_PERMITTED.iter().any(|p| text.contains(p)) {
        ErrorClass::NotPermitted
    } else {
        ErrorClass::Api
    }
}

/// `Retry-After`: a number of seconds, or an HTTP date.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, body: &str) -> Verdict {
        answer_to(Expected::Uapi, status, body)
    }

    fn answer_to(expected: Expected, status: u16, body: &str) -> Verdict {
        judge(
            &Received {
                status,
                content_type: "",
                retry_after: None,
                location: None,
                expected,
                body: Body::Whole(body.as_bytes()),
            },
            SystemTime::UNIX_EPOCH,
        )
    }

    fn rejected(class: ErrorClass, error: &str) -> Verdict {
        Verdict::Rejected { class, error: error.into() }
    }

    fn is_foreign(verdict: &Verdict, expected_open: bool) -> bool {
        matches!(verdict, Verdict::Foreign { open, .. } if *open == expected_open)
    }

    /// One line per shape that a real server was seen to send.
    #[test]
    fn recorded_answers_have_their_verdict() {
        use ErrorClass::*;
        for (body, verdict) in [
            (
                r#"{"warnings":null,"data":"a+example.com","errors":null,"metadata":[],"status":1,"messages":[""]}"#,
                Verdict::Done,
            ),
            (
                r#"{"messages":null,"errors":null,"status":1,"metadata":{"transformed":1},"data":[{"status":1}]}"#,
                Verdict::Done,
            ),
            (
                r#"{"func":"suspend_login","module":"Email","apiversion":3,"result":{"warnings":null,"errors":null,"data":null,"metadata":[],"messages":null,"status":1}}"#,
                Verdict::Done,
            ),
            (
                r#"{"result":{"messages":["Logins for “test@example.org” are suspended."],"status":1,"metadata":[],"errors":null,"data":null}}"#,
                Verdict::Done,
            ),
            (
                r#"{"data":{"uapi":{"status":1,"errors":null,"data":null}},"metadata":{"command":"uapi_cpanel","reason":"OK","result":1,"version":1}}"#,
                Verdict::Done,
            ),
            (r#"{"status":"1"}"#, Verdict::Done),
            (
                r#"{"status":0,"errors":["You do not have an email account named “gone@example.com”."],"data":null}"#,
                rejected(NoSuchMailbox, "You do not have an email account named “gone@example.com”."),
            ),
            (
                r#"{"status":0,"errors":["You do not have the feature “popaccts”."]}"#,
                rejected(NotPermitted, "You do not have the feature “popaccts”."),
            ),
            (
                r#"{"messages":null,"status":0,"data":null,"errors":["The system could not find the function “test” in the module “Email”."],"metadata":{}}"#,
                rejected(Api, "The system could not find the function “test” in the module “Email”."),
            ),
            (
                r#"{"status":0,"errors":["database already exists"],"messages":["choose another name"]}"#,
                rejected(Api, "database already exists"),
            ),
            (
                r#"{"result":{"status":0,"errors":["Provide the domain"],"data":null}}"#,
                rejected(Api, "Provide the domain"),
            ),
            (
                r#"{"status":0,"errors":["The email account a@example.com does not exist."]}"#,
                rejected(NoSuchMailbox, "The email account a@example.com does not exist."),
            ),
            (
                r#"{"status":0,"errors":["The domain example.com does not exist."]}"#,
                rejected(Api, "The domain example.com does not exist."),
            ),
            (r#"{"status":0,"errors":null,"messages":null}"#, rejected(Api, "the server gave no reason")),
            (r#"{"status":0,"errors":"one string","data":1}"#, rejected(Api, "one string")),
            (
                r#"{"data":{"uapi":{"status":0,"errors":["You do not have an email account named “gone@example.com”."]}},"metadata":{"reason":"OK","result":1}}"#,
                rejected(NoSuchMailbox, "You do not have an email account named “gone@example.com”."),
            ),
            (
                r#"{"metadata":{"command":"uapi_cpanel","reason":"Access denied","result":0,"version":1},"data":null}"#,
                rejected(NotPermitted, "Access denied"),
            ),
            (r#"{"metadata":{"reason":"no","result":0},"data":{"uapi":{"status":1}}}"#, rejected(Api, "no")),
            (
                r#"{"data":{"reason":"User parameter is invalid or was not supplied","result":"0"},"type":"text","error":"User parameter is invalid or was not supplied"}"#,
                rejected(NotPermitted, "User parameter is invalid or was not supplied"),
            ),
            (
                r#"{"data":{"uapi":{"status":1,"errors":null,"messages":["Logins for “a@example.com” are suspended."],"data":null}},"metadata":{"reason":"OK","result":1}}"#,
                Verdict::Done,
            ),
            (
                r#"{"metadata":{"command":"uapi_cpanel","reason":"You do not have a user named “nosuch”.","result":0,"version":1}}"#,
                rejected(NotPermitted, "You do not have a user named “nosuch”."),
            ),
            (
                r#"{"metadata":{"command":"uapi_cpanel","reason":"You do not have access to an account named “other”.","result":0,"version":1}}"#,
                rejected(NotPermitted, "You do not have access to an account named “other”."),
            ),
            (
                r#"{"metadata":{"command":"uapi_cpanel","reason":"This account is not active.","result":0,"version":1},"data":{"uapi":null}}"#,
                rejected(Api, "This account is not active."),
            ),
            (
                r#"{"data":{"uapi":{"status":0,"errors":["This account is not active."]}},"metadata":{"reason":"OK","result":1}}"#,
                rejected(Api, "This account is not active."),
            ),
            (
                r#"{"data":null,"metadata":{"command":"parse_dns_zone","reason":"There is a problem","result":0,"version":1}}"#,
                rejected(Api, "There is a problem"),
            ),
            (
                r#"{"data":{"result":[{"data":{"uapi":{"status":1}},"metadata":{"result":1}},{"metadata":{"reason":"You do not have a user named “nosuch”.","result":0}}]},"metadata":{"command":"batch","reason":"One or more commands failed.","result":0,"version":1}}"#,
                rejected(Api, "One or more commands failed."),
            ),
            (
                r#"{"warnings":null,"errors":["The account a@example.com already exists!"],"data":null,"metadata":[],"messages":null,"status":0}"#,
                rejected(Api, "The account a@example.com already exists!"),
            ),
            (
                r#"{"warnings":null,"data":null,"errors":null,"metadata":[],"status":1,"messages":["","Removed entries belonging to “a@example.com”."]}"#,
                Verdict::Done,
            ),
            (
                r#"{"warnings":null,"messages":["a","b","c"],"data":null,"errors":["You do not control a DNS zone named example.com."],"metadata":{},"status":0}"#,
                rejected(Api, "You do not control a DNS zone named example.com."),
            ),
            (
                r#"{"metadata":{"transformed":1},"messages":null,"status":1,"warnings":null,"errors":null,"data":{"new_serial":"2021031903"}}"#,
                Verdict::Done,
            ),
            (
                r#"{"status":0,"errors":["batch stopped"],"metadata":{},"data":[{"status":1,"errors":null},{"status":0,"errors":["You do not have an email account named “gone@example.com”."]}]}"#,
                rejected(Api, "batch stopped"),
            ),
            (
                r#"{"status":1,"metadata":{"transformed":1},"data":[{"email":"alice","domain":"example.com","suspended_login":null,"hold_outgoing":0}]}"#,
                Verdict::Done,
            ),
            (
                r#"{"apiversion":3,"func":"list_pops","module":"Email","result":{"status":1,"errors":null,"data":[{"email":"proxied","login":"Main Account"}]}}"#,
                Verdict::Done,
            ),
            (
                r#"{"result":{"status":1,"data":[{"email":"a@example.com","diskused":"246.23"}]}}"#,
                Verdict::Done,
            ),
        ] {
            assert_eq!(answer(200, body), verdict, "{body}");
        }
    }

    /// WHM's own functions have no UAPI envelope; a call of UAPI through WHM has to have one.
    #[test]
    fn recorded_answers_of_whm_functions_have_their_verdict() {
        let owner = r#"{"metadata":{"command":"getdomainowner","reason":"OK","result":1,"version":1},"data":{"user":"park"}}"#;
        let nobody = r#"{"metadata":{"command":"getdomainowner","reason":"OK","result":1,"version":1},"data":{"user":null}}"#;
        let addresses = r#"{"data":{"requester_ip":"192.0.2.1","ips_in_list":{"192.0.2.1":null},"list_name":"black"},"metadata":{"result":1,"version":1,"command":"read_cphulk_records","reason":"OK"}}"#;
        for body in [owner, nobody, addresses, r#"{"metadata":{"result":"1"}}"#] {
            assert_eq!(answer_to(Expected::Whm, 200, body), Verdict::Done, "{body}");
            assert!(is_foreign(&answer(200, body), true), "no status, so no success of a call: {body}");
        }
        let denied = r#"{"metadata":{"command":"listpkgs","reason":"Access denied","result":0,"version":1},"data":null}"#;
        assert_eq!(
            answer_to(Expected::Whm, 200, denied),
            rejected(ErrorClass::NotPermitted, "Access denied"),
            "in an envelope it is a missing right, not a wrong credential"
        );
        for body in [
            r#"{"metadata":{"reason":"no","result":0},"data":{"user":"park"}}"#,
            r#"{"metadata":{"result":null},"data":{"user":"park"}}"#,
            r#"{"metadata":{"result":1},"status":0}"#,
            r#"{"metadata":{"result":1},"error":"User parameter is invalid or was not supplied"}"#,
            r#"{"cpanelresult":{"error":"Access denied"}}"#,
        ] {
            assert!(matches!(answer_to(Expected::Whm, 200, body), Verdict::Rejected { .. }), "{body}");
        }
        for body in ["{}", "[]", "null", r#"{"metadata":{}}"#, r#"{"metadata":[],"data":{"user":"park"}}"#] {
            assert!(is_foreign(&answer_to(Expected::Whm, 200, body), true), "{body}");
        }
    }

    #[test]
    fn nothing_but_a_200_with_status_1_is_success() {
        for body in [
            r#"{"status":2}"#,
            r#"{"status":null}"#,
            r#"{"status":true}"#,
            r#"{"status":{}}"#,
            "{}",
            "[]",
            "1",
            "null",
            "\"ok\"",
        ] {
            assert!(!matches!(answer(200, body), Verdict::Done), "{body}");
        }
        for body in [
            r#"{"status":0,"data":{"uapi":{"status":1}}}"#,
            r#"{"status":0,"result":{"status":1}}"#,
            r#"{"metadata":{"result":0},"result":{"status":1}}"#,
        ] {
            assert!(matches!(answer(200, body), Verdict::Rejected { .. }), "every level counts: {body}");
        }
        for status in (100..=599).filter(|s| *s != 200) {
            assert!(!matches!(answer(status, r#"{"status":1}"#), Verdict::Done), "{status}");
        }
    }

    #[test]
    fn pages_are_foreign_and_cut_json_leaves_the_outcome_open() {
        let page = answer(200, "<html><head>\n<title>One moment,\n please...</title></head></html>");
        assert!(is_foreign(&page, false), "{page:?}");
        assert!(format!("{page:?}").contains("a page titled “One moment, please...”"));
        assert!(is_foreign(&answer(200, r#"{"status":1,"err"#), true));
        assert!(is_foreign(&answer(200, r#"{"status":1,,}"#), true));
        assert!(is_foreign(&answer(200, ""), true));
        assert!(is_foreign(&answer(200, "warning: low on disk\n{\"status\":1}"), true));
        assert_eq!(answer(200, "\u{feff}{\"status\":1}"), Verdict::Done);
        assert!(is_foreign(&answer(200, &"[".repeat(200_000)), true));
        assert!(is_foreign(&answer(302, ""), false));
        assert!(is_foreign(&answer(404, "Not found"), false));
        assert!(is_foreign(&answer(521, ""), true));
    }

    #[test]
    fn http_statuses_have_their_verdict() {
        for status in [401, 403] {
            assert!(matches!(answer(status, "<html>"), Verdict::Refused { .. }), "{status}");
        }
        for status in [408, 500, 502, 504] {
            assert!(matches!(answer(status, ""), Verdict::Open { class: ErrorClass::Http, .. }), "{status}");
        }
        for status in [429, 503] {
            assert!(matches!(answer(status, ""), Verdict::Throttled { after: None, .. }), "{status}");
        }
        let denied = r#"{"cpanelresult":{"apiversion":"2","error":"Access denied","data":{"reason":"Access denied","result":"0"},"type":"text"}}"#;
        let subprocess =
            "Internal Server Error\n500\nNo response from subprocess (…): it reported error number 255.";
        assert_eq!(
            answer(500, subprocess),
            Verdict::Open {
                class: ErrorClass::Http,
                error: "HTTP 500: Internal Server Error 500 No response from subprocess (…): it reported error number 255."
                    .into()
            }
        );
        assert_eq!(answer(403, denied), Verdict::Refused { error: "HTTP 403: Access denied".into() });
    }

    #[test]
    fn a_refusal_counts_even_if_its_body_is_lost() {
        let body = Body::Lost { class: ErrorClass::Connect, error: "reset".into() };
        let received = Received {
            status: 401,
            content_type: "",
            retry_after: None,
            location: None,
            expected: Expected::Uapi,
            body,
        };
        assert_eq!(judge(&received, SystemTime::UNIX_EPOCH), Verdict::Refused { error: "HTTP 401".into() });
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(parse_retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sat, 06 Nov 1993 08:49:37 GMT", now), Some(Duration::ZERO));
        for odd in ["soon", "-3", "", "1.5"] {
            assert_eq!(parse_retry_after(odd, now), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_has_a_verdict_without_control_characters(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..300)) {
            let received = Received { status, content_type: "text/html\u{1b}[2J", retry_after: None, location: Some("\u{7}"), expected: Expected::Uapi, body: Body::Whole(&body) };
            if let Verdict::Rejected { error, .. } | Verdict::Foreign { error, .. } | Verdict::Open { error, .. }
                | Verdict::Refused { error } | Verdict::Throttled { error, .. } = judge(&received, SystemTime::UNIX_EPOCH) {
                prop_assert!(!error.chars().any(char::is_control), "{error:?}");
            }
        }
    }
}
