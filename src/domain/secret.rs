//! The one type in which a token or password may live.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A token or password. Prints as dots, is wiped from memory when dropped, and is uncovered only
/// where the request's header is made and where it is cut out of foreign text.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the secret in.
    pub fn new(value: String) -> Secret {
        Secret(SecretString::from(value))
    }

    /// The secret itself, for the request's header and nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// `text` with every occurrence of the secret replaced by dots: a server may echo the header it
    /// was sent.
    pub fn redact(&self, text: &str) -> String {
        let secret = self.expose();
        if secret.is_empty() { text.to_owned() } else { text.replace(secret, DOTS) }
    }
}

const DOTS: &str = "•••";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DOTS)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_dots_and_is_cut_out_of_text() {
        let secret = Secret::new("S3CRET".into());
        assert_eq!(format!("{secret} {secret:?}"), "••• •••");
        assert_eq!(secret.redact("cpanel root:S3CRET refused"), "cpanel root:••• refused");
    }
}
