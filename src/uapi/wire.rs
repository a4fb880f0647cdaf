//! The shapes in which a UAPI answer is found.
//!
//! `/execute` answers with the envelope at the top; the command line, WHM's `/json-api/cpanel` and
//! every example of the vendor's specification have it under `result`; WHM's `uapi_cpanel` under
//! `data.uapi`. Public clients were seen to break on each of the three, so all are taken. Field
//! types vary between versions (numbers as strings, `[]` for `{}`, null or missing lists), so
//! nothing but `status` is required.

use super::json::{Json, Key};

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
pub fn envelope(body: &Json<'_>, expected: Expected) -> Envelope {
    let outer = body.get(Key::Metadata).and_then(|metadata| metadata.get(Key::Result));
    if let Some(result) = outer
        && number(result) != Some(1)
    {
        return Envelope::Failure(words(body.at(Key::Metadata).at(Key::Reason)));
    }
    let mut levels = places(body).filter(|place| place.get(Key::Status).is_some()).map(level);
    if let Some(first) = levels.next() {
        return levels.fold(first, |so_far, next| if so_far == Envelope::Success { next } else { so_far });
    }
    // API 2 and WHM's answer for an unknown user have no envelope, but do have words.
    for error in [body.at(Key::Cpanelresult).at(Key::Error), body.at(Key::Error)] {
        if error.as_str().is_some() {
            return Envelope::Failure(words(error));
        }
    }
    if expected == Expected::Whm && outer.is_some() { Envelope::Success } else { Envelope::Alien }
}

/// What a successful answer holds.
pub fn data<'a, 'b>(body: &'b Json<'a>) -> &'b Json<'a> {
    let place = places(body).find(|place| place.get(Key::Status).is_some());
    place.unwrap_or(body).at(Key::Data)
}

/// Where an envelope can stand, the innermost first.
fn places<'a, 'b>(body: &'b Json<'a>) -> impl Iterator<Item = &'b Json<'a>> {
    let inner = [body.get(Key::Result), body.get(Key::Data).and_then(|data| data.get(Key::Uapi))];
    inner.into_iter().flatten().chain(std::iter::once(body))
}

fn level(envelope: &Json<'_>) -> Envelope {
    match number(envelope.at(Key::Status)) {
        Some(1) => Envelope::Success,
        Some(0) => {
            let mut said = words(envelope.at(Key::Errors));
            if said.is_empty() {
                said = words(envelope.at(Key::Messages));
            }
            Envelope::Failure(said)
        }
        _ => Envelope::Alien,
    }
}

/// An integer, also where it was sent as a string.
fn number(value: &Json<'_>) -> Option<i64> {
    match value {
        Json::Integer(number) => Some(*number),
        Json::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The texts of a list, or of a lone string; blank ones are left out.
fn words(value: &Json<'_>) -> Vec<String> {
    let texts: Vec<&str> = match value {
        Json::Text(text) => vec![text],
        Json::List(list) => list.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    texts.into_iter().filter(|t| !t.trim().is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::json::parse;
    use super::*;

    #[test]
    fn the_data_stands_beside_the_innermost_status() {
        for body in [
            json!({"status": 1, "data": 7}),
            json!({"apiversion": 3, "result": {"status": 1, "data": 7}}),
            json!({"data": {"uapi": {"status": 1, "data": 7}}, "metadata": {"result": 1}}),
            json!({"data": 7, "metadata": {"result": 1}}),
        ] {
            let body = body.to_string();
            assert_eq!(data(&parse(body.as_bytes()).unwrap()), &Json::Integer(7), "{body}");
        }
        assert_eq!(data(&parse(br#"{"status":1}"#).unwrap()), &Json::Null);
    }
}
