//! A certificate of the sandbox's own, and the small authority that signs it.
//!
//! Two and not one: clients refuse a certificate that is its own root. Keys are made anew each time
//! and never leave the process; they are the one thing here that no seed decides.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How a sandbox shows who it is.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who signs; `None` makes an authority for this sandbox alone.
    pub authority: Option<Authority>,
    /// The names and addresses that the certificate is for.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: SystemTime,
    /// Until when.
    pub not_after: SystemTime,
}

impl Default for Tls {
    /// Good for `localhost` and `127.0.0.1`, from yesterday for ninety days.
    fn default() -> Tls {
        let now = SystemTime::now();
        Tls {
            authority: None,
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            not_before: now - DAY,
            not_after: now + 90 * DAY,
        }
    }
}

impl Tls {
    /// A certificate that ends so much from now.
    pub fn ending_in(time: Duration) -> Tls {
        Tls { not_after: SystemTime::now() + time, ..Tls::default() }
    }

    /// A certificate that ended yesterday.
    pub fn expired() -> Tls {
        let tls = Tls::default();
        Tls { not_before: tls.not_before - 90 * DAY, not_after: tls.not_before, ..tls }
    }

    /// A certificate for another name than the one that the sandbox is reached by.
    pub fn for_name(name: &str) -> Tls {
        Tls { names: vec![name.to_owned()], ..Tls::default() }
    }
}

/// An authority that can sign for several sandboxes, so that a client needs to trust one alone.
#[derive(Clone)]
pub struct Authority(Arc<CertifiedIssuer<'static, KeyPair>>);

impl Authority {
    /// A new one, good for ten years around now.
    ///
    /// # Errors
    /// No key could be made.
    pub fn new() -> io::Result<Authority> {
        let now = SystemTime::now();
        let mut params =
            params(Vec::new(), "mailsweep sandbox authority", now - 3650 * DAY, now + 3650 * DAY)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key()?).map_err(io::Error::other)?;
        Ok(Authority(Arc::new(issuer)))
    }

    /// Its certificate, for a client's list of authorities.
    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(…)")
    }
}

/// A certificate ready to serve with, and what a client may want to know of it.
pub(super) struct Shown {
    pub acceptor: TlsAcceptor,
    pub ca_pem: String,
    pub pin_sha256: String,
}

impl Shown {
    pub fn new(tls: Tls) -> io::Result<Shown> {
        let Tls { authority, names, not_before, not_after } = tls;
        let authority = authority.map_or_else(Authority::new, Ok)?;
        let mut params = params(names, "mailsweep sandbox", not_before, not_after)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = key()?;
        let leaf = params.signed_by(&key, &authority.0).map_err(io::Error::other)?;
        let hash = Sha256::digest(key.subject_public_key_info());
        let pin_sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Shown { acceptor, ca_pem: authority.pem(), pin_sha256 })
    }
}

fn key() -> io::Result<KeyPair> {
    KeyPair::generate().map_err(io::Error::other)
}

fn params(
    names: Vec<String>,
    title: &str,
    not_before: SystemTime,
    not_after: SystemTime,
) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, title);
    let start = date_time_ymd(1970, 1, 1);
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (params.not_before, params.not_after) = (start + since(not_before), start + since(not_after));
    Ok(params)
}
