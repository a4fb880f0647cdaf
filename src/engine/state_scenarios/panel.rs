//! A server that keeps the flags of its mailboxes, and behaves as told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::domain::{ErrorClass, Function, State};
use crate::uapi::{Answer, Found, Item, Question, Reader, Reading, Together, Transport, Verdict};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Read,
    Call(Function, String),
    EndSessions,
}

/// A request as it is met.
pub struct Asked<'a> {
    /// How many there were before it, on this server.
    pub number: usize,
    pub account: &'a str,
    pub what: &'a What,
}

impl Asked<'_> {
    /// The mailbox that is called for; empty for everything else.
    pub fn mailbox(&self) -> &str {
        match self.what {
            What::Call(_, mailbox) => mailbox,
            _ => "",
        }
    }

    pub fn is_read(&self) -> bool {
        *self.what == What::Read
    }
}

/// When a call has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Never,
    /// Before anybody could know.
    AtOnce,
    /// With the answer: if the answer is not waited for, not at all.
    WithAnswer,
}

/// What comes of a request.
#[derive(Clone, Debug)]
pub struct Fate {
    pub takes: Duration,
    pub verdict: Verdict,
    pub effect: Effect,
}

pub const QUICK: Duration = Duration::from_millis(80);
pub const TIMEOUT: Duration = Duration::from_secs(60);

impl Fate {
    pub fn of(verdict: Verdict) -> Fate {
        Fate { takes: QUICK, verdict, effect: Effect::Never }
    }

    pub fn done() -> Fate {
        Fate { effect: Effect::AtOnce, ..Fate::of(Verdict::Done) }
    }

    /// The server says that all is well, and does nothing.
    pub fn pretended() -> Fate {
        Fate::of(Verdict::Done)
    }

    pub fn rejected() -> Fate {
        Fate::of(Verdict::Rejected { class: ErrorClass::Api, error: "no".into() })
    }

    pub fn refused() -> Fate {
        Fate::of(Verdict::Refused { error: "HTTP 401".into() })
    }

    pub fn throttled() -> Fate {
        Fate::of(Verdict::Throttled { after: None, error: "slow down".into() })
    }

    pub fn no_connection() -> Fate {
        Fate::of(Verdict::NotSent { class: ErrorClass::Connect, error: "refused".into(), lasting: false })
    }

    pub fn timed_out(effect: Effect) -> Fate {
        let verdict = Verdict::Open { class: ErrorClass::Timeout, error: "no answer".into() };
        Fate { takes: TIMEOUT, verdict, effect }
    }

    pub fn broken(effect: Effect) -> Fate {
        Fate { effect, ..Fate::of(Verdict::Open { class: ErrorClass::Http, error: "HTTP 500".into() }) }
    }

    pub fn login_page() -> Fate {
        Fate::of(Verdict::Foreign { class: ErrorClass::BadAnswer, error: "a page".into(), open: false })
    }
}

/// A request as it was.
#[derive(Clone, Debug)]
pub struct Seen {
    pub account: String,
    pub what: What,
    pub from: Instant,
    /// When the answer came, if one was waited for.
    pub until: Option<Instant>,
    pub verdict: Verdict,
}

impl Seen {
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Done | Verdict::Rejected { .. })
    }
}

type Behaviour = Box<dyn FnMut(&Asked<'_>) -> Fate>;

/// A server. Its mailboxes' accounts are the first parts of their domains. A clone is the same server.
#[derive(Clone)]
pub struct Panel {
    pub name: String,
    /// The mailboxes of each account.
    flags: Rc<RefCell<BTreeMap<String, BTreeMap<String, State>>>>,
    behaviour: Rc<RefCell<Behaviour>>,
    seen: Rc<RefCell<Vec<Seen>>>,
    /// How often a mailbox's queue was sent.
    releases: Rc<RefCell<BTreeMap<String, u32>>>,
}

/// The account of a mailbox, and its server.
pub fn place(mailbox: &str) -> (&str, &str) {
    let domain = mailbox.split('@').nth(1).unwrap();
    let mut parts = domain.split('.');
    (parts.next().unwrap(), parts.next().unwrap())
}

impl Panel {
    /// A server with these mailboxes and their flags, such as `("ann@alfa.web.example", "ynnn")`.
    pub fn new(name: &str, flags: impl IntoIterator<Item = (String, State)>) -> Panel {
        let mut accounts: BTreeMap<String, BTreeMap<String, State>> = BTreeMap::new();
        for (mailbox, state) in flags {
            accounts.entry(place(&mailbox).0.to_owned()).or_default().insert(mailbox, state);
        }
        Panel {
            name: name.to_owned(),
            flags: Rc::new(RefCell::new(accounts)),
            behaviour: Rc::new(RefCell::new(Box::new(|_| Fate::done()))),
            seen: Rc::default(),
            releases: Rc::default(),
        }
    }

    /// The only server, `web`, whose mailboxes are named by their first part and have no flag set.
    pub fn with(mailboxes: &[&str]) -> Panel {
        Panel::new("web", mailboxes.iter().map(|name| (address(name), "nnnn".parse().unwrap())))
    }

    pub fn behaving(self, behaviour: impl FnMut(&Asked<'_>) -> Fate + 'static) -> Panel {
        self.behave(behaviour);
        self
    }

    pub fn behave(&self, behaviour: impl FnMut(&Asked<'_>) -> Fate + 'static) {
        *self.behaviour.borrow_mut() = Box::new(behaviour);
    }

    /// Changes a mailbox, as its owner might.
    pub fn set(&self, mailbox: &str, flags: &str) {
        let mailbox = address(mailbox);
        let account = place(&mailbox).0.to_owned();
        self.flags.borrow_mut().entry(account).or_default().insert(mailbox, flags.parse().unwrap());
    }

    pub fn flags(&self) -> BTreeMap<String, State> {
        self.flags.borrow().values().flatten().map(|(mailbox, state)| (mailbox.clone(), *state)).collect()
    }

    pub fn flags_of(&self, mailbox: &str) -> String {
        let mailbox = address(mailbox);
        self.flags.borrow()[place(&mailbox).0][&mailbox].to_string()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    pub fn releases(&self) -> BTreeMap<String, u32> {
        self.releases.borrow().clone()
    }

    /// What was asked, in order: `read`, `end`, or a function and the first part of a mailbox.
    pub fn asked(&self) -> Vec<String> {
        let words = |seen: &Seen| match &seen.what {
            What::Read => "read".to_owned(),
            What::EndSessions => "end".to_owned(),
            What::Call(function, mailbox) => {
                format!("{} {}", function.uapi_name(), mailbox.split('@').next().unwrap())
            }
        };
        self.seen.borrow().iter().map(words).collect()
    }

    pub fn count(&self, word: &str) -> usize {
        self.asked().iter().filter(|asked| asked.starts_with(word)).count()
    }

    /// The calls that were made.
    pub fn calls(&self) -> usize {
        self.seen.borrow().iter().filter(|seen| matches!(seen.what, What::Call(..))).count()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.seen.borrow_mut().clear();
    }

    fn take_effect(&self, function: Function, mailbox: &str) {
        let target = function.target();
        if function == Function::ReleaseOutgoing {
            *self.releases.borrow_mut().entry(mailbox.to_owned()).or_default() += 1;
        }
        if let Some(state) =
            self.flags.borrow_mut().get_mut(place(mailbox).0).and_then(|own| own.get_mut(mailbox))
        {
            *state = state.with(target.flag, Some(target.on));
        }
    }

    /// What is to come of a request, and its place among those that were seen.
    fn meet(&self, account: &str, what: &What) -> (usize, Fate) {
        let number = self.seen.borrow().len();
        let asked = Asked { number, account, what };
        let mut fate = (self.behaviour.borrow_mut())(&asked);
        if let What::Call(_, mailbox) = what
            && !self.flags.borrow().get(account).is_some_and(|own| own.contains_key(mailbox))
            && fate.verdict == Verdict::Done
        {
            let error = "there is no such mailbox".to_owned();
            fate = Fate::of(Verdict::Rejected { class: ErrorClass::NoSuchMailbox, error });
        }
        let seen = Seen {
            account: account.to_owned(),
            what: what.clone(),
            from: Instant::now(),
            until: None,
            verdict: fate.verdict.clone(),
        };
        self.seen.borrow_mut().push(seen);
        (number, fate)
    }

    fn has_effect(&self, what: &What, fate: &Fate, when: Effect) {
        if let What::Call(function, mailbox) = what
            && fate.effect == when
        {
            self.take_effect(*function, mailbox);
        }
    }

    async fn answer(&self, account: &str, what: What) -> Verdict {
        let (number, fate) = self.meet(account, &what);
        self.has_effect(&what, &fate, Effect::AtOnce);
        tokio::time::sleep(fate.takes).await;
        self.has_effect(&what, &fate, Effect::WithAnswer);
        self.seen.borrow_mut()[number].until = Some(Instant::now());
        fate.verdict
    }

    /// Several calls in one request: the first one's fate is the request's. If that is answered, the
    /// others are run one after the other, up to one that has no answer of its own.
    async fn answer_together(&self, items: &[Item<'_>]) -> Together {
        let whats = items.iter().map(|item| What::Call(item.function, item.mailbox.to_owned()));
        let whats: Vec<What> = whats.collect();
        let met: Vec<(usize, Fate)> =
            items.iter().zip(&whats).map(|(item, what)| self.meet(item.account, what)).collect();
        let is_answered = |fate: &Fate| matches!(fate.verdict, Verdict::Done | Verdict::Rejected { .. });
        let whole = if is_answered(&met[0].1) { Verdict::Done } else { met[0].1.verdict.clone() };
        let run = match whole {
            Verdict::Done => met.iter().take_while(|(_, fate)| is_answered(fate)).count(),
            _ => met.len(),
        };
        let had_effect = |when| {
            let may = whole == Verdict::Done || whole.is_open();
            whats.iter().zip(&met).take(run).filter(|_| may).for_each(|(what, (_, fate))| {
                self.has_effect(what, fate, when);
            });
        };
        had_effect(Effect::AtOnce);
        tokio::time::sleep(met.iter().map(|(_, fate)| fate.takes).max().unwrap_or_default()).await;
        had_effect(Effect::WithAnswer);
        for (place, (number, fate)) in met.iter().enumerate() {
            let seen = &mut self.seen.borrow_mut()[*number];
            seen.until = Some(Instant::now());
            seen.verdict = match &whole {
                Verdict::Done if place < run => fate.verdict.clone(),
                Verdict::Done => Fate::broken(Effect::Never).verdict,
                whole => whole.clone(),
            };
        }
        let verdicts =
            met.iter().enumerate().map(|(place, (_, fate))| (place < run).then(|| fate.verdict.clone()));
        let verdicts = if whole == Verdict::Done { verdicts.collect() } else { vec![None; met.len()] };
        let reached = (whole == Verdict::Done).then_some(run);
        Together { http_status: None, verdict: whole, verdicts, reached, refusal: None }
    }
}

/// The address that a short name stands for: `ann` and `ann@beta` are of the server `web`.
pub fn address(name: &str) -> String {
    match name.split_once('@') {
        None => format!("{name}@alfa.web.example"),
        Some((_, rest)) if rest.contains('.') => name.to_owned(),
        Some(_) => format!("{name}.web.example"),
    }
}

impl Reader for Panel {
    fn read<'b>(&'b self, question: Question<'b>) -> LocalBoxFuture<'b, Reading> {
        let Question::States { account } = question else { unreachable!("nobody asked for {question:?}") };
        async move {
            let verdict = self.answer(account, What::Read).await;
            let flags = self.flags.borrow();
            let own = flags.get(account).into_iter().flatten();
            let found = match verdict {
                Verdict::Done => Found::States(own.map(|(name, state)| (name.clone(), *state)).collect()),
                _ => Found::Nothing,
            };
            let http_status = (verdict == Verdict::Done).then_some(200);
            Reading { http_status, verdict, found, certificate: None }
        }
        .boxed_local()
    }
}

impl Transport for Panel {
    fn call<'b>(
        &'b self,
        account: &'b str,
        function: Function,
        mailbox: &'b str,
    ) -> LocalBoxFuture<'b, Answer> {
        assert_eq!(place(mailbox), (account, self.name.as_str()), "called where it does not belong");
        async move {
            let verdict = self.answer(account, What::Call(function, mailbox.to_owned())).await;
            Answer { http_status: (verdict == Verdict::Done).then_some(200), verdict }
        }
        .boxed_local()
    }

    fn call_together<'b>(&'b self, items: &'b [Item<'b>]) -> LocalBoxFuture<'b, Together> {
        self.answer_together(items).boxed_local()
    }

    fn end_sessions<'b>(&'b self, account: &'b str) -> LocalBoxFuture<'b, Answer> {
        async move {
            let verdict = self.answer(account, What::EndSessions).await;
            Answer { http_status: (verdict == Verdict::Done).then_some(200), verdict }
        }
        .boxed_local()
    }
}
