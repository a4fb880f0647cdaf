//! What a mailbox's address may look like, and its one normal form.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::is_invisible;

/// A normalised mailbox address: blanks trimmed, lower case, the domain in its A-label form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mailbox(String);

impl Mailbox {
    /// Reads and normalises an address.
    ///
    /// # Errors
    /// What makes it an address that no cPanel mailbox can have.
    pub fn parse(text: &str) -> Result<Mailbox, AddressFault> {
        let mut out = String::new();
        normalise(text, &mut out).map(|()| Mailbox(out))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as text of its own.
    pub fn into_string(self) -> String {
        self.0
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a text cannot be the address of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
    /// No `@`.
    #[error("the address has no @")]
    NoAt,
    /// More than one `@`.
    #[error("the address has more than one @")]
    ManyAt,
    /// Blank inside.
    #[error("the address has a blank inside")]
    Blank,
    /// Control or invisible character.
    #[error("the address has a control or invisible character")]
    Control,
    /// A quoted or bracketed form such as `"a b"@x` or `<a@x>`.
    #[error("quotes, brackets and separators are no part of a mailbox address")]
    Quoted,
    /// Nothing before the `@`.
    #[error("nothing stands before the @")]
    EmptyLocal,
    /// Two dots in a row, or one at an end, of the domain.
    #[error("the domain has an empty part")]
    EmptyLabel,
    /// Longer than mail allows: 64 before the `@`, 63 per label, 254 in all (RFC 5321).
    #[error("the address is too long")]
    TooLong,
    /// A domain that cannot be one.
    #[error("the domain is not a valid one")]
    BadDomain,
}

const MAX_LOCAL: usize = 64;
const MAX_LABEL: usize = 63;
const MAX_ADDRESS: usize = 254;

/// Appends the normal form of `text` to `out`, which is unchanged if there is a fault.
///
/// # Errors
/// What makes it an address that no cPanel mailbox can have.
pub fn normalise(text: &str, out: &mut String) -> Result<(), AddressFault> {
    let start = out.len();
    let done = append(text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}'), out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

fn append(text: &str, out: &mut String) -> Result<(), AddressFault> {
    if is_normal(text.as_bytes()) {
        out.push_str(text);
        return Ok(());
    }
    append_with_care(text, out)
}

fn append_with_care(text: &str, out: &mut String) -> Result<(), AddressFault> {
    let start = out.len();
    if text.is_empty() {
        return Err(AddressFault::Empty);
    }
    check_characters(text)?;
    let (local, domain) = text.split_once('@').ok_or(AddressFault::NoAt)?;
    if domain.contains('@') {
        return Err(AddressFault::ManyAt);
    }
    if local.is_empty() {
        return Err(AddressFault::EmptyLocal);
    }
    push_lower(local, out);
    if out.len() - start > MAX_LOCAL {
        return Err(AddressFault::TooLong);
    }
    out.push('@');
    let domain_start = out.len();
    if domain.is_ascii() && !has_a_label(domain) {
        push_lower(domain, out);
    } else {
        out.push_str(&to_a_labels(domain)?);
    }
    check_domain(&out[domain_start..])?;
    if out.len() - start > MAX_ADDRESS { Err(AddressFault::TooLong) } else { Ok(()) }
}

/// Whether the text is plainly its own normal form, as nearly all are: found in one pass, by bytes.
/// It may say no to a normal form, never yes to anything else.
fn is_normal(text: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let Some(at) = text.iter().position(|byte| !plain(byte)) else { return false };
    let (local, domain) = (&text[..at], &text[at + 1..]);
    if text[at] != b'@' || local.is_empty() || at > MAX_LOCAL || text.len() > MAX_ADDRESS {
        return false;
    }
    let mut label = 0;
    let mut before = b'.';
    for &byte in domain {
        let edge =
            matches!(before, b'.' | b'-') && matches!(byte, b'.' | b'-') || before == b'.' && byte == b'x';
        if edge || !plain(&byte) || label > MAX_LABEL {
            return false;
        }
        label = if byte == b'.' { 0 } else { label + 1 };
        before = byte;
    }
    label <= MAX_LABEL && !matches!(before, b'.' | b'-')
}

fn check_characters(text: &str) -> Result<(), AddressFault> {
    for c in text.chars() {
        match c {
            '"' | '\\' | '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' => {
                return Err(AddressFault::Quoted);
            }
            // What a decoder puts where it could not read.
            '\u{fffd}' => return Err(AddressFault::Control),
            ' '..='~' if c != ' ' => {}
            _ if c.is_whitespace() && !c.is_control() => return Err(AddressFault::Blank),
            _ if c.is_control() || is_invisible(c) => return Err(AddressFault::Control),
            _ => {}
        }
    }
    Ok(())
}

fn push_lower(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}

fn has_a_label(domain: &str) -> bool {
    domain.split('.').any(|label| label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--")))
}

/// A domain that is not plain ASCII, in the form that servers use (UTS 46, non-transitional).
fn to_a_labels(domain: &str) -> Result<Cow<'_, str>, AddressFault> {
    if domain.split(['.', '。', '．', '｡']).any(str::is_empty) {
        return Err(AddressFault::EmptyLabel);
    }
    idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::EMPTY)
        .map_err(|_| AddressFault::BadDomain)
}

fn check_domain(domain: &str) -> Result<(), AddressFault> {
    for label in domain.split('.') {
        match label.len() {
            0 => return Err(AddressFault::EmptyLabel),
            n if n > MAX_LABEL => return Err(AddressFault::TooLong),
            _ => {}
        }
        let sound = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !sound || label.starts_with('-') || label.ends_with('-') {
            return Err(AddressFault::BadDomain);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sound_addresses_have_one_normal_form() {
        for (text, normal) in [
            ("a@example.com", "a@example.com"),
            ("  Anna.Maria@EXAMPLE.com\u{a0}", "anna.maria@example.com"),
            ("user+tag@example.com", "user+tag@example.com"),
            ("a@Bücher.example", "a@xn--bcher-kva.example"),
            ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
            ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
            ("a@faß.de", "a@xn--fa-hia.de"),
            ("o'neil@sub_domain.example.com", "o'neil@sub_domain.example.com"),
        ] {
            assert_eq!(Mailbox::parse(text).as_ref().map(Mailbox::as_str), Ok(normal), "{text}");
        }
    }

    #[test]
    fn addresses_that_no_server_can_have_are_faults() {
        use AddressFault::*;
        for (text, fault) in [
            ("", Empty),
            (" \t ", Empty),
            ("example.com", NoAt),
            ("a@b@example.com", ManyAt),
            ("a b@example.com", Blank),
            ("a\u{a0}b@example.com", Blank),
            ("a@exam\u{200b}ple.com", Control),
            ("a\u{0}@example.com", Control),
            ("a\nb@example.com", Control),
            ("\u{fffd}@example.com", Control),
            ("\"a b\"@example.com", Quoted),
            ("\"ab\"@example.com", Quoted),
            ("<a@example.com>", Quoted),
            ("a@example.com,b@example.com", Quoted),
            ("a@[127.0.0.1]", Quoted),
            ("@example.com", EmptyLocal),
            ("a@", EmptyLabel),
            ("a@.example.com", EmptyLabel),
            ("a@example..com", EmptyLabel),
            ("a@example.com.", EmptyLabel),
            ("a@bücher..example", EmptyLabel),
            ("a@-example.com", BadDomain),
            ("a@exa/mple.com", BadDomain),
            ("a@exa%mple.com", BadDomain),
        ] {
            assert_eq!(Mailbox::parse(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn length_is_checked_on_both_sides_of_the_limit() {
        let local = |n| format!("{}@example.com", "a".repeat(n));
        assert!(Mailbox::parse(&local(64)).is_ok());
        assert_eq!(Mailbox::parse(&local(65)), Err(AddressFault::TooLong));
        let label = |n| format!("a@{}.example", "a".repeat(n));
        assert!(Mailbox::parse(&label(63)).is_ok());
        assert_eq!(Mailbox::parse(&label(64)), Err(AddressFault::TooLong));
        let long =
            |n: usize| format!("a@{}{}", "a.".repeat((n - 3) / 2), "a".repeat(n - 2 - (n - 3) / 2 * 2));
        assert_eq!(long(254).len(), 254);
        assert!(Mailbox::parse(&long(254)).is_ok());
        assert_eq!(Mailbox::parse(&long(255)), Err(AddressFault::TooLong));
    }

    proptest! {
        #[test]
        fn normalising_never_panics_and_a_fault_leaves_the_buffer_alone(text in ".{0,80}") {
            let mut out = String::from("before");
            if normalise(&text, &mut out).is_err() {
                prop_assert_eq!(out, "before");
            }
        }

        #[test]
        fn the_short_way_says_yes_to_nothing_that_the_long_way_would_change(
            text in "[a-cxA\\-_.+é]{0,5}@?[a-cxnA\\-_.]{0,8}(\\.[a-z]{1,3})?",
            long in 0..70_usize,
        ) {
            for text in [text.clone(), format!("{}{text}", "a".repeat(long)), format!("{text}{}", "a".repeat(long))] {
                if is_normal(text.as_bytes()) {
                    let mut out = String::new();
                    prop_assert_eq!(append_with_care(&text, &mut out), Ok(()));
                    prop_assert_eq!(out, text);
                }
            }
        }

        #[test]
        fn the_normal_form_is_its_own_normal_form(text in "[a-zA-ZÀ-ÿ0-9.+-]{1,20}@[a-zA-Zß-ÿ0-9-]{1,10}\\.[a-z]{2,5}") {
            if let Ok(once) = Mailbox::parse(&text) {
                prop_assert_eq!(Mailbox::parse(once.as_str()), Ok(once.clone()));
                prop_assert_eq!(format!("{}@{}", once.local(), once.domain()), once.as_str());
            }
        }
    }
}
