//! The shapes in which a UAPI answer is found.
//!
//! `/execute` answers with the envelope at the top; the command line, WHM's `/json-api/cpanel` and
//! every example of the vendor's specification have it under `result`; WHM's `uapi_cpanel` under
//! `data.uapi`. Public clients were seen to break on each of the three, so all are taken. Field
//! types vary between versions (numbers as strings, `[]` for `{}`, null or missing lists), so
//! nothing but `status` is required.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Which shape the answer to a call has when it is a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An UAPI envelope, wherever it stands: `status` is 1.
    Uapi,
    /// WHM's own: `metadata.result` is 1, and there is no other envelope.
    Whm,
}

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
pub fn envelope(body: &Value, expected: Expected) -> Envelope {
    let outer = body.get("metadata").and_then(|metadata| metadata.get("result"));
    if let Some(result) = outer
        && number(result) != Some(1)
    {
        return Envelope::Failure(words(&body["metadata"]["reason"]));
    }
    let mut levels = places(body).filter(|place| place.get("status").is_some()).map(level);
    if let Some(first) = levels.next() {
        return levels.fold(first, |so_far, next| if so_far == Envelope::Success { next } else { so_far });
    }
    // API 2 and WHM's answer for an unknown user have no envelope, but do have words.
    for error in [&body["cpanelresult"]["error"], &body["error"]] {
        if error.is_string() {
            return Envelope::Failure(words(error));
        }
    }
    if expected == Expected::Whm && outer.is_some() { Envelope::Success } else { Envelope::Alien }
}

/// What a successful answer holds.
pub fn data(body: &Value) -> &Value {
    let place = places(body).find(|place| place.get("status").is_some());
    place.unwrap_or(body).get("data").unwrap_or(&Value::Null)
}

/// Where an envelope can stand, the innermost first.
fn places(body: &Value) -> impl Iterator<Item = &Value> {
    let inner = [body.get("result"), body.get("data").and_then(|data| data.get("uapi"))];
    inner.into_iter().flatten().chain(std::iter::once(body))
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

/// The keys that anything is ever read from: of the envelope, and of a reading's rows.
pub(super) static KEYS: [&str; 23] = [
    "status",
    "errors",
    "messages",
    "metadata",
    "result",
    "reason",
    "data",
    "uapi",
    "cpanelresult",
    "error",
    "domains",
    "domain",
    "user",
    "name",
    "expires_at",
    "email",
    "login",
    "suspended_login",
    "suspended_incoming",
    "suspended_outgoing",
    "hold_outgoing",
    "has_suspended",
    "command",
];

/// Reads a JSON body and keeps only what is asked for: a list of all domains of a server has
/// dozens of fields per row, which would take ten times its length in memory.
///
/// # Errors
/// If it is not JSON, or has more values to keep than any listing.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(without_mark(bytes));
    let left = Cell::new(MAX_VALUES);
    let body = Skim(&left).deserialize(&mut reader)?;
    reader.end().map(|()| body)
}

/// The bytes without the mark that some programs put before UTF-8.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Most values that are kept of one body: eight of each of 250,000 mailboxes, which is more than 64 MB
/// of a real listing have. Short rows that some server makes up could take forty times their length.
const MAX_VALUES: u32 = 2_000_000;

/// Any JSON, of which objects keep the [`KEYS`] alone, and so many values more.
#[derive(Clone, Copy)]
struct Skim<'a>(&'a Cell<u32>);

impl<'de> DeserializeSeed<'de> for Skim<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left =
            self.0.get().checked_sub(1).ok_or_else(|| D::Error::custom("more values than a listing has"))?;
        self.0.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skim<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut kept = serde_json::Map::new();
        while let Some(key) = object.next_key_seed(Key)? {
            match key {
                Some(key) => {
                    let value = object.next_value_seed(self)?;
                    kept.insert(key.to_owned(), value);
                }
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(kept.into())
    }
}

/// A key of an object, if it is one of the [`KEYS`].
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(KEYS.iter().copied().find(|known| *known == key))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_body_what_is_read_is_kept_and_the_rest_is_left_out() {
        let body = json!({
            "status": 1, "errors": ["a", null, 1.5, {"status": true, "x": 1}],
            "metadata": {"result": "1", "version": 1}, "other": {"data": [1]},
            "data": {"domains": [{"domain": "example.com", "user": "u", "ipv4": "192.0.2.1"}, -7]},
        });
        let kept = json!({
            "status": 1, "errors": ["a", null, 1.5, {"status": true}], "metadata": {"result": "1"},
            "data": {"domains": [{"domain": "example.com", "user": "u"}, -7]},
        });
        assert_eq!(parse(body.to_string().as_bytes()).unwrap(), kept);
        for broken in ["{\"x\":1", "{} {}", "{\"x\":[1,}", "{1:2}", "\u{1}"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn more_values_than_a_listing_has_are_not_kept() {
        let of = |rows: usize| format!("{{\"data\":[{}{{}}]}}", "{},".repeat(rows - 1));
        let most = MAX_VALUES as usize - 2;
        assert!(parse(of(most).as_bytes()).is_ok());
        assert!(parse(of(most + 1).as_bytes()).is_err());
        let left_out = format!("{{\"other\":{}}}", of(most + 1));
        assert!(parse(left_out.as_bytes()).is_ok(), "what is not kept does not count");
    }

    #[test]
    fn the_data_stands_beside_the_innermost_status() {
        for body in [
            json!({"status": 1, "data": 7}),
            json!({"apiversion": 3, "result": {"status": 1, "data": 7}}),
            json!({"data": {"uapi": {"status": 1, "data": 7}}, "metadata": {"result": 1}}),
            json!({"data": 7, "metadata": {"result": 1}}),
        ] {
            assert_eq!(data(&body), &json!(7), "{body}");
        }
        assert_eq!(data(&json!({"status": 1})), &Value::Null);
    }
}
