//! Faults before any answer.

use super::tls;
use super::transport::Verdict;
use crate::domain::{ErrorClass, clean};

/// A fault before any answer. Only a fault in making the connection is sure to have had no effect.
pub fn from_fault(fault: reqwest::Error) -> Verdict {
    let fault = fault.without_url();
    let error = chain(&fault);
    match (fault.is_connect(), fault.is_timeout()) {
        (true, true) => Verdict::NotSent { class: ErrorClass::Timeout, error, lasting: false },
        (true, false) => match tls_fault(&fault) {
            Some(error) => Verdict::NotSent { class: ErrorClass::Tls, error, lasting: true },
            None => Verdict::NotSent { class: ErrorClass::Connect, error, lasting: false },
        },
        (false, true) => Verdict::Open { class: ErrorClass::Timeout, error: "no answer in time".into() },
        (false, false) => Verdict::Open { class: ErrorClass::Connect, error },
    }
}

/// What TLS itself found wrong, if it did. `source()` alone does not lead there: the error is
/// wrapped in I/O errors, each of which has to be opened.
fn tls_fault(fault: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(fault);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(clean(&tls::in_words(tls)));
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inside.map(|e| e as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// An error with its causes on one line; a cause that only repeats the one before is left out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let said = clean(&error.to_string());
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        next = error.source();
    }
    text
}
