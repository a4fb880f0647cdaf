//! The one type in which a token or password may live.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A token or password. Prints as dots, is wiped from memory when dropped, and is uncovered only
/// where the request's header is made, where it is cut out of foreign text, and where it is hashed.
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

    /// A hash of the secret and of what it is for, by which it can be known again without being
    /// kept. Nobody without the key can try guesses on it.
    pub fn fingerprint(&self, key: &[u8; 32], purpose: &[&str]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(key);
        // Each part with its length before it, so that no two lists of parts read alike.
        for part in purpose.iter().copied().chain([self.expose()]) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// `text` with every occurrence of the secret replaced by dots: a server may echo the header it
    /// was sent. It is also found where it was wrapped into lines, or written as an address, a page
    /// or JSON have to write it.
    pub fn redact(&self, text: &str) -> String {
        let letters = self.letters();
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((start, length)) = find(&letters, rest) {
            out.push_str(&rest[..start]);
            out.push_str(DOTS);
            rest = &rest[start + length..];
        }
        out.push_str(rest);
        out
    }

    /// Whether [`redact`](Self::redact) would cut something out.
    pub fn is_in(&self, text: &str) -> bool {
        // Asked of every name in a listing. No letter is written with less than a byte.
        text.len() >= self.expose().chars().filter(|c| !c.is_whitespace()).count()
            && find(&self.letters(), text).is_some()
    }

    fn letters(&self) -> Vec<char> {
        self.expose().chars().filter(|c| !c.is_whitespace()).collect()
    }
}

const DOTS: &str = "•••";

/// Where these letters are first spelled, and in how many bytes.
fn find(letters: &[char], text: &str) -> Option<(usize, usize)> {
    let mut buffer = [0; 4];
    let first = letters.first()?.encode_utf8(&mut buffer).as_bytes()[0];
    // However a letter is written, it begins with one of these bytes.
    let begins = |byte: u8| byte == first || matches!(byte, b'%' | b'&' | b'\\');
    let starts = text.bytes().enumerate().filter(|(_, byte)| begins(*byte)).map(|(start, _)| start);
    starts.filter_map(|start| Some((start, length_of(letters, &text[start..])?))).next()
}

/// How many bytes at the start of the text spell these letters, in whatever way; `None` if none do.
fn length_of(letters: &[char], text: &str) -> Option<usize> {
    // A letter can be spelled in several ways, so all places are kept to which the ones so far lead.
    let mut places = spellings(*letters.first()?, text);
    for letter in &letters[1..] {
        let mut next: Vec<usize> = Vec::new();
        for mut at in places {
            loop {
                next.extend(spellings(*letter, &text[at..]).into_iter().map(|length| at + length));
                match gap(&text[at..]) {
                    Some(length) => at += length,
                    None => break,
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        places = next;
    }
    places.last().copied()
}

/// The lengths of all ways to write this letter that the text begins with.
fn spellings(letter: char, text: &str) -> Vec<usize> {
    let mut lengths = Vec::new();
    if text.starts_with(letter) {
        lengths.push(letter.len_utf8());
    }
    match text.as_bytes().first() {
        Some(b'%') => {
            let encoded: String =
                letter.encode_utf8(&mut [0; 4]).bytes().map(|b| format!("%{b:02x}")).collect();
            let begins = text.get(..encoded.len()).is_some_and(|start| start.eq_ignore_ascii_case(&encoded));
            lengths.extend(begins.then_some(encoded.len()));
        }
        Some(b'&') => {
            const LONGEST_ENTITY: usize = 10;
            let end = text.bytes().take(LONGEST_ENTITY).position(|b| b == b';');
            let meant = end.and_then(|end| entity(&text[1..end]));
            lengths.extend(end.filter(|_| meant == Some(letter)).map(|end| end + 1));
        }
        Some(b'\\') => {
            if text[1..].starts_with(letter) {
                lengths.push(1 + letter.len_utf8());
            }
            let hex = text[1..].strip_prefix('u').and_then(|digits| digits.get(..4));
            let meant = hex.and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
            lengths.extend((meant == Some(letter)).then_some(6));
        }
        _ => {}
    }
    lengths
}

/// The character that a page's entity means.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// The length of what may stand between two letters of a text that was wrapped or encoded.
fn gap(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let blanks = ["+", "%20", "%0a", "%0A", "%0d", "%0D", "\\n", "\\r", "&nbsp;"];
    if first.is_whitespace() {
        return Some(first.len_utf8());
    }
    blanks.iter().find(|blank| text.starts_with(**blank)).map(|blank| blank.len())
}

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

    #[test]
    fn a_fingerprint_tells_apart_all_that_makes_it_up() {
        let of = |key: u8, purpose: &[&str], secret: &str| {
            Secret::new(secret.into()).fingerprint(&[key; 32], purpose)
        };
        let one = of(1, &["web01:2083", "anna"], "S3CRET");
        assert_eq!(one, of(1, &["web01:2083", "anna"], "S3CRET"));
        for other in [
            of(2, &["web01:2083", "anna"], "S3CRET"),
            of(1, &["web02:2083", "anna"], "S3CRET"),
            of(1, &["web01:2083", "anna"], "S3CRET2"),
            of(1, &["web01:2083", "annaS"], "3CRET"),
            of(1, &["web01:2083a", "nna"], "S3CRET"),
            of(1, &["web01:2083anna"], "S3CRET"),
        ] {
            assert_ne!(one, other);
        }
        assert!(!one.contains("S3CRET") && one.len() == 64);
    }

    #[test]
    fn a_secret_is_found_in_every_way_of_writing_it() {
        let secret = Secret::new("Pa\"s<w&r>d+/ %41'ß".into());
        for text in [
            "Pa\"s<w&r>d+/ %41'ß",
            "Pa\"s<w\n&r>d+/\t%41 'ß",
            "Pa&quot;s&lt;w&amp;r&gt;d+/ %41&#39;ß",
            "Pa&#34;s&#x3c;w&#38;r&#62;d+/ %41&apos;&#223;",
            "Pa%22s%3Cw%26r%3Ed%2B%2F+%2541%27%C3%9F",
            "pa Pa%22s%3cw%26r%3ed%2b%2f%20%2541%27%c3%9f",
            "Pa\\\"s\\u003cw\\u0026r>d+\\/ %41'\\u00df",
        ] {
            let told = secret.redact(&format!("<{text}> é"));
            assert!(told.ends_with("•••> é") && told.len() < 20, "{told}");
            assert!(secret.is_in(text) && secret.is_in(&format!("<{text}> é")));
        }
        for text in
            ["", "Pa", "Pa\"s<w&r>d+/ %41'", "%", "&", "&;", "\\", "\\u00", "%c3", "&#xffffffff;", "&#1é;"]
        {
            assert_eq!(secret.redact(text), text);
            assert!(!secret.is_in(text), "{text}");
        }
    }
}
