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

use super::lane::{Known, LONGEST_PAUSE};
use super::limiter::Limiter;
use super::limits::Limits;
use super::retry::{Step, Tries};
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
    let Asker { limiter, good_answers, requests, halted, round_trip, certificate, .. } = asker;
    known.good_answers = good_answers.get();
    known.limiter = Some(limiter);
    known.halted = halted.into_inner();
    Told {
        known,
        lists,
        tokens,
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
    if question == Question::Tokens { "tokens" } else { "domains" }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures::FutureExt;
    use futures::future::LocalBoxFuture;

    use super::*;
    use crate::uapi::Reading;

    /// A server that answers in order, each answer after a time; the last one for ever.
    struct Script {
        answers: RefCell<VecDeque<(Duration, Verdict, Found)>>,
        asked: RefCell<Vec<(Instant, String)>>,
    }

    impl Script {
        fn of(answers: impl IntoIterator<Item = (Duration, Verdict, Found)>) -> Script {
            Script { answers: RefCell::new(answers.into_iter().collect()), asked: RefCell::default() }
        }

        fn asked(&self) -> usize {
            self.asked.borrow().len()
        }
    }

    impl Reader for Script {
        fn read<'a>(&'a self, question: Question<'a>) -> LocalBoxFuture<'a, Reading> {
            self.asked.borrow_mut().push((Instant::now(), format!("{question:?}")));
            let mut answers = self.answers.borrow_mut();
            let next = answers.pop_front().unwrap();
            if answers.is_empty() {
                answers.push_back(next.clone());
            }
            async move {
                let (takes, verdict, found) = next;
                tokio::time::sleep(takes).await;
                Reading { http_status: None, verdict, found, certificate: None }
            }
            .boxed_local()
        }
    }

    const QUICK: Duration = Duration::from_millis(80);

    fn domains() -> (Duration, Verdict, Found) {
        let list = vec![("example.com".to_owned(), "exampleu".to_owned())];
        (QUICK, Verdict::Done, Found::Domains(list))
    }

    fn bad(verdict: Verdict) -> (Duration, Verdict, Found) {
        (QUICK, verdict, Found::Nothing)
    }

    fn no_connection() -> Verdict {
        Verdict::NotSent { class: ErrorClass::Connect, error: "refused".into(), lasting: false }
    }

    fn inquiry<'a>(servers: &'a [Script], limits: &'a Limits, domains: &'a [String]) -> Vec<Inquiry<'a>> {
        servers
            .iter()
            .map(|server| Inquiry {
                limits,
                limiter: Limiter::new(limits),
                logins: vec![Login {
                    reader: server,
                    question: Some(Question::DomainInfo),
                    wants_tokens: false,
                }],
                domains,
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn silent_servers_cost_the_others_half_a_minute_at_most_and_are_halted_with_a_reason() {
        let hour = Duration::from_secs(3600);
        let tls = Verdict::NotSent { class: ErrorClass::Tls, error: "expired".into(), lasting: true };
        let servers = [
            Script::of([domains()]),
            Script::of([bad(no_connection())]),
            Script::of([bad(Verdict::Refused { error: "HTTP 401".into() })]),
            Script::of([bad(tls)]),
            Script::of([(hour, Verdict::Done, Found::Nothing)]),
            Script::of([bad(no_connection()), bad(no_connection()), domains()]),
        ];
        let begun = Instant::now();
        let told = ask(inquiry(&servers, &Limits::default(), &[]), 1).await;
        assert!(begun.elapsed() <= PATIENCE + QUICK, "{:?}", begun.elapsed());
        let halts: Vec<_> =
            told.iter().map(|told| told.known.halted.as_ref().map(|(class, _)| *class)).collect();
        let (auth, connect) = (Some(ErrorClass::Auth), Some(ErrorClass::Connect));
        assert_eq!(halts, [None, connect, auth, Some(ErrorClass::Tls), Some(ErrorClass::Timeout), None]);
        assert_eq!((servers[2].asked(), servers[3].asked()), (1, 1), "nothing after a refusal");
        assert!(matches!(&told[5].lists[..], [Listed::Domains(list)] if list.len() == 1));
        assert!(told[0].known.proven.contains(&0) && !told[2].known.proven.contains(&0));
        assert_eq!(told[5].requests, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_list_is_refused_each_domain_is_asked_for_at_the_servers_rate() {
        let no = Verdict::Rejected { class: ErrorClass::NotPermitted, error: "Access denied".into() };
        let mut answers = vec![bad(no)];
        answers.extend((0..40).map(|n| {
            let owner = (n % 2 == 0).then(|| format!("user{n}"));
            (QUICK, Verdict::Done, Found::Owner(owner))
        }));
        let server = [Script::of(answers)];
        let domains: Vec<String> = (0..40).map(|n| format!("d{n}.example")).collect();
        let limits = Limits::default();
        let told = ask(inquiry(&server, &limits, &domains), 1).await;
        let Listed::Domains(list) = &told[0].lists[0] else { panic!("{:?}", told[0].lists) };
        assert_eq!(list.len(), 20);
        assert!(told[0].known.halted.is_none());
        let asked = server[0].asked.borrow();
        for window in asked.windows(13) {
            let took = window[12].0 - window[0].0;
            assert!(took >= Duration::from_secs(1), "13 in {took:?} at 10/s with a burst of 2");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_list_without_the_right_to_ask_for_owners_is_silence_but_no_halt() {
        let no = || Verdict::Rejected { class: ErrorClass::NotPermitted, error: "Access denied".into() };
        let server = [Script::of([bad(no())])];
        let told = ask(inquiry(&server, &Limits::default(), &["example.com".to_owned()]), 1).await;
        let silent = Listed::Silent { class: ErrorClass::NotPermitted, error: "Access denied".into() };
        assert_eq!(told[0].lists, [silent]);
        assert!(told[0].known.halted.is_none());
        assert_eq!(server[0].asked(), 2, "the second question shows that the others are of no use");
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_that_is_refused_while_owners_are_asked_for_is_told_as_refused() {
        let no = Verdict::Rejected { class: ErrorClass::NotPermitted, error: "Access denied".into() };
        let server = [Script::of([bad(no), bad(Verdict::Refused { error: "HTTP 401".into() })])];
        let told = ask(inquiry(&server, &Limits::default(), &["example.com".to_owned()]), 1).await;
        assert_eq!(told[0].refused, Some(0), "it is to be remembered");
        assert!(matches!(told[0].lists[..], [Listed::Silent { class: ErrorClass::Auth, .. }]));
        assert!(told[0].known.halted.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_called_back_by_another_ones_refusal_leaves_the_word_to_it() {
        let no = Verdict::Rejected { class: ErrorClass::NotPermitted, error: "Access denied".into() };
        let owner = (QUICK, Verdict::Done, Found::Owner(None));
        let refusal = (2 * QUICK, Verdict::Refused { error: "HTTP 401".into() }, Found::Nothing);
        let server = [Script::of([bad(no), owner, refusal, bad(Verdict::called_back(String::new()))])];
        let limits = Limits { rate: "none".parse().unwrap(), ..Limits::default() };
        let domains: Vec<String> = (0..4).map(|n| format!("d{n}.example")).collect();
        let told = ask(inquiry(&server, &limits, &domains), 1).await;
        assert_eq!(told[0].refused, Some(0));
        assert_eq!((server[0].asked(), told[0].requests), (5, 3), "what was not sent is not counted");
        // A server that was halted before is not waited for.
        let server = [Script::of([bad(Verdict::called_back("halted".into()))])];
        let told = ask(inquiry(&server, &limits, &[]), 1).await;
        let silent = Listed::Silent { class: ErrorClass::Interrupted, error: "halted".into() };
        assert_eq!((&told[0].lists[..], told[0].requests), (&[silent][..], 0));
        assert!(told[0].took < PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_server_asks_for_is_kept() {
        let slow_down = Verdict::Throttled { after: Some(Duration::from_secs(7)), error: "slow down".into() };
        let server = [Script::of([bad(slow_down), domains()])];
        let told = ask(inquiry(&server, &Limits::default(), &[]), 1).await;
        assert!(matches!(told[0].lists[..], [Listed::Domains(_)]));
        assert!(told[0].took >= Duration::from_secs(7));
    }

    /// A server that is asked by two cPanel credentials, and for their tokens.
    async fn asked_for_tokens(logins: &[Script]) -> Told {
        let limits = Limits::default();
        let question = Some(Question::MailDomains);
        let logins = logins.iter().map(|reader| Login { reader, question, wants_tokens: true });
        let limiter = Limiter::new(&limits);
        let inquiry = Inquiry { limits: &limits, limiter, logins: logins.collect(), domains: &[] };
        ask(vec![inquiry], 1).await.swap_remove(0)
    }

    fn tokens() -> (Duration, Verdict, Found) {
        let token = Token { name: "sweep".to_owned(), expires_at: Some(5) };
        (Duration::from_secs(2), Verdict::Done, Found::Tokens(vec![token]))
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_asked_for_after_all_lists_and_the_first_good_answer_is_timed() {
        let slow = Duration::from_secs(3);
        let refused = bad(Verdict::Throttled { after: None, error: "wait".into() });
        let logins = [
            Script::of([(slow, refused.1, refused.2), domains(), tokens()]),
            Script::of([domains(), bad(Verdict::Refused { error: "HTTP 403".into() })]),
        ];
        let told = asked_for_tokens(&logins).await;
        assert_eq!(told.round_trip, Some(QUICK), "of the answer alone, not of the tries before it");
        assert!(matches!(&told.tokens[0], Some(Ok(list)) if list[0].name == "sweep"));
        assert!(matches!(&told.tokens[1], Some(Err((ErrorClass::Auth, _)))));
        assert_eq!(told.refused, None, "both credentials were taken before");
        assert!(matches!(told.known.halted, Some((ErrorClass::Auth, _))));
        assert!(logins[1].asked.borrow()[0].0 < logins[0].asked.borrow()[2].0);
        assert_eq!(told.requests, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_nobody_is_asked_for_tokens() {
        let no = Verdict::Rejected { class: ErrorClass::Api, error: "no".into() };
        let logins =
            [Script::of([bad(no)]), Script::of([bad(Verdict::Refused { error: "HTTP 401".into() })])];
        let told = asked_for_tokens(&logins).await;
        assert!(matches!(told.tokens[..], [Some(Err((ErrorClass::Auth, _))), None]), "{:?}", told.tokens);
        assert_eq!((logins[0].asked(), logins[1].asked(), told.refused), (1, 1, Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_not_given_stays_untold_where_there_is_no_domain_to_ask_for() {
        let no = Verdict::Rejected { class: ErrorClass::NotPermitted, error: "Access denied".into() };
        let server = [Script::of([bad(no)])];
        let told = ask(inquiry(&server, &Limits::default(), &[]), 1).await;
        assert!(matches!(told[0].lists[..], [Listed::Silent { class: ErrorClass::NotPermitted, .. }]));
        assert!(told[0].known.proven.contains(&0), "a no in the API's words proves the credential");
    }
}
