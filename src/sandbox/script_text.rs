//! A script as it is typed: `reset-after=2%,429:5=5%,delay:3s=10%`.
//!
//! Items are `KIND[:DETAIL]=N%`, separated by commas. Kinds are the words of [`Fault::word`], or an
//! HTTP status, with `-after` behind it if the call is to have its effect first. The detail is the
//! duration of `delay` (2 s without it), the seconds of `Retry-After` behind a status, and the text
//! of `api-failure`. `refuse=403` alone has no percentage.

use std::str::FromStr;
use std::time::Duration;

use super::script::{Cut, Fault, Script};
use crate::domain::{clean, clip};

/// Why a text is not a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("“{item}”: {why}")]
pub struct ScriptError {
    item: String,
    why: String,
}

const KINDS: &str = "delay[:TIME], reset-before, reset-after, cut-json, cut-chunked, login-page, \
    api-failure[:TEXT], no-effect, hang, echo, dead, an HTTP status from 300 on (such as 429, 429:SECONDS or \
    500-after), refuse=403";
const DELAY: Duration = Duration::from_secs(2);

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Script, ScriptError> {
        let mut script = Script::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let fail = |why: String| ScriptError { item: clip(&clean(item), 80), why };
            let (kind, share) = item.split_once('=').ok_or_else(|| {
                fail(format!(
                    "has no share: write it as KIND=N%, as in reset-after=2%; the kinds are {KINDS}"
                ))
            })?;
            match (kind.trim(), share.trim()) {
                ("refuse", "403") => script.refuse_with_403 = true,
                ("refuse", "401") => script.refuse_with_403 = false,
                ("refuse", _) => return Err(fail("refuse is 401 or 403".to_owned())),
                (kind, share) => {
                    let fault = fault(kind).map_err(fail)?;
                    script.shares.push((fault, percent(share).map_err(fail)?));
                }
            }
            let sum: f64 = script.shares.iter().map(|(_, percent)| percent).sum();
            if sum > 100.0 {
                return Err(fail(format!("with it the shares come to {sum}%, which is more than 100%")));
            }
        }
        Ok(script)
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').ok_or("the share needs a percent sign, as in 2%")?;
    match number.trim_end().parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("the share is a number from 0% to 100%".to_owned()),
    }
}

fn fault(text: &str) -> Result<Fault, String> {
    let (kind, detail) = match text.split_once(':') {
        Some((kind, detail)) => (kind.trim_end(), Some(detail.trim_start())),
        None => (text, None),
    };
    let fault = match (kind, detail) {
        ("delay", None) => Fault::Delay(DELAY),
        ("delay", Some(time)) => Fault::Delay(
            humantime::parse_duration(time)
                .map_err(|_| "the delay is a time such as 500ms or 3s".to_owned())?,
        ),
        ("api-failure", text) => {
            Fault::ApiFailure(text.unwrap_or("The sandbox was told to fail.").to_owned())
        }
        (kind, detail) if kind.starts_with(|c: char| c.is_ascii_digit()) => return status(kind, detail),
        (kind, None) => plain(kind).ok_or_else(|| unknown(kind))?,
        (kind, Some(_)) if plain(kind).is_some() => return Err(format!("nothing goes behind {kind}:")),
        (kind, Some(_)) => return Err(unknown(kind)),
    };
    Ok(fault)
}

fn plain(kind: &str) -> Option<Fault> {
    Some(match kind {
        "reset-before" => Fault::ResetBefore,
        "reset-after" => Fault::ResetAfter,
        "cut-json" => Fault::CutJson(Cut::Length),
        "cut-chunked" => Fault::CutJson(Cut::Chunked),
        "login-page" => Fault::LoginPage,
        "no-effect" => Fault::NoEffect,
        "hang" => Fault::Hang,
        "echo" => Fault::EchoAuthorization,
        "dead" => Fault::Dead,
        _ => return None,
    })
}

fn unknown(kind: &str) -> String {
    format!("“{}” is not one of {KINDS}", clip(&clean(kind), 40))
}

fn status(kind: &str, detail: Option<&str>) -> Result<Fault, String> {
    let (digits, effect_first) = match kind.strip_suffix("-after") {
        Some(digits) => (digits, true),
        None => (kind, false),
    };
    let code = match digits.parse::<u16>() {
        Ok(code) if (300..=599).contains(&code) => code,
        _ => return Err(unknown(kind)),
    };
    let retry_after = match detail.map(str::parse::<u32>) {
        None => None,
        Some(Ok(seconds)) => Some(seconds.to_string()),
        Some(Err(_)) => return Err("behind a status go the seconds of Retry-After, as in 429:30".to_owned()),
    };
    Ok(Fault::Status { code, retry_after, effect_first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(text: &str) -> Vec<(Fault, f64)> {
        text.parse::<Script>().unwrap_or_else(|e| panic!("{e}")).shares
    }

    #[test]
    fn every_kind_can_be_typed() {
        assert_eq!(
            shares("reset-after=2%,429=5%,cut-json=1%, 500-after=1% ,login-page=0.5%,delay=10%,"),
            [
                (Fault::ResetAfter, 2.0),
                (Fault::status(429), 5.0),
                (Fault::CutJson(Cut::Length), 1.0),
                (Fault::status_after(500), 1.0),
                (Fault::LoginPage, 0.5),
                (Fault::Delay(DELAY), 10.0),
            ]
        );
        assert_eq!(
            shares("delay:500ms=1%,503:30=1%,api-failure:No: not now=1%,cut-chunked=1%"),
            [
                (Fault::Delay(Duration::from_millis(500)), 1.0),
                (Fault::retry_after(503, 30), 1.0),
                (Fault::ApiFailure("No: not now".into()), 1.0),
                (Fault::CutJson(Cut::Chunked), 1.0),
            ]
        );
        for word in ["reset-before", "no-effect", "hang", "echo", "dead"] {
            assert_eq!(shares(&format!("{word}=1%"))[0].0.word(), word);
        }
        assert!("refuse=403".parse::<Script>().unwrap().refuse_with_403);
        assert_eq!("".parse::<Script>().unwrap(), Script::default());
    }

    #[test]
    fn an_error_names_the_item_and_what_would_be_right() {
        for (text, says) in [
            ("hang=1%,reset=2%", "“reset=2%”: “reset” is not one of delay[:TIME], reset-before"),
            ("429", "KIND=N%"),
            ("429=5", "percent sign"),
            ("429=x%", "from 0% to 100%"),
            ("429=-1%", "from 0% to 100%"),
            ("429=NaN%", "from 0% to 100%"),
            ("429:soon=1%", "Retry-After"),
            ("42=1%", "is not one of"),
            ("200=1%", "is not one of"),
            ("delay:fast=1%", "such as 500ms"),
            ("hang:5=1%", "nothing goes behind hang"),
            ("429=60%,503=41%", "“503=41%”: with it the shares come to 101%"),
            ("refuse=404", "401 or 403"),
        ] {
            let error = text.parse::<Script>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
