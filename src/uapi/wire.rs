//! The shapes in which a UAPI answer is found.
//!
//! `/execute` answers with the envelope at the top; the command line, WHM's `/json-api/cpanel` and
//! every example of the vendor's specification have it under `result`; WHM's `uapi_cpanel` under
//! `data.uapi`. Public clients were seen to break on each of the three, so all are taken. Field
//! types vary between versions (numbers as strings, `[]` for `{}`, null or missing lists), so
//! nothing but `status` is required.

use serde_json::Value;

/// What a JSON body says, once the envelope has been looked for.
#[derive(Debug, PartialEq)]
pub enum Envelope {
    /// `status` 1, at every level there is.
    Success,
    /// `status` 0, or a refusal in one of the shapes that have no envelope, with its words.
    Failure(Vec<String>),
    /// JSON, but nothing that the API would say.
    Alien,
}

/// Finds the envelope in a parsed body. If there are several, one inside the other, all count.
pub fn envelope(body: &Value) -> Envelope {
    if let Some(outer) = body.get("metadata").filter(|m| m.get("result").is_some())
        && number(&outer["result"]) != Some(1)
    {
        return Envelope::Failure(words(&outer["reason"]));
    }
    let places = [body.get("result"), body.get("data").and_then(|data| data.get("uapi")), Some(body)];
    let mut levels = places.into_iter().flatten().filter(|place| place.get("status").is_some()).map(level);
    if let Some(first) = levels.next() {
        return levels.fold(first, |so_far, next| if so_far == Envelope::Success { next } else { so_far });
    }
    // API 2 and WHM's answer for an unknown user have no envelope, but do have words.
    for error in [&body["cpanelresult"]["error"], &body["error"]] {
        if error.is_string() {
            return Envelope::Failure(words(error));
        }
    }
    Envelope::Alien
}

fn level(envelope: &Value) -> Envelope {
    match number(&envelope["status"]) {
        Some(1) => Envelope::Success,
        Some(0) => {
            let mut said = words(&envelope["errors"]);
            if said.is_empty() {
                said = words(&envelope["messages"]);
            }
            Envelope::Failure(said)
        }
        _ => Envelope::Alien,
    }
}

/// An integer, also where it was sent as a string.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// The texts of a list, or of a lone string; blank ones are left out.
fn words(value: &Value) -> Vec<String> {
    let texts: Vec<&str> = match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    texts.into_iter().filter(|t| !t.trim().is_empty()).map(str::to_owned).collect()
}
