//! A server's key, as an operator writes it down.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate's public key (its `SubjectPublicKeyInfo`, in DER). It stays the
/// same when a certificate is renewed with the same key.
///
/// Read from 64 hexadecimal digits or 44 characters of base64, either with or without `sha256//`
/// before it; written as `sha256//` and base64, as curl's `--pinnedpubkey` has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin([u8; 32]);

const PREFIX: &str = "sha256//";

impl Pin {
    /// The pin of a public key.
    pub fn of(subject_public_key_info: &[u8]) -> Pin {
        Pin(Sha256::digest(subject_public_key_info).into())
    }
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Pin, String> {
        let text = text.trim();
        let bare = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = match bare.len() {
            64 => from_hex(bare),
            44 => BASE64_STANDARD.decode(bare).ok(),
            _ => None,
        };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Pin).ok_or_else(|| {
            "not the SHA-256 of a public key: write it as 64 hexadecimal digits or as sha256// and 44 characters \
             of base64"
                .to_owned()
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    // Two hexadecimal digits are at most 255.
    Some(digits?.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

impl TryFrom<String> for Pin {
    type Error = String;

    fn try_from(text: String) -> Result<Pin, String> {
        text.parse()
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> String {
        pin.to_string()
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn a_pin_is_read_from_hex_and_base64_and_written_as_base64() {
        let pin = Pin::of(b"abc");
        for text in [
            HEX.to_owned(),
            HEX.to_uppercase(),
            BASE64.to_owned(),
            format!("sha256//{BASE64}"),
            format!("sha256//{HEX}"),
            format!(" {HEX}\n"),
        ] {
            assert_eq!(text.parse(), Ok(pin), "{text}");
        }
        assert_eq!(pin.to_string(), format!("sha256//{BASE64}"));
        assert_eq!(format!("{pin:?}"), pin.to_string());
        let json = serde_json::to_string(&pin).unwrap();
        assert_eq!(serde_json::from_str::<Pin>(&json).unwrap(), pin);
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for text in [
            "",
            "sha256//",
            &HEX[1..],
            &format!("{HEX}0"),
            &HEX.replace('b', "g"),
            &BASE64[1..],
            &BASE64.replace('+', "-"),
            &BASE64.replace('=', "A"),
            &"é".repeat(32),
            &"é".repeat(22),
            &format!("sha1//{BASE64}"),
        ] {
            assert!(text.parse::<Pin>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Pin>("\"x\"").is_err());
    }
}
