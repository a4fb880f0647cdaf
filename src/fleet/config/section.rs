//! One table of a configuration file: its keys taken one by one, by type, with their places.
//!
//! Written by hand where a derived reader would do, because that one's errors repeat what they found.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::fault::Faults;
use crate::domain::{Classes, ErrorClass};
use crate::engine::{MaxChanges, MaxErrors, SomeLimits, parse_time};
use crate::uapi::Method;

/// Keys at the top of the file.
pub(super) const TOP: [&str; 13] = [
    "protect",
    "runs_dir",
    "operator",
    "ticket",
    "require_ticket",
    "metrics_file",
    "notify_command",
    "allow_plaintext",
    "max_changes",
    "require_state",
    "state_max_age",
    "defaults",
    "server",
];

/// Limits, which may stand in `[defaults]` and at a server: the long flags.
pub(super) const LIMITS: [&str; 9] =
    ["rate", "burst", "jobs", "retries", "batch", "max_errors", "max_outage", "timeout", "connect_timeout"];

/// What may stand in `[defaults]` beside limits; the first also at a server.
const METHOD: &str = "method";
const TOLERATE: &str = "tolerate";

/// Where a secret is, of which a server has one.
pub(super) const CREDENTIALS: [&str; 5] =
    ["token_file", "token_command", "token_env", "password_file", "password_env"];

/// What a `[[server]]` has beside limits, credential and method.
const SERVER: [&str; 9] =
    ["name", "url", "user", "api", "account", "domains", "ca_file", "pin_sha256", "connect_to"];

/// What people write where a secret would stand.
const SECRETS: [&str; 14] = [
    "token",
    "api_token",
    "apitoken",
    "access_token",
    "auth_token",
    "password",
    "passwd",
    "pass",
    "passphrase",
    "secret",
    "key",
    "api_key",
    "apikey",
    "credential",
];

/// Which table of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Top,
    Defaults,
    Server,
}

impl Kind {
    fn keys(self) -> Vec<&'static str> {
        match self {
            Kind::Top => TOP.to_vec(),
            Kind::Defaults => [&LIMITS[..], &[METHOD, TOLERATE]].concat(),
            Kind::Server => [&SERVER[..], &CREDENTIALS, &LIMITS, &[METHOD]].concat(),
        }
    }

    /// Where a key belongs that stands in the wrong table.
    fn belongs(self, key: &str) -> Option<&'static str> {
        let knows = |kind: Kind| kind != self && kind.keys().contains(&key);
        if knows(Kind::Top) {
            Some("it belongs at the top of the file, before any [table]")
        } else if key == TOLERATE {
            Some("it belongs in [defaults]")
        } else if knows(Kind::Defaults) {
            Some("it belongs in [defaults] or in a [[server]]")
        } else {
            knows(Kind::Server).then_some("it belongs in a [[server]]")
        }
    }
}

/// A value and where it stands, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<T> {
    pub value: T,
    pub at: usize,
}

/// A table that is being read.
pub(super) struct Section<'a> {
    pub kind: Kind,
    pub table: &'a DeTable<'a>,
    /// What errors call it.
    pub label: String,
    /// Where it begins.
    pub at: usize,
}

impl<'a> Section<'a> {
    /// What stands under a key.
    pub(super) fn get(&self, key: &str) -> Option<Given<&'a DeValue<'a>>> {
        self.table.get(key).map(|value| Given { value: value.get_ref(), at: value.span().start })
    }

    /// Adds a fault about a key's value.
    pub(super) fn wrong(&self, at: usize, key: &str, why: &str, faults: &mut Faults) {
        faults.add(at, format!("“{key}” in {} {why}", self.label));
    }

    /// Finds the keys that there are none of.
    pub(super) fn check_keys(&self, faults: &mut Faults) {
        let known = self.kind.keys();
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
            let plain = name.to_ascii_lowercase().replace('-', "_");
            let hint = if SECRETS.contains(&plain.as_str()) {
                "a secret does not belong in this file: put it into one of its own that only you can read, and \
                 name that by token_file or password_file; or use token_command, token_env or password_env"
                    .to_owned()
            } else if known.contains(&plain.as_str()) {
                format!("did you mean “{plain}”?")
            } else if let Some(where_to) = self.kind.belongs(&plain) {
                where_to.to_owned()
            } else if let Some(near) = nearest(&plain, &known) {
                format!("did you mean “{near}”?")
            } else {
                format!("known are {}", known.join(", "))
            };
            faults.add(key.span().start, format!("unknown key {}in {}: {hint}", quoted(name), self.label));
        }
    }

    /// A text on one line, without blanks around it.
    pub(super) fn text(&self, key: &str, faults: &mut Faults) -> Option<Given<&'a str>> {
        let given = self.get(key)?;
        let why = match text_of(given.value) {
            Ok(value) => return Some(Given { value, at: given.at }),
            Err(why) => why,
        };
        self.wrong(given.at, key, &why, faults);
        None
    }

    /// A list of texts, each with its place; what is no text in it is left out.
    pub(super) fn texts(&self, key: &str, faults: &mut Faults) -> Vec<Given<&'a str>> {
        let Some(given) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = given.value else {
            let why =
                format!("must be a list of texts, such as [\"…\", \"…\"], not {}", kind_of(given.value));
            self.wrong(given.at, key, &why, faults);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let at = item.span().start;
            match text_of(item.get_ref()) {
                Ok(value) => texts.push(Given { value, at }),
                Err(why) => self.wrong(at, key, &format!("{why}: entry {}", n + 1), faults),
            }
        }
        texts
    }

    /// A list of error classes.
    pub(super) fn classes(&self, key: &str, faults: &mut Faults) -> Classes {
        let given = self.texts(key, faults);
        let mut classes = Classes::NONE;
        for Given { value, at } in given {
            match value.parse::<ErrorClass>() {
                Ok(class) => classes = classes.with(class),
                Err(why) => self.wrong(at, key, &format!("is wrong: {why}"), faults),
            }
        }
        classes
    }

    /// True or false; false if it is not there.
    pub(super) fn yes(&self, key: &str, faults: &mut Faults) -> bool {
        match self.get(key) {
            None => false,
            Some(Given { value: DeValue::Boolean(yes), .. }) => *yes,
            Some(given) => {
                let why = format!("must be true or false, not {}", kind_of(given.value));
                self.wrong(given.at, key, &why, faults);
                false
            }
        }
    }

    pub(super) fn method(&self, faults: &mut Faults) -> Option<Method> {
        let given = self.text(METHOD, faults)?;
        match given.value {
            "get" => Some(Method::Get),
            "post" => Some(Method::Post),
            _ => {
                self.wrong(given.at, METHOD, "must be \"get\" or \"post\"", faults);
                None
            }
        }
    }

    /// All limits that the table gives.
    pub(super) fn limits(&self, faults: &mut Faults) -> SomeLimits {
        let example = "a number and its unit, such as \"10/s\", \"600/m\" or \"100/h\", or \"none\"";
        SomeLimits {
            rate: self.parsed("rate", example, str::parse, faults),
            burst: self.number("burst", 1, faults).and_then(NonZeroU32::new),
            jobs: self.number("jobs", 1, faults).and_then(NonZeroU32::new),
            retries: self.number("retries", 0, faults),
            batch: match self.get("batch").map(|given| given.value) {
                Some(DeValue::Integer(_)) => {
                    self.number("batch", 1, faults).and_then(|size| size.to_string().parse().ok())
                }
                _ => self.parsed("batch", "a number from 1 to 50, or \"auto\"", FromStr::from_str, faults),
            },
            max_errors: self.number_or_share("max_errors", MaxErrors::Count, faults),
            max_outage: self.time("max_outage", faults),
            timeout: self.time("timeout", faults),
            connect_timeout: self.time("connect_timeout", faults),
        }
    }

    /// How much may change.
    pub(super) fn max_changes(&self, faults: &mut Faults) -> Option<MaxChanges> {
        self.number_or_share("max_changes", MaxChanges::Count, faults)
    }

    fn number_or_share<T: FromStr<Err = String>>(
        &self,
        key: &str,
        count: impl Fn(u64) -> T,
        faults: &mut Faults,
    ) -> Option<T> {
        match self.get(key).map(|given| given.value) {
            Some(DeValue::Integer(_)) => self.number(key, 0, faults).map(|number| count(number.into())),
            _ => {
                let share = "a number, such as 20, or a share, such as \"5%\"";
                self.parsed(key, share, FromStr::from_str, faults)
            }
        }
    }

    pub(super) fn time(&self, key: &str, faults: &mut Faults) -> Option<Duration> {
        self.parsed(
            key,
            "a length of time, longer than nothing, such as \"30s\" or \"5m\"",
            parse_time,
            faults,
        )
    }

    /// A text with a form of its own, of which `form` says what to write.
    fn parsed<T>(
        &self,
        key: &str,
        form: &str,
        parse: impl Fn(&str) -> Result<T, String>,
        faults: &mut Faults,
    ) -> Option<T> {
        let given = self.get(key)?;
        let why = match given.value {
            DeValue::String(text) => match parse(text) {
                Ok(value) => return Some(value),
                Err(why) if is_harmless(text) => format!("is wrong: {why}"),
                Err(_) => format!("must be {form}"),
            },
            other => format!("must be {form}; it is {}", kind_of(other)),
        };
        self.wrong(given.at, key, &why, faults);
        None
    }

    fn number(&self, key: &str, least: u32, faults: &mut Faults) -> Option<u32> {
        let given = self.get(key)?;
        let why = match given.value {
            DeValue::Integer(number) => match u32::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) if number >= least => return Some(number),
                _ => format!("must be a whole number from {least} to {}", u32::MAX),
            },
            other => format!("must be a whole number without quotes, such as 4, not {}", kind_of(other)),
        };
        self.wrong(given.at, key, &why, faults);
        None
    }
}

fn text_of<'a>(value: &'a DeValue<'a>) -> Result<&'a str, String> {
    let DeValue::String(text) = value else {
        return Err(format!("must be a text in quotes, not {}", kind_of(value)));
    };
    let text = text.trim();
    if text.is_empty() {
        Err("is empty".to_owned())
    } else if text.contains(char::is_control) {
        Err("has a line break or control character".to_owned())
    } else {
        Ok(text)
    }
}

/// The type of a value in words.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Whether a limit's text is so near to one that nothing else can have been meant, and it may be
/// repeated.
fn is_harmless(text: &str) -> bool {
    const LONGEST: usize = 12;
    text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_digit() || ".,/%+- smhd".contains(c))
}

/// A key for an error. One that no person would have named so may be a secret in the wrong place.
fn quoted(key: &str) -> String {
    const LONGEST: usize = 24;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    if key.len() <= LONGEST && key.chars().all(is_name) { format!("“{key}” ") } else { String::new() }
}

/// The known key that was likely meant.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(key, known);
    // A third of the letters may be wrong; from there on it is a guess that misleads.
    known.iter().copied().min_by_key(distance).filter(|near| distance(near) * 3 <= near.len().max(3))
}
