//! One server as the operator names it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::credential::CredentialSource;
use crate::uapi::Method;

/// A server and the account that is spoken for there. Holds no secret, so a run can keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// What it is called in results and messages.
    pub name: String,
    /// Scheme, host and port.
    pub url: String,
    /// The cPanel account.
    pub user: String,
    /// Which of the vendor's interfaces it is spoken to by.
    pub api: Api,
    /// How calls are sent.
    pub method: Method,
    /// Where its credential comes from.
    pub credential: CredentialSource,
}

/// The interface that a server offers at its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// One account's, by UAPI.
    Cpanel,
    /// A whole server's.
    Whm,
}

impl std::str::FromStr for Api {
    type Err = String;

    fn from_str(text: &str) -> Result<Api, String> {
        match text {
            "cpanel" => Ok(Api::Cpanel),
            "whm" => Ok(Api::Whm),
            _ => Err("it is cpanel or whm".to_owned()),
        }
    }
}

/// Why a server cannot be used as it was named.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Not an address of a server.
    #[error("--server {url}: {why}")]
    Url {
        /// As given, without anything secret.
        url: String,
        /// What is wrong and what to write.
        why: String,
    },
    /// The user name cannot be one.
    #[error("--user {user}: {why}")]
    User {
        /// As given.
        user: String,
        /// What is wrong and what to write.
        why: &'static str,
    },
}

/// The ports on which WHM answers (vendor's guide to API authentication).
const WHM_PORTS: [u16; 2] = [2087, 2086];

impl ServerSpec {
    /// Checks what was given on the command line. Plain `http` is for loopback alone unless
    /// `allow_plaintext`: the token would be readable on the way.
    ///
    /// # Errors
    /// What is wrong with the address or the user.
    pub fn new(
        url: &str,
        user: &str,
        api: Option<Api>,
        method: Method,
        credential: CredentialSource,
        allow_plaintext: bool,
    ) -> Result<ServerSpec, ServerError> {
        let parsed = check_url(url, allow_plaintext)?;
        let port = parsed.port_or_known_default().unwrap_or_default();
        let api = api.unwrap_or(if WHM_PORTS.contains(&port) { Api::Whm } else { Api::Cpanel });
        let wrong_user = |why| Err(ServerError::User { user: user.to_owned(), why });
        if user.is_empty() || user.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':') {
            return wrong_user("a user name has no blanks and no colon");
        }
        if user.contains('@') {
            return wrong_user("give the name of the cPanel account, not a mailbox or domain");
        }
        let host = parsed.host_str().unwrap_or_default();
        Ok(ServerSpec {
            name: format!("{host}:{port}"),
            url: parsed.origin().ascii_serialization(),
            user: user.to_owned(),
            api,
            method,
            credential,
        })
    }

    /// The address, for the transport.
    ///
    /// # Errors
    /// If the stored text is not one.
    pub fn base(&self) -> Result<reqwest::Url, ServerError> {
        check_url(&self.url, true)
    }
}

fn check_url(url: &str, allow_plaintext: bool) -> Result<reqwest::Url, ServerError> {
    let parsed = reqwest::Url::parse(url);
    // A secret may stand in an address; then nothing of it is repeated.
    let has_secret = parsed.as_ref().is_ok_and(|u| u.password().is_some() || !u.username().is_empty());
    let shown = match &parsed {
        _ if has_secret || url.contains('@') => "(not shown)".to_owned(),
        // What stands behind the host may be one too.
        Ok(parsed) if parsed.has_host() => parsed.origin().ascii_serialization(),
        _ => url.to_owned(),
    };
    let wrong = |why: &str| ServerError::Url { url: shown.clone(), why: why.to_owned() };
    let parsed = parsed
        .map_err(|e| wrong(&format!("not an address ({e}): write it as https://web01.example.net:2083")))?;
    if has_secret {
        return Err(wrong("an address carries no user and no password: use --user and --token-file"));
    }
    match parsed.scheme() {
        "https" => {}
        "http" if allow_plaintext || is_loopback(&parsed) => {}
        "http" => {
            return Err(wrong(
                "http would send the token readable over the network: use https, or --allow-plaintext if you must",
            ));
        }
        _ => return Err(wrong("write it as https://web01.example.net:2083")),
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err(wrong("no host: write it as https://web01.example.net:2083"));
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("only scheme, host and port: the path is added for each call"));
    }
    Ok(parsed)
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(url: &str, plaintext: bool) -> Result<ServerSpec, String> {
        let credential = CredentialSource::TokenEnv("X".into());
        ServerSpec::new(url, "exampleu", None, Method::Get, credential, plaintext).map_err(|e| e.to_string())
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for url in [
            "http://127.0.0.1:2082",
            "http://localhost:8080",
            "http://[::1]:1",
            "https://web01.example.net:2083/",
        ] {
            assert!(spec(url, false).is_ok(), "{url}");
        }
        for url in
            ["http://web01.example.net:2082", "http://127.0.0.1.example.net", "http://localhost.example.net"]
        {
            assert!(spec(url, false).unwrap_err().contains("--allow-plaintext"), "{url}");
            assert!(spec(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn an_address_is_scheme_host_and_port_and_never_a_secret() {
        for url in [
            "web01",
            "web01:2083",
            "ftp://web01",
            "https://web01/execute",
            "https://web01?x=1",
            "https://",
            "",
        ] {
            assert!(spec(url, false).is_err(), "{url}");
        }
        let error = spec("https://root:S3CRET@web01:2083", false).unwrap_err();
        assert!(!error.contains("S3CRET") && error.contains("--token-file"), "{error}");
        let error = spec("htps//root:S3CRET@web01:2083", false).unwrap_err();
        assert!(!error.contains("S3CRET"), "{error}");
    }

    #[test]
    fn the_port_tells_the_api_and_the_name_has_it() {
        let server = spec("https://Web01.example.net:2087", false).unwrap();
        assert_eq!((server.api, server.name.as_str()), (Api::Whm, "web01.example.net:2087"));
        assert_eq!(spec("https://web01.example.net", false).unwrap().name, "web01.example.net:443");
        assert_eq!(spec("https://web01.example.net:2083", false).unwrap().api, Api::Cpanel);
    }

    #[test]
    fn a_user_is_an_account_not_a_mailbox() {
        let credential = CredentialSource::TokenEnv("X".into());
        for user in ["", "a b", "a:b", "a@example.com"] {
            let url = "https://web01:2083";
            assert!(
                ServerSpec::new(url, user, None, Method::Get, credential.clone(), false).is_err(),
                "{user}"
            );
        }
    }
}
