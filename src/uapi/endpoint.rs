//! Where a server is spoken to, and by what it is known to be the right one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::{Deserialize, Serialize};

use super::pin::Pin;

/// The interface that a server offers at its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// One account's, by UAPI.
    Cpanel,
    /// A whole server's.
    Whm,
}

impl FromStr for Api {
    type Err = String;

    fn from_str(text: &str) -> Result<Api, String> {
        match text {
            "cpanel" => Ok(Api::Cpanel),
            "whm" => Ok(Api::Whm),
            _ => Err("it is cpanel or whm".to_owned()),
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Api::Cpanel => "cpanel",
            Api::Whm => "whm",
        })
    }
}

/// A server as a transport has to know it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Scheme, host and port. The host is also the TLS name and the `Host` header.
    pub base: Url,
    /// Which of the vendor's interfaces answers there.
    pub api: Api,
    /// Which certificate is its own.
    pub trust: Trust,
    /// Another address to connect to; see [`ConnectTo`] for how it is written.
    pub connect_to: Option<String>,
}

impl Endpoint {
    /// A server at its own address, with a certificate that this machine trusts.
    pub fn new(base: Url, api: Api) -> Endpoint {
        Endpoint { base, api, trust: Trust::default(), connect_to: None }
    }
}

/// Which certificate a server must show. By default one that this machine's store vouches for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The text of a PEM file with one or more CA certificates; then these alone are trusted.
    pub ca_pem: Option<Vec<u8>>,
    /// The server's own key. It proves the server by itself: issuer, name and dates of the
    /// certificate no longer count, and `ca_pem` is not looked at.
    pub pin_sha256: Option<Pin>,
}

/// An address to connect to in place of the URL's: a host name, an IPv4 address or an IPv6 address
/// in brackets, each with or without `:PORT`. Without, the URL's port is used. An IPv6 address
/// without a port may also stand without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    /// Looked up when a connection is made, as the system does it.
    Name(String),
}

impl FromStr for ConnectTo {
    type Err = String;

    fn from_str(text: &str) -> Result<ConnectTo, String> {
        let wrong = || {
            format!("“{text}” is not HOST, HOST:PORT, ADDRESS:PORT or [IPV6]:PORT, such as 192.0.2.7:2087")
        };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(ConnectTo { host: Host::Address(address), port: None });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
                let address = address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':').ok_or_else(wrong)?),
                };
                (Host::Address(address.into()), port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                (host_of(host).ok_or_else(wrong)?, port)
            }
        };
        let port = port.map(|port| match port.parse::<u16>() {
            // `parse` would also take a plus sign.
            Ok(number) if number != 0 && port.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
            _ => Err(wrong()),
        });
        Ok(ConnectTo { host, port: port.transpose()? })
    }
}

fn host_of(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address));
    }
    let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && text.split('.').enumerate().all(|(i, label)| !label.is_empty() || (i > 0 && text.ends_with('.')))
        // What ends in a number is a mistyped address: no top-level domain does.
        && !text.trim_end_matches('.').rsplit('.').next()?.bytes().all(|b| b.is_ascii_digit());
    is_name.then(|| Host::Name(text.to_owned()))
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Host::Address(address) => write!(f, "{address}")?,
            Host::Name(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl ConnectTo {
    /// The port, if it is another than the URL's.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether a URL's host can be led there. A host that is an address is never looked up, so it
    /// cannot, unless it is the very same.
    pub(super) fn fits(&self, base: &Url) -> bool {
        let host = base.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => self.host == Host::Address(address),
            Err(_) => true,
        }
    }
}

/// Every name leads to the one place. The port comes from the URL: if it names one, that counts.
impl Resolve for ConnectTo {
    fn resolve(&self, _name: Name) -> Resolving {
        match &self.host {
            Host::Address(address) => {
                let there = SocketAddr::new(*address, 0);
                Box::pin(std::future::ready(Ok(Box::new(std::iter::once(there)) as Addrs)))
            }
            Host::Name(name) => {
                let name = name.clone();
                Box::pin(async move {
                    match tokio::net::lookup_host((name.as_str(), 0)).await {
                        Ok(found) => Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs),
                        Err(fault) => Err(format!("connect_to {name} is not found: {fault}").into()),
                    }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_to_connect_to_is_read_in_all_its_forms() {
        for (text, port) in [
            ("origin.example.net:2087", Some(2087)),
            ("origin.example.net.", None),
            ("localhost", None),
            ("192.0.2.7:65535", Some(65535)),
            ("192.0.2.7", None),
            ("[2001:db8::7]:2083", Some(2083)),
            ("[2001:db8::7]", None),
        ] {
            let read: ConnectTo = text.parse().unwrap();
            assert_eq!((read.port(), read.to_string().as_str()), (port, text));
        }
        assert_eq!("2001:db8::7".parse::<ConnectTo>().unwrap().to_string(), "[2001:db8::7]");
        for text in [
            "",
            ":2087",
            "host:",
            "host:0",
            "host:+1",
            "host:65536",
            "host:a",
            "https://host",
            "host/x",
            "a..b",
            ".",
            ".a",
            "a b",
            "user@host",
            "192.0.2.700",
            "192.0.2:1",
            "[192.0.2.7]:1",
            "[2001:db8::7]2083",
            "[2001:db8::7",
            "[2001:db8::7]:",
        ] {
            let error = text.parse::<ConnectTo>().unwrap_err();
            assert!(error.contains("192.0.2.7:2087"), "{text}: {error}");
        }
    }

    #[test]
    fn a_url_that_is_an_address_itself_cannot_be_led_elsewhere() {
        let fits = |to: &str, base: &str| to.parse::<ConnectTo>().unwrap().fits(&base.parse().unwrap());
        assert!(fits("192.0.2.7", "https://web01.example.net"));
        assert!(fits("192.0.2.7:9", "https://192.0.2.7:2087"));
        assert!(fits("[2001:db8::7]:9", "https://[2001:db8::7]"));
        assert!(!fits("192.0.2.8", "https://192.0.2.7"));
        assert!(!fits("web01.example.net", "https://[2001:db8::7]"));
    }

    #[test]
    fn the_api_is_written_as_it_is_read() {
        for api in [Api::Cpanel, Api::Whm] {
            assert_eq!(api.to_string().parse(), Ok(api));
            assert_eq!(serde_json::to_string(&api).unwrap(), format!("\"{api}\""));
        }
        assert!("WHM".parse::<Api>().unwrap_err().contains("cpanel or whm"));
    }
}
