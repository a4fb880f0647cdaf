//! Whether an input names a mailbox: answered by its rows alone, without making a job of them.

use std::io::{self, Read};

use sha2::Sha256;

use super::InputError;
use super::layout::Layout;
use super::options::InputOptions;
use super::read::{Hashing, hex};
use super::scan::ReadError;
use super::source::Source;
use crate::domain::{Mailbox, normalise};

/// What [`mentions`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mentions {
    /// Whether a row has the mailbox.
    pub found: bool,
    /// SHA-256 of the input, byte for byte, in hexadecimal.
    pub sha256: String,
}

/// Looks for a mailbox in an input, read to its end: that it is not there says something only if the
/// input is the one that is meant.
///
/// # Errors
/// It cannot be read, or its columns or rows cannot be told.
pub fn mentions(source: &Source, options: &InputOptions, mailbox: &Mailbox) -> Result<Mentions, InputError> {
    use sha2::Digest;
    let name = source.name();
    let failed = |error: io::Error| InputError::stopped(name, ReadError::Io(error));
    let layout = Layout::detect(source, options)?.unwrap_or_else(Layout::empty);
    let mut input = Hashing { input: source.open().map_err(failed)?, hash: Sha256::new() };
    let found = has(&layout, &mut input, mailbox).map_err(|error| InputError::stopped(name, error))?;
    io::copy(&mut input, &mut io::sink()).map_err(failed)?;
    Ok(Mentions { found, sha256: hex(&input.hash.finalize()) })
}

fn has(layout: &Layout, input: impl Read, mailbox: &Mailbox) -> Result<bool, ReadError> {
    let mut rows = layout.rows(input);
    let mut address = String::new();
    while let Some(row) = rows.next()? {
        address.clear();
        if normalise(row.email_cell(), &mut address).is_ok() && address == mailbox.as_str() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::read;

    #[test]
    fn an_input_names_a_mailbox_however_it_is_spelled_and_its_hash_is_of_all_of_it() {
        let text =
            "channel;mailbox;action\nlogin;ben@example.com;suspend\nlogin; Änna@Bücher.example ;suspend\n";
        let source = Source::bytes(text);
        let options = InputOptions::default();
        let sha256 = read(&source, &options).unwrap().sha256;
        for (address, found) in [
            ("ben@example.com", true),
            ("Ben@Example.com", true),
            ("änna@xn--bcher-kva.example", true),
            ("en@example.com", false),
            ("ben@example.co", false),
        ] {
            let mailbox = Mailbox::parse(address).unwrap();
            let expected = Mentions { found, sha256: sha256.clone() };
            assert_eq!(mentions(&source, &options, &mailbox).unwrap(), expected, "{address}");
        }
        let nobody = Mailbox::parse("a@example.com").unwrap();
        assert!(!mentions(&Source::bytes(""), &options, &nobody).unwrap().found);
    }
}
