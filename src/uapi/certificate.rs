//! What a server's certificate says, in words for an operator.

use rustls::CertificateError;
use rustls::pki_types::ServerName;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use super::pin::Pin;
use crate::domain::{clean, clip};

/// The certificate that a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Who issued it, such as `R11 (Let's Encrypt)`: common name and organisation.
    pub issuer: String,
    /// Its last second, in seconds since 1970.
    pub not_after: i64,
}

/// Longest name that is kept of a certificate, in characters.
const MAX_NAME_CHARS: usize = 100;

/// So many of a certificate's names are told; some have a hundred.
const MAX_NAMES: usize = 4;

impl Certificate {
    /// Reads a certificate; `None` if it is not one.
    pub(super) fn from_der(der: &[u8]) -> Option<Certificate> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        Some(Certificate { issuer: short(read.issuer()), not_after: read.validity().not_after.timestamp() })
    }
}

/// The common name and the organisation of a name, or all of it if it has neither.
fn short(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|part| part.as_str().ok());
    let organisation = name.iter_organization().next().and_then(|part| part.as_str().ok());
    let text = match (common, organisation) {
        (Some(common), Some(organisation)) if common != organisation => format!("{common} ({organisation})"),
        (Some(one), _) | (None, Some(one)) => one.to_owned(),
        (None, None) => name.to_string(),
    };
    match clean(&text).as_str() {
        "" => "no name".to_owned(),
        text => clip(text, MAX_NAME_CHARS),
    }
}

/// What is wrong with a server's certificate and what to do about it. `asked` is the name in the
/// URL, `pin` the key of the certificate.
pub fn complaint(fault: &CertificateError, der: &[u8], asked: &ServerName<'_>, pin: Option<Pin>) -> String {
    use CertificateError::*;
    let read = X509Certificate::from_der(der).ok().map(|(_, read)| read);
    let (Some(read), Some(pin)) = (read, pin) else {
        return format!("the server's certificate cannot be read: {}", clean(&fault.to_string()));
    };
    let asked = asked.to_str();
    let is_self_signed = read.issuer() == read.subject();
    let or_pin = format!("or set pin_sha256 to its key {pin}, after comparing that with the server's own");
    match fault {
        Expired | ExpiredContext { .. } => {
            let end = date(read.validity().not_after.timestamp());
            format!("the server's certificate expired on {end}: renew it there, {or_pin}")
        }
        NotValidYet | NotValidYetContext { .. } => {
            let start = date(read.validity().not_before.timestamp());
            format!("the server's certificate is valid only from {start}: check the clocks here and there")
        }
        NotValidForName | NotValidForNameContext { .. } => {
            let names = names(&read);
            format!(
                "the server's certificate is for {names}, not for {asked}: write the name it has into the URL \
                 (and connect_to, if that name leads elsewhere), {or_pin}"
            )
        }
        // The tools that make such certificates mark many of them as a CA's, which no server's may be.
        _ if is_self_signed && read.is_ca() => format!(
            "the server's certificate is self-signed and marked as a CA's, so it would not do as ca_file either: \
             have it replaced there, {or_pin}"
        ),
        UnknownIssuer if is_self_signed => {
            format!("the server's certificate is self-signed: give it as ca_file, {or_pin}")
        }
        UnknownIssuer => {
            let issuer = short(read.issuer());
            format!(
                "the server's certificate was issued by {issuer}, which is not trusted here: give that CA as ca_file, \
                 {or_pin}"
            )
        }
        BadSignature => {
            let issuer = short(read.issuer());
            format!(
                "the server's certificate names {issuer} as its issuer but was signed with another key: give the \
                 right ca_file, {or_pin}"
            )
        }
        Revoked => "the server's certificate was revoked by its issuer: have it replaced there".to_owned(),
        other => {
            let why = clean(&other.to_string());
            format!("the server's certificate is not accepted ({why}): have it replaced there, {or_pin}")
        }
    }
}

/// The names that a certificate is for.
fn names(read: &X509Certificate<'_>) -> String {
    let listed = read.subject_alternative_name().ok().flatten();
    let names: Vec<String> = listed
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(clip(&clean(name), MAX_NAME_CHARS)),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    match names.len() {
        0 => "no name at all".to_owned(),
        count if count > MAX_NAMES => {
            format!("{} and {} more names", names[..MAX_NAMES].join(", "), count - MAX_NAMES)
        }
        _ => names.join(", "),
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())).ok()
}

fn date(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => "a day out of all range".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[&str], parts: &[(DnType, &str)]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (part, text) in parts {
            params.distinguished_name.push(part.clone(), *text);
        }
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_tells_its_issuer_in_short_and_its_end() {
        use DnType::{CommonName, CountryName, OrganizationName};
        let long = "x".repeat(200);
        for (parts, issuer) in [
            (&[(OrganizationName, "Let's Encrypt"), (CommonName, "R11")][..], "R11 (Let's Encrypt)"),
            (&[(CommonName, "web01\u{1b}[2J\u{202e}")], "web01 [2J"),
            (&[(OrganizationName, "Ex"), (CommonName, "Ex")], "Ex"),
            (&[(OrganizationName, "Only")], "Only"),
            (&[(CountryName, "AT")], "C=AT"),
            (&[], "no name"),
            (&[(CommonName, &long)], &format!("{}…", "x".repeat(100))),
        ] {
            let read = Certificate::from_der(&certificate(&["a.example"], parts));
            let expected = Certificate { issuer: issuer.to_owned(), not_after: 1_927_843_200 };
            assert_eq!(read, Some(expected));
        }
        assert_eq!(Certificate::from_der(b"no certificate"), None);
    }

    #[test]
    fn of_many_names_a_few_are_told() {
        let asked = ServerName::try_from("web01.example").unwrap();
        let told = |names: &[&str]| {
            let der = certificate(names, &[]);
            complaint(&CertificateError::NotValidForName, &der, &asked, Some(Pin::of(b"")))
        };
        assert!(told(&[]).contains("is for no name at all, not for web01.example:"));
        let some = told(&["a.example", "192.0.2.7", "::1"]);
        assert!(some.contains("is for a.example, 192.0.2.7, ::1, not for web01.example:"), "{some}");
        let many = told(&["a", "b", "c", "d", "e", "f"]);
        assert!(many.contains("is for a, b, c, d and 2 more names, not for"), "{many}");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_a_certificate(at in 0usize..400, byte: u8, junk in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut der = certificate(&["a.example"], &[(DnType::CommonName, "x")]);
            let length = der.len();
            der[at % length] = byte;
            let asked = ServerName::try_from("web01.example").unwrap();
            for bytes in [&der, &junk] {
                Certificate::from_der(bytes);
                let told = complaint(&CertificateError::NotValidForName, bytes, &asked, Some(Pin::of(b"")));
                prop_assert!(!told.chars().any(char::is_control), "{told:?}");
            }
        }
    }
}
