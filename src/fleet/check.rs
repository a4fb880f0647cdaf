//! Checks that the command line and the configuration file share. What they say never repeats what
//! they looked at: a secret may stand in the wrong place.

use std::net::IpAddr;

use reqwest::Url;

use crate::domain::Mailbox;

/// Which names an error calls things by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// The command line's.
    Flags,
    /// The configuration file's.
    Keys,
}

/// The address of a server: scheme, host and port alone. Plain `http` is for loopback unless
/// `allow_plaintext`.
///
/// # Errors
/// What is wrong and what to write, without the address.
pub(super) fn check_url(url: &str, allow_plaintext: bool, wording: Wording) -> Result<Url, String> {
    let parsed = Url::parse(url)
        .map_err(|e| format!("not an address ({e}): write it as https://web01.example.net:2083"))?;
    let (login, plaintext) = match wording {
        Wording::Flags => ("--user and --token-file", "--allow-plaintext"),
        Wording::Keys => ("user and token_file", "allow_plaintext = true at the top of the file"),
    };
    if has_login(&parsed) {
        return Err(format!("an address carries no user and no password: use {login}"));
    }
    match parsed.scheme() {
        "https" => {}
        "http" if allow_plaintext || is_loopback(&parsed) => {}
        "http" => {
            return Err(format!(
                "http would send the token readable over the network: use https, or {plaintext} if you must"
            ));
        }
        _ => return Err("write it as https://web01.example.net:2083".to_owned()),
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err("no host: write it as https://web01.example.net:2083".to_owned());
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("only scheme, host and port: the path is added for each call".to_owned());
    }
    Ok(parsed)
}

/// As much of an address as can be shown.
pub(super) fn presentable(url: &str) -> String {
    let parsed = Url::parse(url);
    match &parsed {
        // A secret may stand in an address; then nothing of it is repeated.
        _ if parsed.as_ref().is_ok_and(has_login) || url.contains('@') => "(not shown)".to_owned(),
        // What stands behind the host may be one too.
        Ok(parsed) if parsed.has_host() => parsed.origin().ascii_serialization(),
        _ => url.to_owned(),
    }
}

fn has_login(url: &Url) -> bool {
    url.password().is_some() || !url.username().is_empty()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Host in lower case and port, whether the port was written or not.
pub(super) fn host_port(url: &Url) -> String {
    // A host may be written with the root's dot behind it and is the same.
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    format!("{}:{}", host.to_lowercase(), url.port_or_known_default().unwrap_or_default())
}

/// The name of a cPanel account or WHM user.
///
/// # Errors
/// Why it cannot be one.
pub(super) fn check_user(user: &str) -> Result<(), &'static str> {
    if user.is_empty() || user.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':') {
        return Err("a user name has no blanks and no colon");
    }
    if user.contains('@') {
        return Err("give the name of the cPanel account, not a mailbox or domain");
    }
    Ok(())
}

/// HOST:PORT in its one form.
pub(super) fn check_host_port(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten()?;
    let url = Url::parse(&format!("https://{host}")).ok()?;
    // Anything but a host would have shown up in another part of the address, or been changed.
    let is_host = url.port().is_none() && !has_login(&url) && url.path() == "/";
    let is_host = is_host && url.query().is_none() && url.fragment().is_none() && !host.ends_with(['/', ':']);
    let host = url.host_str().filter(|host| is_host && !host.is_empty())?;
    (port > 0).then(|| format!("{host}:{port}"))
}

/// The SHA-256 of a public key in hex digits or base64 (also with curl's `sha256//` before it), as
/// lower-case hex digits.
pub(super) fn check_pin(text: &str) -> Option<String> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    const BYTES: usize = 32;
    if text.len() == 2 * BYTES && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text.to_ascii_lowercase());
    }
    let bytes = BASE64_STANDARD.decode(text.strip_prefix("sha256//").unwrap_or(text)).ok()?;
    (bytes.len() == BYTES).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A domain in the form that a mailbox's has.
pub(super) fn check_domain(text: &str) -> Option<String> {
    let mailbox = Mailbox::parse(&format!("x@{}", text.trim())).ok()?;
    Some(mailbox.domain().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_is_a_host_and_a_port() {
        for (text, expected) in [
            ("192.0.2.10:2087", "192.0.2.10:2087"),
            ("Proxy.example.net:443", "proxy.example.net:443"),
            ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
        ] {
            assert_eq!(check_host_port(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            ":",
            ":1",
            "web01",
            "web01:",
            "web01:0",
            "web01:65536",
            "web01:+1",
            "web01/x:1",
            "web01/:1",
            "a@web01:1",
            "web01?x:1",
            "web01#x:1",
            "web01:1:2",
            "https://web01:1",
            "2001:db8::1:80",
            "a b:1",
        ] {
            assert_eq!(check_host_port(text), None, "{text}");
        }
    }

    #[test]
    fn a_pin_is_32_bytes_in_either_spelling() {
        let hex = "AB".repeat(32);
        let base64 = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=";
        for text in [hex.as_str(), base64, &format!("sha256//{base64}")] {
            assert_eq!(check_pin(text), Some("ab".repeat(32)), "{text}");
        }
        for text in ["", "…", &hex[2..], &base64[4..], &format!("{hex}00"), &"g".repeat(64)] {
            assert_eq!(check_pin(text), None, "{text}");
        }
    }

    #[test]
    fn a_domain_is_normalised_as_a_mailboxes_is() {
        assert_eq!(check_domain(" Bücher.Example ").as_deref(), Some("xn--bcher-kva.example"));
        for text in ["", "a@example.com", "*.example.com", "https://example.com", "example.com."] {
            assert_eq!(check_domain(text), None, "{text}");
        }
    }
}
