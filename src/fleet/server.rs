//! Servers as the operator names them, and all of them together.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::{Wording, check_url, check_user, host_port, presentable};
use super::credential::CredentialSource;
use super::protect::Protect;
use crate::engine::Limits;
use crate::uapi::{Api, Method};

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

/// The ports on which cPanel answers.
const CPANEL_PORTS: [u16; 2] = [2083, 2082];

/// What [`ServerSpec::new`] and [`Server::new_single`] find out alike: the address as parsed, and the
/// interface.
fn check(
    url: &str,
    user: &str,
    api: Option<Api>,
    allow_plaintext: bool,
) -> Result<(reqwest::Url, Api), ServerError> {
    let parsed = check_url(url, allow_plaintext, Wording::Flags)
        .map_err(|why| ServerError::Url { url: presentable(url), why })?;
    check_user(user).map_err(|why| {
        // What stands behind a colon is likely a secret.
        let user = user.split(':').next().unwrap_or_default().to_owned();
        ServerError::User { user, why }
    })?;
    let api = api.unwrap_or_else(|| Api::at(&parsed));
    Ok((parsed, api))
}

impl Api {
    /// The interface that is at the address's port if nothing else is said.
    pub(super) fn at(url: &reqwest::Url) -> Api {
        if url.port_or_known_default().is_some_and(|port| WHM_PORTS.contains(&port)) {
            Api::Whm
        } else {
            Api::Cpanel
        }
    }
}

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
        let (parsed, api) = check(url, user, api, allow_plaintext)?;
        Ok(ServerSpec {
            name: host_port(&parsed),
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
        base(&self.url)
    }
}

/// The address of what has been checked before, but may come from a file since.
fn base(url: &str) -> Result<reqwest::Url, ServerError> {
    check_url(url, true, Wording::Flags).map_err(|why| ServerError::Url { url: presentable(url), why })
}

/// All servers of a run, and what must not be touched on any of them. Holds no secret, so a run can
/// keep it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// No two with the same host and port.
    pub servers: Vec<Server>,
    /// Mailboxes that are never called for.
    pub protect: Protect,
}

/// One host and port: what shares limits, and is halted together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// What it is called in results and messages; no other server of a fleet has it.
    pub name: String,
    /// Scheme, host and port.
    pub url: String,
    /// Where to connect instead of to the address's host and port: HOST:PORT.
    pub connect_to: Option<String>,
    /// Certificates to trust, PEM, in place of the machine's own. An absolute path.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the public key that the server's certificate must have: 64 lower-case hex digits.
    pub pin_sha256: Option<String>,
    /// How much may be asked of it, over all its logins.
    pub limits: Limits,
    /// Who may be spoken for there; never empty.
    pub logins: Vec<Login>,
}

/// A user at a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// As configured; several logins of one server may share a name.
    pub name: String,
    /// The cPanel account, or the WHM user: root or a reseller.
    pub user: String,
    /// Which of the vendor's interfaces is spoken.
    pub api: Api,
    /// How calls are sent.
    pub method: Method,
    /// Where its credential comes from.
    pub credential: CredentialSource,
    /// The account that the calls are for, if it was configured; never with [`Api::Whm`]. See
    /// [`account_name`](Login::account_name).
    pub account: Option<String>,
    /// Domains whose mailboxes are reached by this login, normalised; empty if none was configured.
    pub domains: Vec<String>,
}

impl Server {
    /// The one server of `--server URL --user NAME`. Plain `http` is for loopback alone unless
    /// `allow_plaintext`: the token would be readable on the way.
    ///
    /// # Errors
    /// What is wrong with the address or the user.
    pub fn new_single(
        url: &str,
        user: &str,
        api: Option<Api>,
        method: Method,
        credential: CredentialSource,
        limits: Limits,
        allow_plaintext: bool,
    ) -> Result<Server, ServerError> {
        let (parsed, api) = check(url, user, api, allow_plaintext)?;
        let name = host_port(&parsed);
        let login = Login {
            name: name.clone(),
            user: user.to_owned(),
            api,
            method,
            credential,
            account: None,
            domains: Vec::new(),
        };
        Ok(Server {
            name,
            url: parsed.origin().ascii_serialization(),
            connect_to: None,
            ca_file: None,
            pin_sha256: None,
            limits,
            logins: vec![login],
        })
    }

    /// The address, for the transport.
    ///
    /// # Errors
    /// If the stored text is not one.
    pub fn base(&self) -> Result<reqwest::Url, ServerError> {
        base(&self.url)
    }

    /// What looks like a slip in it, with what was likely meant: an interface that was named although
    /// its port is the other's.
    pub fn slips(&self) -> Vec<String> {
        let Some(port) = self.base().ok().and_then(|url| url.port_or_known_default()) else {
            return Vec::new();
        };
        let odd = self.logins.iter().filter_map(|login| {
            let (theirs, other, ports, own) = match login.api {
                Api::Cpanel => ("WHM", "whm", WHM_PORTS, CPANEL_PORTS[0]),
                Api::Whm => ("cPanel", "cpanel", CPANEL_PORTS, WHM_PORTS[0]),
            };
            ports.contains(&port).then(|| {
                format!(
                    "{}: api {} at port {port}, which is {theirs}'s: did you mean api {other}, or port {own}?",
                    login.name, login.api
                )
            })
        });
        odd.collect()
    }

    /// What tells it from other servers: host in lower case and port, such as
    /// `web01.example.net:2087`. The address itself where that cannot be read.
    pub fn host_port(&self) -> String {
        reqwest::Url::parse(&self.url).map_or_else(|_| self.url.to_lowercase(), |url| host_port(&url))
    }
}

impl Login {
    /// The account that this login is bound to: with [`Api::Cpanel`] the configured one, else the
    /// user's own. `None` with [`Api::Whm`], which speaks for many.
    pub fn account_name(&self) -> Option<&str> {
        match self.api {
            Api::Cpanel => Some(self.account.as_deref().unwrap_or(&self.user)),
            Api::Whm => None,
        }
    }
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

    #[test]
    fn a_users_secret_behind_a_colon_is_not_repeated() {
        let credential = CredentialSource::TokenEnv("X".into());
        let error = ServerSpec::new("https://web01", "root:S3CRET", None, Method::Get, credential, false);
        let error = error.unwrap_err().to_string();
        assert!(!error.contains("S3CRET") && error.contains("--user root"), "{error}");
    }

    #[test]
    fn the_one_server_of_the_command_line_is_a_server_with_one_login() {
        let source = CredentialSource::TokenFile("/etc/x.token".into());
        let limits = Limits { retries: 9, ..Limits::default() };
        let single = |url, api| {
            Server::new_single(url, "exampleu", api, Method::Post, source.clone(), limits.clone(), false)
        };
        let server = single("https://Web01.Example.net:2083/", None).unwrap();
        assert_eq!(server.name, "web01.example.net:2083");
        assert_eq!(
            (server.host_port(), server.url.as_str()),
            (server.name.clone(), "https://web01.example.net:2083")
        );
        assert_eq!((server.limits.retries, server.logins.len()), (9, 1));
        let login = &server.logins[0];
        assert_eq!(
            (login.api, login.method, login.account_name()),
            (Api::Cpanel, Method::Post, Some("exampleu"))
        );
        let whm = single("https://web01:2087", None).unwrap();
        assert_eq!((whm.logins[0].api, whm.logins[0].account_name()), (Api::Whm, None));
        assert_eq!(single("https://web01:2087", Some(Api::Cpanel)).unwrap().logins[0].api, Api::Cpanel);
        let slips = |url, api| single(url, api).unwrap().slips().concat();
        let slip = slips("https://web01:2087", Some(Api::Cpanel));
        assert_eq!(
            slip,
            "web01:2087: api cpanel at port 2087, which is WHM's: did you mean api whm, or port 2083?"
        );
        let slip = slips("https://web01:2083", Some(Api::Whm));
        assert!(slip.contains("cPanel's: did you mean api cpanel, or port 2087?"), "{slip}");
        for (url, api) in [
            ("https://web01:2083", None),
            ("https://web01:2087", None),
            ("https://web01:2086", Some(Api::Whm)),
            ("https://web01", Some(Api::Whm)),
            ("https://web01:8443", Some(Api::Cpanel)),
        ] {
            assert_eq!(slips(url, api), "", "{url}");
        }
        assert_eq!(single("https://web01.", None).unwrap().host_port(), "web01:443");
        assert!(single("http://web01", None).unwrap_err().to_string().contains("--allow-plaintext"));
    }

    #[test]
    fn a_fleet_is_kept_and_read_again_as_it_was() {
        let source = CredentialSource::TokenCommand("pass show x".into());
        let mut server = Server::new_single(
            "https://web01:2087",
            "root",
            None,
            Method::Get,
            source,
            Limits::default(),
            false,
        )
        .unwrap();
        server.ca_file = Some("/etc/ca.pem".into());
        server.logins[0].domains = vec!["example.com".into()];
        let fleet = Fleet { servers: vec![server], protect: Protect::new(["abuse@*"]).unwrap() };
        let json = serde_json::to_string(&fleet).unwrap();
        assert!(json.contains(r#""protect":["abuse@*"]"#) && json.contains(r#""rate":"10/s""#), "{json}");
        assert_eq!(serde_json::from_str::<Fleet>(&json).unwrap(), fleet);
    }
}
