//! The JSON of an answer, of which only what is asked for is kept.
//!
//! A list of all domains of a server has dozens of fields per row, which would take ten times its
//! length in memory. So objects keep the [`Key`]s alone, in a short list each, and text stays where it
//! came from the wire.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The keys that anything is ever read from: of the envelope, and of a reading's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
pub enum Key {
    Status,
    Errors,
    Messages,
    Metadata,
    Result,
    Reason,
    Data,
    Uapi,
    Cpanelresult,
    Error,
    Domains,
    Domain,
    User,
    Name,
    ExpiresAt,
    Email,
    Login,
    SuspendedLogin,
    SuspendedIncoming,
    SuspendedOutgoing,
    HoldOutgoing,
    HasSuspended,
    Command,
    /// What nobody asks for. No object has it.
    #[serde(other)]
    Other,
}

/// A value, with the text it holds borrowed where it was not written with escapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer that is greater than the greatest of those.
    Large(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// Each key once.
    Object(Vec<(Key, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// What an object has under a key; `None` if it has no such key or this is no object.
    pub fn get(&self, key: Key) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(known, _)| *known == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The same, null where there is nothing.
    pub fn at(&self, key: Key) -> &Json<'a> {
        self.get(key).unwrap_or(&Json::Null)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The values of a list, if it is one.
    pub fn as_list(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::List(list) => Some(list),
            _ => None,
        }
    }
}

/// Reads a JSON body.
///
/// # Errors
/// If it is not JSON, or has more values to keep than any listing.
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, serde_json::Error> {
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

/// Any JSON, of which objects keep the [`Key`]s alone, and so many values more.
#[derive(Clone, Copy)]
struct Skim<'a>(&'a Cell<u32>);

impl<'de> DeserializeSeed<'de> for Skim<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json<'de>, D::Error> {
        let left =
            self.0.get().checked_sub(1).ok_or_else(|| D::Error::custom("more values than a listing has"))?;
        self.0.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skim<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Large(value), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json<'de>, A::Error> {
        let mut members: Vec<(Key, Json<'de>)> = Vec::new();
        while let Some(key) = object.next_key()? {
            if key == Key::Other {
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = object.next_value_seed(self)?;
            // Of what is there twice the last one counts.
            match members.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = value,
                None => members.push((key, value)),
            }
        }
        Ok(Json::Object(members))
    }
}

/// All keys, as they are written.
#[cfg(test)]
pub(super) const KEYS: [&str; 23] = [
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The same, as those have it who keep everything.
    fn whole(json: &Json<'_>) -> serde_json::Value {
        match json {
            Json::Null => serde_json::Value::Null,
            Json::Bool(on) => json!(on),
            Json::Integer(number) => json!(number),
            Json::Large(number) => json!(number),
            Json::Float(number) => json!(number),
            Json::Text(text) => json!(text),
            Json::List(list) => list.iter().map(whole).collect(),
            Json::Object(members) => {
                members.iter().map(|(key, value)| (KEYS[*key as usize].to_owned(), whole(value))).collect()
            }
        }
    }

    #[test]
    fn of_a_body_what_is_read_is_kept_and_the_rest_is_left_out() {
        let body = json!({
            "status": 1, "errors": ["a", null, 1.5, {"status": true, "x": 1}],
            "metadata": {"result": "1", "version": 1}, "other": {"data": [1]},
            "data": {"domains": [{"domain": "example.com", "user": "u", "ipv4": "192.0.2.1"}, -7]},
            "messages": [u64::MAX, i64::MIN, "“\"\\\n"],
        });
        let kept = json!({
            "status": 1, "errors": ["a", null, 1.5, {"status": true}], "metadata": {"result": "1"},
            "data": {"domains": [{"domain": "example.com", "user": "u"}, -7]},
            "messages": [u64::MAX, i64::MIN, "“\"\\\n"],
        });
        assert_eq!(whole(&parse(body.to_string().as_bytes()).unwrap()), kept);
        for broken in ["{\"x\":1", "{} {}", "{\"x\":[1,}", "{1:2}", "\u{1}"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn every_key_is_known_by_its_name_however_it_is_written_and_the_last_of_two_counts() {
        for key in KEYS {
            let escaped = key.replacen(&key[..1], &format!("\\u{:04x}", key.as_bytes()[0]), 1);
            let body = format!(r#"{{"{key}":1,"x":2,"{escaped}":[3]}}"#);
            assert_eq!(whole(&parse(body.as_bytes()).unwrap()), json!({ key: [3] }));
        }
        assert_eq!(parse(br#"{"other":1,"Status":1,"":1}"#).unwrap(), Json::Object(Vec::new()));
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
}
