//! How a sandbox is told to misbehave.
//!
//! Two ways, and the first that applies is taken. A [`Rule`] says exactly which request meets which
//! [`Fault`]: what a test needs. A share gives each kind of fault a percentage of the requests: what
//! a drill needs. What is drawn for a request depends on the seed, on what the request asks and on
//! how often that was asked before, and not on what else is in flight: the same seed meets the same
//! operation with the same fate, whatever the concurrency.

use std::time::Duration;

use super::asked::Call;

/// One way of misbehaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers well, but so much later.
    Delay(Duration),
    /// Resets the connection, without effect.
    ResetBefore,
    /// Resets the connection when the effect is there.
    ResetAfter,
    /// Has its effect, and sends half of the answer.
    CutJson(Cut),
    /// Answers 200 with the HTML of a login page, without effect.
    LoginPage,
    /// Answers with this HTTP status. 403 comes in the recorded form, a 3xx leads to a host that
    /// does not exist. What is no HTTP status is sent as 500.
    Status {
        /// From 200 to 999.
        code: u16,
        /// The `Retry-After` header: seconds or a date. Left out if it cannot be in a header.
        retry_after: Option<String>,
        /// Whether the call is carried out before.
        effect_first: bool,
    },
    /// Answers 302 with this `Location`, without effect.
    Redirect(String),
    /// Answers 200 with `status` 0 and this as its error, without effect. A function of WHM itself
    /// has `result` 0 in its metadata, and this as the reason.
    ApiFailure(String),
    /// Says that all is well, without effect.
    NoEffect,
    /// Never answers, without effect.
    Hang,
    /// Sends exactly these bytes, status line and all, and closes. Without effect.
    Raw(Vec<u8>),
    /// Answers 500 with a page that repeats the `Authorization` header. Without effect.
    EchoAuthorization,
    /// Closes the listener and all connections, until [`Sandbox::set_dead`](super::Sandbox::set_dead)
    /// says otherwise. Without effect.
    Dead,
}

/// How an answer is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The length of the whole is announced, and the connection closes halfway: HTTP shows it.
    Length,
    /// Half of it in chunks that end as they should: only who reads the JSON can tell.
    Chunked,
}

/// What a sandbox does besides answering well. Nothing, by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// Asked in order; the first that applies is taken.
    pub rules: Vec<Rule>,
    /// For each of these faults, how many per cent of the requests that met no rule. Together at
    /// most 100; what is over has no effect.
    pub shares: Vec<(Fault, f64)>,
    /// A bad credential is answered with 403 in the recorded form, and not with 401.
    pub refuse_with_403: bool,
}

/// Which requests meet a fault: all, until narrowed.
///
/// Faults of the API itself ([`Fault::ApiFailure`], [`Fault::NoEffect`]) meet the single commands of
/// a batch; all others meet the batch as a whole if any of its commands is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) fault: Fault,
    pub(super) function: Option<String>,
    pub(super) email: Option<String>,
    pub(super) account: Option<String>,
    pub(super) first: u64,
    pub(super) times: u64,
}

impl Rule {
    /// Every request meets the fault.
    pub fn new(fault: Fault) -> Rule {
        Rule { fault, function: None, email: None, account: None, first: 1, times: u64::MAX }
    }

    /// Only calls of this function: such as `suspend_login`, by whichever way it is called, or one of
    /// WHM's, such as `uapi_cpanel` for all that comes through it, or `get_domain_info`.
    pub fn function(mut self, name: &str) -> Rule {
        self.function = Some(name.to_owned());
        self
    }

    /// Only calls whose address contains this.
    pub fn email(mut self, part: &str) -> Rule {
        self.email = Some(part.to_ascii_lowercase());
        self
    }

    /// Only calls through WHM that name this account.
    pub fn account(mut self, user: &str) -> Rule {
        self.account = Some(user.to_owned());
        self
    }

    /// Only the `n`-th of the matching requests, counted from 1.
    pub fn nth(mut self, n: u64) -> Rule {
        (self.first, self.times) = (n.max(1), 1);
        self
    }

    /// Only the first of them.
    pub fn once(self) -> Rule {
        self.times(1)
    }

    /// Only so many of them, from the first, or from the one that [`Rule::nth`] named.
    pub fn times(mut self, n: u64) -> Rule {
        self.times = n;
        self
    }

    pub(super) fn covers(&self, count: u64) -> bool {
        count >= self.first && count - self.first < self.times
    }

    pub(super) fn matches(&self, call: &Call) -> bool {
        let function = |name: &str| name == call.function || Some(name) == call.way.command();
        let email = |part: &str| call.email().is_some_and(|e| e.to_ascii_lowercase().contains(part));
        self.function.as_deref().is_none_or(function)
            && self.email.as_deref().is_none_or(email)
            && (self.account.is_none() || self.account == call.account)
    }
}

impl Script {
    /// A script of these rules alone.
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Script {
        Script { rules: rules.into_iter().collect(), ..Script::default() }
    }
}

impl Fault {
    /// A status without effect and without `Retry-After`.
    pub fn status(code: u16) -> Fault {
        Fault::Status { code, retry_after: None, effect_first: false }
    }

    /// A status with `Retry-After`, without effect.
    pub fn retry_after(code: u16, value: impl ToString) -> Fault {
        Fault::Status { code, retry_after: Some(value.to_string()), effect_first: false }
    }

    /// A status that comes after the effect.
    pub fn status_after(code: u16) -> Fault {
        Fault::Status { code, retry_after: None, effect_first: true }
    }

    /// The word for it in a script's text and in the request log.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::Delay(_) => "delay",
            Fault::ResetBefore => "reset-before",
            Fault::ResetAfter => "reset-after",
            Fault::CutJson(Cut::Length) => "cut-json",
            Fault::CutJson(Cut::Chunked) => "cut-chunked",
            Fault::LoginPage => "login-page",
            Fault::Status { .. } => "status",
            Fault::Redirect(_) => "redirect",
            Fault::ApiFailure(_) => "api-failure",
            Fault::NoEffect => "no-effect",
            Fault::Hang => "hang",
            Fault::Raw(_) => "raw",
            Fault::EchoAuthorization => "echo",
            Fault::Dead => "dead",
        }
    }

    /// Whether it is the API that misbehaves, and not the way to it.
    pub(super) fn is_the_apis(&self) -> bool {
        matches!(self, Fault::ApiFailure(_) | Fault::NoEffect)
    }
}
