//! Servers that are asked, in virtual time.

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
            logins: vec![Login { reader: server, question: Some(Question::DomainInfo), wants_tokens: false }],
            domains,
            held: &[],
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
    let halts: Vec<_> = told.iter().map(|told| told.known.halted.as_ref().map(|(class, _)| *class)).collect();
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
    let inquiry = Inquiry { limits: &limits, limiter, logins: logins.collect(), domains: &[], held: &[] };
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
    let logins = [Script::of([bad(no)]), Script::of([bad(Verdict::Refused { error: "HTTP 401".into() })])];
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
