//! Asking servers which domains they have, before a run or to see whether all is well with them: side
//! by side, each at its own rate.
//!
//! What a server is asked here counts for its rate and proves its credentials, so the lane that opens
//! later takes both over ([`Known`]). The first request with each credential goes alone; a refusal
//! or a certificate that does not fit halts the server, and nothing more goes there. A silent server
//! may not keep the others waiting: each is given [`PATIENCE`] from one good answer to the next.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures::{StreamExt, future, stream};
use tokio::time::Instant;

use super::lane::LONGEST_PAUSE;
use super::limiter::Limiter;
use super::limits::Limits;
use super::retry::{Step, Tries};
use super::spec::Known;
use crate::domain::ErrorClass;
use crate::uapi::{Certificate, Found, Question, Reader, Token, Verdict};

/// A server without a good answer for so long is silent.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What one server is to be asked.
pub struct Inquiry<'a> {
    /// Its limits.
    pub limits: &'a Limits,
    /// What is left of its rate.
    pub limiter: Limiter,
    /// One for each credential, in the order of the lane's doors.
    pub logins: Vec<Login<'a>>,
    /// The domains to ask for one by one, where a server does not give them all at once.
    pub domains: &'a [String],
    /// The mailboxes of which to ask how many messages are held.
    pub held: &'a [Held<'a>],
}

/// A mailbox of which to ask how many messages are held.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// By which credential.
    pub door: usize,
    /// Its account.
    pub account: &'a str,
    /// The mailbox.
    pub mailbox: &'a str,
}

/// What is asked by one credential.
pub struct Login<'a> {
    /// The way to ask.
    pub reader: &'a dyn Reader,
    /// [`Question::DomainInfo`] or [`Question::MailDomains`]; `None` asks nothing.
    pub question: Option<Question<'a>>,
    /// Whether to ask for the account's tokens too.
    pub wants_tokens: bool,
}

/// What came of it.
pub struct Told {
    /// For the lane that opens next.
    pub known: Known,
    /// What each credential brought.
    pub lists: Vec<Listed>,
    /// The tokens of each credential's account, or why they are not told; `None` where they were not
    /// asked for, or the credential was not taken.
    pub tokens: Vec<Option<Result<Vec<Token>, Silence>>>,
    /// How many messages are held of each mailbox that was asked about; `None` where the server does
    /// not tell.
    pub held: Vec<Option<u64>>,
    /// The place of the credential that the server refused, if it did.
    pub refused: Option<usize>,
    /// Requests made.
    pub requests: u32,
    /// How long it took.
    pub took: Duration,
    /// How long the first good answer took by itself, the connection to the server included.
    pub round_trip: Option<Duration>,
    /// The first certificate that the server showed, where certificates are wanted of the readers.
    pub certificate: Option<Certificate>,
}

/// What one credential brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Listed {
    /// It was not asked.
    NotAsked,
    /// The domains and their accounts: all there are, or all of those that were asked for.
    Domains(Vec<(String, String)>),
    /// No list.
    Silent {
        /// Why.
        class: ErrorClass,
        /// Why, for people.
        error: String,
    },
}

/// Asks all servers side by side. `seed` is what the jitter is drawn from.
pub async fn ask(inquiries: Vec<Inquiry<'_>>, seed: u64) -> Vec<Told> {
    let asking = inquiries.into_iter().zip(seed..).map(|(inquiry, seed)| ask_one(inquiry, seed));
    future::join_all(asking).await
}

async fn ask_one(inquiry: Inquiry<'_>, seed: u64) -> Told {
    let begun = Instant::now();
    let asker = Asker {
        limits: inquiry.limits,
        limiter: inquiry.limiter,
        random: RefCell::new(fastrand::Rng::with_seed(seed)),
        good_answers: Cell::new(0),
        requests: Cell::new(0),
        waited_since: Cell::new(begun),
        halted: RefCell::new(None),
        round_trip: Cell::new(None),
        certificate: RefCell::new(None),
    };
    let mut known = Known::default();
    let mut lists = Vec::new();
    let mut refused = None;
    for (door, login) in inquiry.logins.iter().enumerate() {
        let Some(question) = login.question else {
            lists.push(Listed::NotAsked);
            continue;
        };
        let before = asker.good_answers.get();
        let list = asker.list(login.reader, question, inquiry.domains).await;
        if asker.good_answers.get() > before {
            known.proven.insert(door);
        }
        if matches!(list, Listed::Silent { class: ErrorClass::Auth, .. }) {
            refused = refused.or(Some(door));
        }
        lists.push(list);
    }
    // After all lists: a server that refuses no more than this has told what counts.
    let mut tokens = Vec::new();
    for (door, login) in inquiry.logins.iter().enumerate() {
        let is_wanted = login.wants_tokens && known.proven.contains(&door);
        tokens.push(if is_wanted { Some(asker.tokens(login.reader).await) } else { None });
    }
    let mut held = Vec::new();
    for question in inquiry.held {
        let reader = inquiry.logins[question.door].reader;
        held.push(asker.held(reader, question).await);
        if held.last().is_some_and(Option::is_some) {
            known.proven.insert(question.door);
        }
    }
    let Asker { limiter, good_answers, requests, halted, round_trip, certificate, .. } = asker;
    known.good_answers = good_answers.get();
    known.limiter = Some(limiter);
    known.halted = halted.into_inner();
    Told {
        known,
        lists,
        tokens,
        held,
        refused,
        requests: requests.get(),
        took: begun.elapsed(),
        round_trip: round_trip.get(),
        certificate: certificate.into_inner(),
    }
}

/// One server that is being asked.
struct Asker<'a> {
    limits: &'a Limits,
    limiter: Limiter,
    random: RefCell<fastrand::Rng>,
    good_answers: Cell<u64>,
    requests: Cell<u32>,
    /// Since when no good answer has come.
    waited_since: Cell<Instant>,
    halted: RefCell<Option<(ErrorClass, String)>>,
    round_trip: Cell<Option<Duration>>,
    certificate: RefCell<Option<Certificate>>,
}

/// Why there is no answer, also for people.
pub type Silence = (ErrorClass, String);

impl Asker<'_> {
    async fn list(&self, reader: &dyn Reader, question: Question<'_>, domains: &[String]) -> Listed {
        let told = match self.answer(reader, question).await {
            Ok(Found::Domains(list)) => Ok(list),
            Ok(_) => Err((ErrorClass::BadAnswer, "the answer holds no list of domains".to_owned())),
            // A reseller may lack the right to list them, and still learn whose a domain is.
            Err(silence) if question == Question::DomainInfo && !domains.is_empty() && !self.is_halted() => {
                let told = self.owners(reader, domains).await;
                // A refusal of the credential says more than one of the list.
                told.map_err(|later| if self.is_halted() { later } else { silence })
            }
            Err(silence) => Err(silence),
        };
        match told {
            Ok(list) => Listed::Domains(list),
            Err((class, error)) => Listed::Silent { class, error },
        }
    }

    async fn tokens(&self, reader: &dyn Reader) -> Result<Vec<Token>, Silence> {
        match self.answer(reader, Question::Tokens).await? {
            Found::Tokens(list) => Ok(list),
            _ => Err((ErrorClass::BadAnswer, "the answer holds no list of tokens".to_owned())),
        }
    }

    async fn held(&self, reader: &dyn Reader, of: &Held<'_>) -> Option<u64> {
        match self.answer(reader, Question::HeldCount { account: of.account, mailbox: of.mailbox }).await {
            Ok(Found::Count(count)) => Some(count),
            _ => None,
        }
    }

    /// Asks for each domain whose it is.
    async fn owners(
        &self,
        reader: &dyn Reader,
        domains: &[String],
    ) -> Result<Vec<(String, String)>, Silence> {
        let owner = async |domain: &String| match self.answer(reader, Question::DomainOwner(domain)).await? {
            Found::Owner(owner) => Ok(owner.map(|account| (domain.clone(), account))),
            _ => Err((ErrorClass::BadAnswer, "the answer names no owner".to_owned())),
        };
        let Some((first, rest)) = domains.split_first() else { return Ok(Vec::new()) };
        // If the first one is refused, so would be all.
        let mut owners: Vec<_> = owner(first).await?.into_iter().collect();
        let jobs = self.limits.jobs.get() as usize;
        let mut answers = stream::iter(rest).map(owner).buffer_unordered(jobs);
        while let Some(found) = answers.next().await {
            owners.extend(found?);
        }
        Ok(owners)
    }

    fn is_halted(&self) -> bool {
        self.halted.borrow().is_some()
    }

    fn halt(&self, class: ErrorClass, reason: String) -> Silence {
        let mut halted = self.halted.borrow_mut();
        halted.get_or_insert((class, reason)).clone()
    }

    /// Asks until there is an answer, or it is clear that there will be none.
    async fn answer(&self, reader: &dyn Reader, question: Question<'_>) -> Result<Found, Silence> {
        let last = RefCell::new(None);
        loop {
            let until = self.waited_since.get() + PATIENCE;
            let asking = self.try_until_answered(reader, question, &last);
            match tokio::time::timeout_at(until, asking).await {
                Ok(answer) => return answer,
                // Somebody else's question to this server was answered in the meantime.
                Err(_) if self.waited_since.get() + PATIENCE > Instant::now() => {}
                Err(_) => {
                    let (class, error) = last.take().unwrap_or((ErrorClass::Timeout, "no answer".to_owned()));
                    let patience = humantime::format_duration(PATIENCE);
                    let what = subject(question);
                    let reason =
                        format!("asked for its {what}, it gave no good answer in {patience}: {error}");
                    return Err(self.halt(class, reason));
                }
            }
        }
    }

    async fn try_until_answered(
        &self,
        reader: &dyn Reader,
        question: Question<'_>,
        last: &RefCell<Option<Silence>>,
    ) -> Result<Found, Silence> {
        let mut tries = Tries::default();
        loop {
            if let Some(silence) = &*self.halted.borrow() {
                return Err(silence.clone());
            }
            if let Err(free_at) = self.limiter.take() {
                tokio::time::sleep_until(free_at).await;
                continue;
            }
            self.requests.set(self.requests.get() + 1);
            let begun = Instant::now();
            let reading = reader.read(question).await;
            if let Some(shown) = reading.certificate {
                self.certificate.borrow_mut().get_or_insert(shown);
            }
            let verdict = reading.verdict;
            if verdict.is_called_back() {
                self.requests.set(self.requests.get() - 1);
                // Mostly the refusal of another question, which comes next and ends this one too.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let silence = self.halted.borrow().clone();
                return Err(silence.unwrap_or_else(|| (ErrorClass::Interrupted, verdict.into_error())));
            }
            let is_proven = self.good_answers.get() > 0;
            let step =
                tries.step(&verdict, true, self.limits.retries, is_proven, &mut self.random.borrow_mut());
            if let Step::End(..) = step {
                // A «no» in the API's own words is a good answer too: the credential was taken.
                self.good_answers.set(self.good_answers.get() + 1);
                self.round_trip.set(self.round_trip.get().or(Some(begun.elapsed())));
                self.waited_since.set(Instant::now());
            }
            let asked_to_wait = match &verdict {
                Verdict::Throttled { after, .. } => after.map(|after| after.min(LONGEST_PAUSE)),
                _ => None,
            };
            let class = verdict.class();
            let error = verdict.into_error();
            match step {
                Step::End(_, None) => return Ok(reading.found),
                Step::End(_, Some(class)) => return Err((class, error)),
                Step::Halt(class) => {
                    let is_refusal = class == ErrorClass::Auth;
                    let reason = if is_refusal {
                        format!("the server refused the credential: {error}")
                    } else {
                        error
                    };
                    return Err(self.halt(class, reason));
                }
                Step::UsedUp(_, class) if is_proven => return Err((class, error)),
                Step::UsedUp(_, class) => {
                    let (what, made) = (subject(question), tries.made);
                    let reason =
                        format!("asked for its {what}, it gave no good answer in {made} tries: {error}");
                    return Err(self.halt(class, reason));
                }
                Step::Again(wait) => {
                    last.replace(class.map(|class| (class, error)));
                    tokio::time::sleep(asked_to_wait.unwrap_or(wait)).await;
                }
            }
        }
    }
}

/// What a question is about, in a word.
fn subject(question: Question<'_>) -> &'static str {
    match question {
        Question::Tokens => "tokens",
        Question::States { .. } => "mailboxes",
        Question::HeldCount { .. } => "held messages",
        Question::DomainInfo | Question::DomainOwner(_) | Question::MailDomains => "domains",
    }
}

#[cfg(test)]
mod tests;
