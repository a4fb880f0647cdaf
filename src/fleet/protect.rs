//! Mailboxes that are never touched, whatever a job says.

use serde::{Deserialize, Serialize};

use crate::domain::{AddressFault, Mailbox};

/// Patterns of addresses that no call is made for. Written as the list of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Protect {
    patterns: Vec<Pattern>,
}

/// An address in which `*` stands for any text, also for none; all else is literal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    written: String,
    /// In the form that addresses are normalised to.
    normal: String,
}

/// Why a text is no pattern of addresses. Does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// No `@`.
    #[error(
        "has no @: write *@example.com for all mailboxes of a domain, or postmaster@* for one of every domain"
    )]
    NoAt,
    /// `bü*@…` is fine, `…@bü*` is not: what it stands for has another form.
    #[error("has a * in a domain's part with letters beyond a to z: write that part in its xn-- form")]
    Wild,
    /// It could match nothing.
    #[error("can match no address: {0}")]
    Address(#[from] AddressFault),
}

impl Protect {
    /// Takes the patterns, in the order in which they are tried.
    ///
    /// # Errors
    /// What is wrong with the first that is none.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Protect, PatternFault> {
        let mut protect = Protect::default();
        patterns.into_iter().try_for_each(|pattern| protect.add(pattern))?;
        Ok(protect)
    }

    /// Takes one more pattern.
    ///
    /// # Errors
    /// Why it is none.
    pub fn add(&mut self, pattern: &str) -> Result<(), PatternFault> {
        self.patterns.push(Pattern::new(pattern)?);
        Ok(())
    }

    /// The first pattern, as it was written, that the normalised address fits; `None` if the mailbox
    /// is free.
    pub fn matches(&self, address: &str) -> Option<&str> {
        if self.patterns.is_empty() {
            return None;
        }
        let address = lower(address);
        let fits = |pattern: &&Pattern| fits(pattern.normal.as_bytes(), address.as_bytes());
        self.patterns.iter().find(fits).map(|pattern| pattern.written.as_str())
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.written.as_str())
    }

    /// Whether nothing is protected.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

impl From<Protect> for Vec<String> {
    fn from(protect: Protect) -> Vec<String> {
        protect.patterns.into_iter().map(|pattern| pattern.written).collect()
    }
}

impl TryFrom<Vec<String>> for Protect {
    type Error = PatternFault;

    fn try_from(patterns: Vec<String>) -> Result<Protect, PatternFault> {
        Protect::new(patterns.iter().map(String::as_str))
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern, PatternFault> {
        let written = text.trim();
        let (local, domain) = written.split_once('@').ok_or(PatternFault::NoAt)?;
        if domain.contains('@') {
            return Err(AddressFault::ManyAt.into());
        }
        if local.is_empty() {
            return Err(AddressFault::EmptyLocal.into());
        }
        // What is literal must be able to stand in an address.
        let literal = local.replace('*', "");
        let literal = if literal.is_empty() { "x" } else { &literal };
        Mailbox::parse(&format!("{literal}@example.com"))?;
        let mut normal = lower(local);
        normal.push('@');
        if domain.contains('*') {
            // Part by part: those without a * have their one form all the same.
            for (n, part) in domain.split('.').enumerate() {
                if n > 0 {
                    normal.push('.');
                }
                normal.push_str(&domain_part(part)?);
            }
        } else {
            normal.push_str(Mailbox::parse(&format!("x@{domain}"))?.domain());
        }
        Ok(Pattern { written: written.to_owned(), normal })
    }
}

/// Character by character, as addresses are normalised: a whole text has a final sigma of its own.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn domain_part(part: &str) -> Result<String, PatternFault> {
    if !part.contains('*') {
        return Ok(Mailbox::parse(&format!("x@{part}"))?.domain().to_owned());
    }
    if !part.is_ascii() {
        return Err(PatternFault::Wild);
    }
    let is_sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'-' | b'_');
    if !part.bytes().all(is_sound) {
        return Err(AddressFault::BadDomain.into());
    }
    Ok(part.to_ascii_lowercase())
}

/// Whether the text is what the pattern stands for. Goes back to the last `*` alone, so that no
/// pattern takes longer than its length times the text's.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last *, and up to where in the text it reaches.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                None => return false,
                Some((behind, reach)) => {
                    (p, t) = (behind, reach + 1);
                    star = Some((p, t));
                }
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hits(pattern: &str, address: &str) -> bool {
        Protect::new([pattern]).unwrap().matches(address).is_some()
    }

    #[test]
    fn a_star_stands_for_any_text_and_the_rest_for_itself() {
        for (pattern, address) in [
            ("postmaster@*", "postmaster@example.com"),
            ("Postmaster@*", "postmaster@example.com"),
            ("postmaster@*", "PostMaster@Example.com"),
            ("*@example.com", "anna@example.com"),
            ("*@EXAMPLE.com", "anna@example.com"),
            ("*@*.example.com", "anna@shop.example.com"),
            ("a*b*c@*", "aXXbYYbZZc@example.com"),
            ("a*@example.*", "a@example.org"),
            ("*@*", "a@b"),
            ("***@**", "a@b"),
            ("anna@bücher.example", "anna@xn--bcher-kva.example"),
            ("*@*.Bücher.example", "anna@shop.xn--bcher-kva.example"),
            ("ΝΙΚΟΣ@example.com", Mailbox::parse("ΝΙΚΟΣ@example.com").unwrap().as_str()),
            ("*@xn--*", "anna@xn--bcher-kva.example"),
            ("o'neil+x@example.com", "o'neil+x@example.com"),
        ] {
            assert!(hits(pattern, address), "{pattern} {address}");
        }
        for (pattern, address) in [
            ("postmaster@*", "postmaster2@example.com"),
            ("postmaster@*", "xpostmaster@example.com"),
            ("*@example.com", "anna@example.com.example.org"),
            ("*@example.com", "anna@examplexcom"),
            ("*@example.com", "anna@xexample.com"),
            ("*@*.example.com", "anna@example.com"),
            ("a*b*c@*", "aXXbYY@example.com"),
            ("a.b@example.com", "axb@example.com"),
            ("*@[a-z].example", "a@b.example"),
        ] {
            assert!(
                !Protect::new([pattern]).is_ok_and(|p| p.matches(address).is_some()),
                "{pattern} {address}"
            );
        }
    }

    #[test]
    fn the_first_pattern_that_fits_is_named_as_it_was_written() {
        let protect = Protect::new(["abuse@*", " Anna@Bücher.example ", "*@*.example"]).unwrap();
        assert_eq!(protect.matches("anna@xn--bcher-kva.example"), Some("Anna@Bücher.example"));
        assert_eq!(protect.matches("bea@example.com"), None);
        assert_eq!(Protect::default().matches("bea@example.com"), None);
        assert!(!protect.is_empty() && Protect::default().is_empty());
        assert_eq!(protect.patterns().count(), 3);
    }

    #[test]
    fn what_can_match_nothing_is_no_pattern() {
        for (pattern, why) in [
            ("", "no @"),
            ("example.com", "no @: write *@example.com"),
            ("*", "no @"),
            ("@example.com", "before the @"),
            ("a@b@*", "more than one @"),
            ("a b@*", "blank"),
            ("<a@*>", "brackets"),
            ("*@", "empty part"),
            ("*@*..com", "empty part"),
            ("*@*.exa/mple", "not a valid one"),
            ("*@exa/mple*", "not a valid one"),
            ("*@bü*.example", "xn--"),
            ("a\u{202e}b@*", "control"),
        ] {
            let fault = Protect::new([pattern]).unwrap_err().to_string();
            assert!(fault.contains(why), "{pattern}: {fault}");
        }
    }

    #[test]
    fn patterns_are_kept_as_a_list_and_checked_when_read() {
        let protect = Protect::new(["abuse@*", "*@example.com"]).unwrap();
        let json = serde_json::to_string(&protect).unwrap();
        assert_eq!(json, r#"["abuse@*","*@example.com"]"#);
        assert_eq!(serde_json::from_str::<Protect>(&json).unwrap(), protect);
        assert!(serde_json::from_str::<Protect>(r#"["example.com"]"#).is_err());
    }

    /// The meaning of a pattern, as plainly as it can be said.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', p)), _) => (0..=text.len()).any(|n| plainly(p, &text[n..])),
            (Some((byte, p)), Some((first, t))) => byte == first && plainly(p, t),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn fitting_is_what_the_plain_meaning_says(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), plainly(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn every_address_fits_itself_and_no_text_panics(text in ".{0,30}", address in "[a-zÀ-ÿ+]{1,8}@[a-zß-ÿ]{1,8}\\.com") {
            let _ = Protect::new([text.as_str()]).map(|p| p.matches(&text).is_some());
            if let Ok(mailbox) = Mailbox::parse(&address) {
                prop_assert!(hits(&address, mailbox.as_str()), "{}", address);
            }
        }
    }
}
