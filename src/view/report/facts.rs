//! Settings as rows of a table, whatever they are: a setting that is added shows without a change here.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::{Channel, clean, clip};

/// One setting.
#[derive(Debug, Serialize)]
pub struct Setting {
    name: String,
    value: String,
}

/// Characters of a value.
const MOST_CHARS: usize = 300;
/// No more settings than this of one thing.
const MOST_ROWS: usize = 200;

/// All that is set, each with the way to it.
pub fn settings(value: &Value) -> Vec<Setting> {
    let mut rows = Vec::new();
    walk(String::new(), value, &mut rows);
    rows
}

fn walk(name: String, value: &Value, rows: &mut Vec<Setting>) {
    if rows.len() >= MOST_ROWS {
        return;
    }
    let within = |key: &str| if name.is_empty() { spaced(key) } else { format!("{name}, {}", spaced(key)) };
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::Array(ranks) if key == "channel_order" => {
                        rows.push(Setting { name: within(key), value: order(ranks) });
                    }
                    // Of a credential, what kind of place it comes from is enough: a command's text
                    // is nothing to be printed and handed round.
                    Value::Object(source) if key == "credential" => {
                        let kinds: Vec<String> = source.keys().map(|kind| spaced(kind)).collect();
                        rows.push(Setting { name: within(key), value: kinds.join(", ") });
                    }
                    member => walk(within(key), member, rows),
                }
            }
        }
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            if !items.is_empty() {
                rows.push(Setting { name, value: clip(&items.join(", "), MOST_CHARS) });
            }
        }
        Value::Array(items) => {
            for (number, item) in (1..).zip(items) {
                walk(format!("{name} {number}"), item, rows);
            }
        }
        Value::Null => {}
        value => rows.push(Setting { name, value: clip(&plain(value), MOST_CHARS) }),
    }
}

/// The channels by the ranks that they have, in the order of [`Channel::ALL`].
fn order(ranks: &[Value]) -> String {
    let mut groups: BTreeMap<Option<u64>, Vec<&str>> = BTreeMap::new();
    for (number, channel) in Channel::ALL.iter().enumerate() {
        groups.entry(ranks.get(number).and_then(Value::as_u64)).or_default().push(channel.word());
    }
    if groups.len() < 2 {
        return "as in the file".to_owned();
    }
    groups.values().map(|channels| channels.join(" and ")).collect::<Vec<_>>().join(", then ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

fn spaced(key: &str) -> String {
    clean(&key.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_row_and_a_credential_says_only_where_it_comes_from() {
        let value = serde_json::json!({
            "url": "https://web01.example.net:2087",
            "limits": { "rate": "10/s", "burst": null, "jobs": 16 },
            "logins": [{ "user": "root", "credential": { "token_command": "pass show SECRET" } }],
            "domains": ["a.example", "b.example"],
            "tls": true,
            "channel_order": [1, 1, 0],
            "none": [],
        });
        let rows: Vec<_> =
            settings(&value).into_iter().map(|row| format!("{}: {}", row.name, row.value)).collect();
        let mut expected = [
            "url: https://web01.example.net:2087",
            "limits, rate: 10/s",
            "limits, jobs: 16",
            "logins 1, user: root",
            "logins 1, credential: token command",
            "domains: a.example, b.example",
            "tls: yes",
            "channel order: outgoing, then login and incoming",
        ];
        let mut rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        rows.sort_unstable();
        expected.sort_unstable();
        assert_eq!(rows, expected);
    }
}
