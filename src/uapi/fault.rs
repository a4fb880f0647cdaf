//! Faults before any answer.

use super::gate::CalledBack;
use super::tls;
use super::transport::Verdict;
use crate::domain::{ErrorClass, clean};

/// A fault before any answer. Only a fault in making the connection is sure to have had no effect,
/// and what was called back.
pub fn from_fault(fault: reqwest::Error) -> Verdict {
    let fault = fault.without_url();
    if let Some(called_back) = find::<CalledBack>(&fault) {
        return Verdict::called_back(called_back.to_string());
    }
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

/// What TLS itself found wrong, if it did.
fn tls_fault(fault: &reqwest::Error) -> Option<String> {
    find(fault).map(|tls| clean(&tls::in_words(tls)))
}

/// An error of this type among the causes. `source()` alone does not lead there: what a connection
/// ends with is wrapped in I/O errors, each of which has to be opened.
fn find<E: std::error::Error + 'static>(fault: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(fault);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
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
