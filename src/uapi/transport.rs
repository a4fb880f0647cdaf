//! The seam between deciding and sending: the engine asks a [`Transport`] for one call and gets one
//! [`Answer`]. Tests put a script behind it, the program puts HTTP there. Reading is a trait of its
//! own: whoever holds only a [`Reader`] has no way to change anything.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::batch::Item;
use super::certificate::Certificate;
use crate::domain::{ErrorClass, Function, State};

/// Whatever can make a reading call.
pub trait Reader {
    /// Asks one question, once. Never fails: what goes wrong is a verdict.
    fn read<'a>(&'a self, question: Question<'a>) -> LocalBoxFuture<'a, Reading>;
}

/// Whatever can make a changing call. It can read too, since what is to be changed is read first.
pub trait Transport: Reader {
    /// Calls back what is not sent yet, wherever it waits, and sends nothing more: each such call
    /// ends with a verdict that [says so](Verdict::is_called_back). What was sent is answered as
    /// ever.
    fn halt(&self) {}

    /// Makes one call about one mailbox of one account, once. Never fails: what goes wrong is a
    /// verdict.
    fn call<'a>(
        &'a self,
        account: &'a str,
        function: Function,
        mailbox: &'a str,
    ) -> LocalBoxFuture<'a, Answer>;

    /// Makes several calls in one request, each once and in their order. With an interface for one
    /// account all are about that. Who knows no batches leaves them unanswered.
    fn call_together<'a>(&'a self, items: &'a [Item<'a>]) -> LocalBoxFuture<'a, Together> {
        std::future::ready(Together::unanswered(items.len())).boxed_local()
    }

    /// Ends the open sessions of all mailboxes of one account, once.
    fn end_sessions<'a>(&'a self, account: &'a str) -> LocalBoxFuture<'a, Answer>;
}

/// What can be asked without changing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// Which domains there are and whose they are, a whole server at once: WHM's `get_domain_info`.
    DomainInfo,
    /// Whose this domain is: WHM's `getdomainowner`.
    DomainOwner(&'a str),
    /// Which mail domains the account has: `Email::list_mail_domains`.
    MailDomains,
    /// Which API tokens the account has, and until when: `Tokens::list`.
    Tokens,
    /// The flags of every mailbox of an account: `Email::list_pops_with_disk` with
    /// `get_restrictions=1`, without which it shows none, and `no_disk=1`.
    States {
        /// The account; to cPanel it is known by the credential.
        account: &'a str,
    },
    /// How many messages of a mailbox are held: `Email::get_held_message_count`.
    HeldCount {
        /// The account.
        account: &'a str,
        /// The mailbox.
        mailbox: &'a str,
    },
}

/// What came of one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The HTTP status, where there was an answer at all.
    pub http_status: Option<u16>,
    /// What it means; [`Verdict::Done`] if there is an answer in `found`.
    pub verdict: Verdict,
    /// The answer.
    pub found: Found,
    /// The certificate that the server showed, where it was wanted and there was an answer.
    pub certificate: Option<Certificate>,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Found {
    /// None.
    #[default]
    Nothing,
    /// To [`Question::DomainInfo`] and [`Question::MailDomains`]: domains as mailboxes have them
    /// (lower case, A-labels), each with its account.
    Domains(Vec<(String, String)>),
    /// To [`Question::DomainOwner`]: the account; `None` if the domain is not there or not visible.
    Owner(Option<String>),
    /// To [`Question::Tokens`].
    Tokens(Vec<Token>),
    /// To [`Question::States`]: mailboxes as they are normalised, each with its flags.
    States(Vec<(String, State)>),
    /// To [`Question::HeldCount`].
    Count(u64),
}

/// One API token as the server lists it; never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// When it ends, in seconds since 1970; `None` if it does not.
    pub expires_at: Option<i64>,
}

/// What came of several calls in one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Together {
    /// The HTTP status, where there was an answer at all.
    pub http_status: Option<u16>,
    /// What the answer means; [`Verdict::Done`] if it could be read, whatever it says of the calls.
    pub verdict: Verdict,
    /// For each call what was answered; `None` where nothing was: it may have had effect, unless it
    /// is behind `reached`.
    pub verdicts: Vec<Option<Verdict>>,
    /// How many were run, from the first, if that is known: what comes behind was not.
    pub reached: Option<usize>,
    /// Why the batch as a whole was not carried out, if it says so and answers no single call.
    pub refusal: Option<String>,
}

impl Together {
    /// So many calls of which nothing was heard, for no fault of the server.
    pub fn unanswered(count: usize) -> Together {
        Together {
            http_status: None,
            verdict: Verdict::Done,
            verdicts: vec![None; count],
            reached: Some(0),
            refusal: None,
        }
    }
}

/// What came of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status, where there was an answer at all.
    pub http_status: Option<u16>,
    /// What it means.
    pub verdict: Verdict,
}

/// What an answer, or the lack of one, means for the operation and its server. All text in it is
/// clean, short and free of the credential.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The server accepted the call.
    Done,
    /// The API said no; asking again would not help.
    Rejected {
        /// Why.
        class: ErrorClass,
        /// In the server's words.
        error: String,
    },
    /// The server refused the credential. The call had no effect.
    Refused {
        /// In the server's words.
        error: String,
    },
    /// The server, or something before it, asks for fewer requests. The call had no effect.
    Throttled {
        /// How long it asks us to stay away.
        after: Option<Duration>,
        /// In the server's words.
        error: String,
    },
    /// No request got out, so the call had no effect.
    NotSent {
        /// `connect`, `timeout` or `tls`; `interrupted` if it was called back.
        class: ErrorClass,
        /// What happened.
        error: String,
        /// Whether trying again is pointless: the certificate or the TLS settings do not fit.
        lasting: bool,
    },
    /// A passing fault after the request went out: whether it had effect is open.
    Open {
        /// `connect`, `timeout` or `http`.
        class: ErrorClass,
        /// What happened.
        error: String,
    },
    /// An answer that is not the API's: a login or firewall page, cut-off JSON, a redirect.
    Foreign {
        /// `bad_answer` or `http`.
        class: ErrorClass,
        /// What it looked like.
        error: String,
        /// Whether the call may have had effect all the same.
        open: bool,
    },
}

impl Verdict {
    /// A request that was not sent because there was to be none any more.
    pub fn called_back(error: String) -> Verdict {
        Verdict::NotSent { class: ErrorClass::Interrupted, error, lasting: false }
    }

    /// Whether that is what became of it: then it was no try at all.
    pub fn is_called_back(&self) -> bool {
        matches!(self, Verdict::NotSent { class: ErrorClass::Interrupted, .. })
    }

    /// The class of what went wrong; `None` if nothing did.
    pub fn class(&self) -> Option<ErrorClass> {
        match self {
            Verdict::Done => None,
            Verdict::Refused { .. } => Some(ErrorClass::Auth),
            Verdict::Throttled { .. } => Some(ErrorClass::Throttled),
            Verdict::Rejected { class, .. }
            | Verdict::NotSent { class, .. }
            | Verdict::Open { class, .. }
            | Verdict::Foreign { class, .. } => Some(*class),
        }
    }

    /// Whether the call may have had effect without an answer that says so.
    pub fn is_open(&self) -> bool {
        matches!(self, Verdict::Open { .. } | Verdict::Foreign { open: true, .. })
    }

    /// The words for it; empty if nothing went wrong.
    pub fn into_error(self) -> String {
        match self {
            Verdict::Done => String::new(),
            Verdict::Rejected { error, .. }
            | Verdict::Refused { error }
            | Verdict::Throttled { error, .. }
            | Verdict::NotSent { error, .. }
            | Verdict::Open { error, .. }
            | Verdict::Foreign { error, .. } => error,
        }
    }
}
