//! What the property beside this and the fuzz target of answers (tests/fuzz) hold answers to.

use serde_json::Value;

use super::{Api, Question};

/// Every kind of question.
pub const QUESTIONS: [(Api, Question<'static>); 6] = [
    (Api::Whm, Question::DomainInfo),
    (Api::Whm, Question::DomainOwner("a.example")),
    (Api::Cpanel, Question::MailDomains),
    (Api::Cpanel, Question::Tokens),
    (Api::Whm, Question::States { account: "anna" }),
    (Api::Cpanel, Question::HeldCount { account: "anna", mailbox: "a@a.example" }),
];

/// Whether a `status` is 1 somewhere, as a number or written out.
pub fn has_status_1(value: &Value) -> bool {
    let is_1 = |value: &Value| {
        let written = value.as_str().and_then(|text| text.trim().parse().ok());
        value.as_i64().or(written) == Some(1)
    };
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, value)| (name == "status" && is_1(value)) || has_status_1(value))
        }
        Value::Array(items) => items.iter().any(has_status_1),
        _ => false,
    }
}
