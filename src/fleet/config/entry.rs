//! One `[[server]]` of a configuration file.

use std::path::{Path, PathBuf};

use super::fault::Faults;
use super::section::{CREDENTIALS, Given, LIMITS, Section};
use crate::engine::{Limits, SomeLimits};
use crate::fleet::check::{
    Wording, check_domain, check_host_port, check_pin, check_url, check_user, host_port,
};
use crate::fleet::{Api, CredentialSource, Login, Server};
use crate::uapi::Method;

/// What an entry means depends on these too.
pub(super) struct Around<'a> {
    /// The configuration file's directory, absolute.
    pub dir: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a Path>,
    /// Whether plain http may go anywhere.
    pub allow_plaintext: bool,
    /// How calls are sent where nothing is said.
    pub method: Option<Method>,
}

/// An entry that is sound in itself.
pub(super) struct Entry {
    pub at: usize,
    pub label: String,
    /// With the one login of this entry, and limits not yet resolved.
    pub server: Server,
    pub limits: SomeLimits,
    /// On what all entries of one server must agree: key, value as text.
    pub shared: Vec<(&'static str, Given<String>)>,
    /// The place of each of the login's domains.
    pub domains: Vec<Given<String>>,
}

impl Around<'_> {
    /// A path of the file as an absolute one.
    ///
    /// # Errors
    /// If `~` stands for nothing known, or the path could not be kept with a run.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, &'static str> {
        let path = match text.strip_prefix('~') {
            None => self.dir.join(text),
            Some(rest) => match (rest.strip_prefix('/'), self.home) {
                (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
                (Some(_), None) => return Err("begins with ~/, but HOME is not set: write the whole path"),
                (None, _) => {
                    return Err("begins with ~, of which only ~/ is understood: write the whole path");
                }
            },
        };
        if path.to_str().is_some() { Ok(path) } else { Err("is in a directory whose name is not UTF-8") }
    }

    /// The path under a key.
    pub(super) fn path_at(&self, section: &Section<'_>, key: &str, faults: &mut Faults) -> Option<PathBuf> {
        let given = section.text(key, faults)?;
        self.path(given.value).map_err(|why| section.wrong(given.at, key, why, faults)).ok()
    }
}

/// The name of an entry if it is one; what it is then called in errors.
pub(super) fn name_of<'a>(section: &Section<'a>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let name = section.get("name")?.value.as_str()?;
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let sound = !name.is_empty() && !name.starts_with('-') && name.chars().all(is_part);
    (sound && name.chars().count() <= LONGEST).then_some(name)
}

/// Reads an entry; `None` if anything that it needs is missing or wrong, which is then among the
/// faults.
pub(super) fn read(section: &Section<'_>, around: &Around<'_>, faults: &mut Faults) -> Option<Entry> {
    section.check_keys(faults);
    let name = name_of(section);
    if name.is_none()
        && let Some(given) = needed(section, "name", "\"web01\"", faults)
    {
        let why = "is no name: up to 64 letters, digits and - _ . : without blanks, not beginning with -";
        section.wrong(given.at, "name", why, faults);
    }
    let url = needed(section, "url", "\"https://web01.example.net:2087\"", faults).and_then(|given| {
        check_url(given.value, around.allow_plaintext, Wording::Keys)
            .map_err(|why| section.wrong(given.at, "url", &format!("is wrong: {why}"), faults))
            .map(|url| Given { value: url, at: given.at })
            .ok()
    });
    let user = needed(section, "user", "\"root\", or the cPanel account", faults).and_then(|given| {
        let checked = check_user(given.value);
        checked.map_err(|why| section.wrong(given.at, "user", &format!("is wrong: {why}"), faults)).ok()?;
        Some(given.value.to_owned())
    });
    let credential = credential(section, around, faults);
    let api = api(section, faults);
    let method = section.method(faults).or(around.method).unwrap_or_default();
    let account = account(section, api.or_else(|| url.as_ref().map(|url| Api::at(&url.value))), faults);
    let domains = domains(section, faults);
    let limits = section.limits(faults);
    let shared = shared(section, &limits, around, faults);

    let (name, url) = (name?, url?);
    let is = |key: &str| shared.iter().find(|(of, _)| *of == key).map(|(_, given)| given.value.clone());
    let login = Login {
        name: name.to_owned(),
        user: user?,
        api: api.unwrap_or_else(|| Api::at(&url.value)),
        method,
        credential: credential?,
        account,
        domains: domains.iter().map(|domain| domain.value.clone()).collect(),
    };
    let server = Server {
        name: name.to_owned(),
        url: url.value.origin().ascii_serialization(),
        connect_to: is("connect_to"),
        ca_file: is("ca_file").map(PathBuf::from),
        pin_sha256: is("pin_sha256"),
        limits: Limits::default(),
        logins: vec![login],
    };
    let mut shared = shared;
    shared.push(("url", Given { value: host_port(&url.value) + url.value.scheme(), at: url.at }));
    Some(Entry { at: section.at, label: section.label.clone(), server, limits, shared, domains })
}

/// The text under a key that every entry has.
fn needed<'a>(
    section: &Section<'a>,
    key: &str,
    example: &str,
    faults: &mut Faults,
) -> Option<Given<&'a str>> {
    if section.get(key).is_none() {
        faults.add(section.at, format!("{} has no “{key}”: add {key} = {example}", section.label));
    }
    section.text(key, faults)
}

fn credential(section: &Section<'_>, around: &Around<'_>, faults: &mut Faults) -> Option<CredentialSource> {
    let mut given = CREDENTIALS.iter().copied().filter(|key| section.get(key).is_some());
    let Some(key) = given.next() else {
        let why = "has no credential: name the place of one by token_file, token_command, token_env, \
                   password_file or password_env";
        faults.add(section.at, format!("{} {why}", section.label));
        return None;
    };
    let others: Vec<&str> = given.collect();
    if !others.is_empty() {
        let all = [&[key], &others[..]].concat().join(" and ");
        faults.add(section.at, format!("{} has {all}: keep one of them", section.label));
        return None;
    }
    let text = section.text(key, faults)?;
    match key {
        "token_command" => return Some(CredentialSource::TokenCommand(text.value.to_owned())),
        "token_file" | "password_file" => {
            let path = around.path_at(section, key, faults)?;
            let is_token = key == "token_file";
            return Some(if is_token {
                CredentialSource::TokenFile(path)
            } else {
                CredentialSource::PasswordFile(path)
            });
        }
        _ => {}
    }
    if let Err(why) = check_variable(text.value) {
        section.wrong(text.at, key, why, faults);
        return None;
    }
    let variable = text.value.to_owned();
    Some(match key {
        "token_env" => CredentialSource::TokenEnv(variable),
        _ => CredentialSource::PasswordEnv(variable),
    })
}

/// The name of a variable is kept with a run and shown, so it must not be the secret itself.
fn check_variable(name: &str) -> Result<(), &'static str> {
    /// As cPanel makes its tokens: so many capitals and digits.
    const TOKEN: usize = 32;
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !name.bytes().all(is_part) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("must be the name of a variable, such as \"WEB01_TOKEN\", not what is in it");
    }
    let is_token = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if name.len() == TOKEN && name.bytes().all(is_token) && name.bytes().any(|b| b.is_ascii_digit()) {
        return Err("looks like a token: it must be the name of a variable, such as \"WEB01_TOKEN\"");
    }
    Ok(())
}

fn api(section: &Section<'_>, faults: &mut Faults) -> Option<Api> {
    let given = section.text("api", faults)?;
    let api = given.value.parse();
    api.map_err(|_| section.wrong(given.at, "api", "must be \"cpanel\" or \"whm\"", faults)).ok()
}

fn account(section: &Section<'_>, api: Option<Api>, faults: &mut Faults) -> Option<String> {
    let given = section.text("account", faults)?;
    if api == Some(Api::Whm) {
        let why = "is for api = \"cpanel\": with whm the server is asked which account has a mailbox's domain. \
                   Leave it out, or use the account's own port and token";
        section.wrong(given.at, "account", why, faults);
        return None;
    }
    match check_user(given.value) {
        Ok(()) => Some(given.value.to_owned()),
        Err(why) => {
            section.wrong(given.at, "account", &format!("is wrong: {why}"), faults);
            None
        }
    }
}

fn domains(section: &Section<'_>, faults: &mut Faults) -> Vec<Given<String>> {
    let mut domains: Vec<Given<String>> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (n, given) in section.texts("domains", faults).into_iter().enumerate() {
        match check_domain(given.value) {
            Some(domain) if seen.insert(domain.clone()) => {
                domains.push(Given { value: domain, at: given.at });
            }
            // Twice in one list means the same as once.
            Some(_) => {}
            None => {
                let why = format!("must be domains, such as \"example.com\": entry {} is none", n + 1);
                section.wrong(given.at, "domains", &why, faults);
            }
        }
    }
    domains
}

/// What is the server's rather than the login's.
fn shared(
    section: &Section<'_>,
    limits: &SomeLimits,
    around: &Around<'_>,
    faults: &mut Faults,
) -> Vec<(&'static str, Given<String>)> {
    let mut shared = Vec::new();
    // Limits are compared as they are written down, so that 60/m and 60/m are alike however typed.
    let written = serde_json::to_value(limits).unwrap_or_default();
    for key in LIMITS {
        if let (Some(value), Some(given)) = (written.get(key), section.get(key)) {
            shared.push((key, Given { value: value.to_string(), at: given.at }));
        }
    }
    let mut checked = |key, check: &dyn Fn(&str) -> Option<String>, why, faults: &mut Faults| {
        if let Some(given) = section.text(key, faults) {
            match check(given.value) {
                Some(value) => shared.push((key, Given { value, at: given.at })),
                None => section.wrong(given.at, key, why, faults),
            }
        }
    };
    let why = "must be a host and a port, such as \"192.0.2.10:2087\"";
    checked("connect_to", &check_host_port, why, faults);
    let why = "must be the SHA-256 of the certificate's public key: 64 hex digits, or base64";
    checked("pin_sha256", &check_pin, why, faults);
    if let Some(path) = around.path_at(section, "ca_file", faults)
        && let Some(given) = section.get("ca_file")
    {
        shared.push(("ca_file", Given { value: path.to_string_lossy().into_owned(), at: given.at }));
    }
    shared
}
