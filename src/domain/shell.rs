//! Commands that the operator can paste: words quoted so that a POSIX shell reads them back as they
//! are.
//!
//! A word of printable text is quoted with `'…'` by shlex. A name may also hold a line break, an
//! escape sequence or bytes that are no text; printed raw these would break the line, or the
//! terminal. Such a word is written as `$'…'` with `\xHH`, which bash, zsh and ksh read (and POSIX
//! since 2024), so that even then the command names the right file.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;

use super::text::is_printable;

/// One word of a command line.
pub fn quote(word: &OsStr) -> Cow<'_, str> {
    match word.to_str() {
        Some(text) if text.chars().all(is_printable) => shlex::try_quote(text).unwrap_or(Cow::Borrowed("''")),
        _ => Cow::Owned(escaped(word.as_encoded_bytes())),
    }
}

/// A whole command line.
pub fn command<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&quote(word.as_ref()));
    }
    out
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                c if is_printable(c) => out.push(c),
                c => escape_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut out),
            }
        }
        escape_bytes(chunk.invalid(), &mut out);
    }
    out.push('\'');
    out
}

fn escape_bytes(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_they_must_be() {
        assert_eq!(command(["mailsweep", "resume", "mailsweep-runs/20260801T120000Z-leak"]), {
            "mailsweep resume mailsweep-runs/20260801T120000Z-leak"
        });
        assert_eq!(quote("my runs/x".as_ref()), "'my runs/x'");
        assert_eq!(quote("".as_ref()), "''");
        assert_eq!(quote("Müller".as_ref()).trim_matches('\''), "Müller");
        assert_eq!(quote("a\nb'c\u{1b}".as_ref()), r"$'a\x0ab\'c\x1b'");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        use std::os::unix::ffi::OsStrExt;
        let words: [&[u8]; 9] = [
            b"plain",
            b"it's",
            b"two  words",
            b"$HOME `id` \"x\" \\ ! * ?",
            b"a\nb\tc\x1b[2J",
            b"caf\xe9 au lait",
            "\u{202e}gnp.exe".as_bytes(),
            b"-n",
            b"~/#x",
        ];
        for word in words {
            let line = format!("printf %s {}", quote(OsStr::from_bytes(word)));
            assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
            let Ok(output) = std::process::Command::new("bash").args(["-c", &line]).output() else {
                return; // No bash here: nothing to ask.
            };
            if word == b"-n" {
                continue; // printf's own business; the quoting adds nothing.
            }
            assert_eq!(output.stdout, word, "{line}");
        }
    }
}
