//! Deciding whether a server is the right one, before anything is said to it.

use std::fmt;
use std::sync::{Arc, Once};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};

use super::certificate::complaint;
use super::endpoint::Trust;
use super::http::SetupError;
use super::pin::Pin;

/// The one crypto provider of the process; a second call changes nothing.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the embedding program has chosen one already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// The TLS settings for a server: HTTP/1.1, TLS 1.2 or 1.3, and the certificate as `trust` says.
///
/// # Errors
/// If the CA file has no certificate, or the machine's store cannot be used.
pub fn settings(trust: &Trust) -> Result<ClientConfig, SetupError> {
    install_crypto();
    let provider = CryptoProvider::get_default().expect("it was installed").clone();
    let rule = match (trust.pin_sha256, &trust.ca_pem) {
        (Some(pin), _) => Rule::Key(pin),
        (None, Some(pem)) => {
            let roots = Arc::new(roots(pem)?);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            Rule::Chain(chain.map_err(|e| SetupError::Ca(e.to_string()))?)
        }
        (None, None) => {
            let store = rustls_platform_verifier::Verifier::new(provider.clone()).map_err(|e| {
                SetupError::Client(format!(
                    "{e}: this machine's store of trusted certificates cannot be used (install ca-certificates, or \
                     give a ca_file)"
                ))
            })?;
            Rule::Chain(Arc::new(store))
        }
    };
    let verifier = Verifier { rule, provider: provider.clone() };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| SetupError::Client(e.to_string()))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut settings = builder.with_no_client_auth();
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(settings)
}

/// The certificates of a PEM text.
fn roots(pem: &[u8]) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| SetupError::Ca(e.to_string()))?;
        roots.add(certificate).map_err(|e| SetupError::Ca(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(SetupError::Ca("it holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(roots)
}

/// How a server is known.
#[derive(Debug)]
enum Rule {
    /// Its certificate leads to one that is trusted, is for its name, and is in force.
    Chain(Arc<dyn ServerCertVerifier>),
    /// It has this key.
    Key(Pin),
}

/// Checks a server's certificate and says in words what is wrong with it. It is asked within the
/// handshake, so no request leaves for a server that it does not accept.
#[derive(Debug)]
struct Verifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = webpki::EndEntityCert::try_from(shown).ok();
        let key = key.map(|certificate| Pin::of(&certificate.subject_public_key_info()));
        let words = match &self.rule {
            Rule::Key(pin) if key == Some(*pin) => return Ok(ServerCertVerified::assertion()),
            Rule::Key(pin) => match key {
                Some(key) => format!(
                    "the server's key is {key}, not {pin} as pin_sha256 says: nothing was sent; if the server was \
                     given a new key, compare it there and change pin_sha256, else somebody stands between"
                ),
                None => {
                    "the server's certificate cannot be read, so its key cannot be compared with pin_sha256"
                        .to_owned()
                }
            },
            Rule::Chain(chain) => match chain.verify_server_cert(shown, between, name, ocsp, now) {
                Err(rustls::Error::InvalidCertificate(fault)) => complaint(&fault, shown, name, key),
                other => return other,
            },
        };
        Err(CertificateError::Other(OtherError(Arc::new(CertificateFault(words)))).into())
    }

    // The signature of the handshake proves that the server has the certificate's key. Without it
    // a pin would prove nothing: certificates are public.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong with a certificate, for an operator.
#[derive(Debug)]
struct CertificateFault(String);

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateFault {}

/// A fault of TLS in words.
pub fn in_words(fault: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, Error, InvalidMessage};
    match fault {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))
            if (inner.as_ref() as &(dyn std::error::Error + 'static)).is::<CertificateFault>() =>
        {
            inner.to_string()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the server does not have the key of the certificate that it shows: somebody may stand between"
                .to_owned()
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("{fault}: no TLS is spoken at this port")
        }
        Error::PeerIncompatible(_)
        | Error::AlertReceived(
            Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
        ) => {
            format!("{fault}: the server and this program have no TLS version (1.2, 1.3) or cipher in common")
        }
        Error::AlertReceived(Alert::UnrecognisedName) => {
            format!("{fault}: the server does not know the name in the URL")
        }
        _ => fault.to_string(),
    }
}
