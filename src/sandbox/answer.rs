//! The bytes of an answer: the API's envelope, and the pages that come in its place.
//!
//! Over `/execute` the envelope is flat. Its text is put together by hand, since a list may have a
//! million rows.

use bytes::Bytes;

/// The envelope of one call.
pub(super) struct Envelope {
    pub error: Option<String>,
    pub message: Option<String>,
    pub data: Data,
}

/// What stands under `data`.
pub(super) enum Data {
    Null,
    Number(u64),
    /// JSON that came about row by row. The servers mark such data as transformed.
    Rows(Vec<u8>),
    /// JSON without that mark.
    Plain(Vec<u8>),
}

impl Envelope {
    pub fn ok(data: Data) -> Envelope {
        Envelope { error: None, message: None, data }
    }

    pub fn failure(error: impl Into<String>) -> Envelope {
        Envelope { error: Some(error.into()), message: None, data: Data::Null }
    }

    pub fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.is_ok() {
            br#"{"status":1,"errors":"#
        } else {
            br#"{"status":0,"errors":"#
        });
        list(self.error.as_deref(), out);
        out.extend_from_slice(br#","messages":"#);
        list(self.message.as_deref(), out);
        out.extend_from_slice(br#","warnings":null,"metadata":{"#);
        if let Data::Rows(_) = self.data {
            out.extend_from_slice(br#""transformed":1"#);
        }
        out.extend_from_slice(br#"},"data":"#);
        match &self.data {
            Data::Null => out.extend_from_slice(b"null"),
            Data::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Data::Rows(json) | Data::Plain(json) => out.extend_from_slice(json),
        }
        out.push(b'}');
    }

    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(128);
        self.write(&mut out);
        out.into()
    }
}

/// Appends a text as a JSON string.
pub(super) fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    quote_inside(text, out);
    out.push(b'"');
}

/// The same without the quotes around it.
pub(super) fn quote_inside(text: &str, out: &mut Vec<u8>) {
    let is_special = |byte: u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn list(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        None => out.extend_from_slice(b"null"),
        Some(text) => {
            out.push(b'[');
            quote(text, out);
            out.push(b']');
        }
    }
}

pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=\"utf-8\"";

pub(super) const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Login</title></head>\n<body>\
    <div id=\"login-status\">The login is invalid.</div>\
    <form method=\"post\" action=\"/login/\"><input name=\"user\"><input name=\"pass\" type=\"password\">\
    </form></body></html>\n";

/// The recorded refusal, head and all: an answer of an older API under `text/plain`, without a length.
pub(super) const DENIED: &str = "HTTP/1.1 403 Forbidden Access denied\r\nConnection: close\r\n\
    Content-type: text/plain; charset=\"utf-8\"\r\n\r\n\
    {\"cpanelresult\":{\"apiversion\":\"2\",\"error\":\"Access denied\",\"data\":\
    {\"reason\":\"Access denied\",\"result\":\"0\"},\"type\":\"text\"}}\r\n";

/// The page that comes with an HTTP status.
pub(super) fn page(code: u16, reason: &str) -> String {
    match code {
        401 => LOGIN_PAGE.to_owned(),
        500 => "Internal Server Error\n500\nNo response from subprocess (…): The subprocess reported error \
            number 255 when it ended.\n"
            .to_owned(),
        _ => format!(
            "<html><head><title>{code} {reason}</title></head><body><h1>{code} {reason}</h1></body></html>\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(envelope: &Envelope) -> Value {
        serde_json::from_slice(&envelope.to_bytes()).unwrap()
    }

    #[test]
    fn the_envelope_is_flat_and_has_its_six_keys() {
        assert_eq!(
            parsed(&Envelope::ok(Data::Number(1))),
            json!({"status":1,"errors":null,"messages":null,"warnings":null,"metadata":{},"data":1})
        );
        assert_eq!(
            parsed(&Envelope::failure("no")),
            json!({"status":0,"errors":["no"],"messages":null,"warnings":null,"metadata":{},"data":null})
        );
        assert_eq!(
            parsed(&Envelope::ok(Data::Rows(b"[{}]".to_vec()))),
            json!({"status":1,"errors":null,"messages":null,"warnings":null,"metadata":{"transformed":1},"data":[{}]})
        );
    }

    #[test]
    fn any_text_survives_quoting() {
        let hostile: String =
            (0..0x250).filter_map(char::from_u32).chain("“\"\\\u{202e}😀".chars()).collect();
        assert_eq!(parsed(&Envelope::failure(hostile.clone()))["errors"][0], Value::String(hostile));
    }
}
