//! The state is read once more after the calls, and says what they came to.

use std::time::Duration;

use tokio::sync::mpsc;

use super::panel::{Asked, Effect, Fate, Panel, What};
use super::tale::{How, Tale};
use crate::domain::{ErrorClass, Status};
use crate::engine::{Checks, Limits, Signal, Stop};
use crate::record::Phase;

/// What a call gets; readings are answered.
fn calls(mut answer: impl FnMut(&Asked<'_>) -> Fate + 'static) -> impl FnMut(&Asked<'_>) -> Fate + 'static {
    move |asked| if matches!(asked.what, What::Call(..)) { answer(asked) } else { Fate::done() }
}

#[tokio::test(start_paused = true)]
async fn each_account_in_which_a_call_was_made_is_read_once_and_no_other() {
    let panel = Panel::with(&["ann", "ben", "cay@beta", "dan@gamma", "eve@delta"]);
    panel.set("cay@beta", "ynnn");
    let rows = "ann,suspend,all\ncay@beta,suspend,login\nben,suspend,login\ndan@gamma,suspend,login\n\
                gone@delta,suspend,login\n";
    let mut tale = Tale::new(rows);
    tale.play(&panel).await;
    let mut after: Vec<String> = tale
        .readings()
        .into_iter()
        .filter(|(phase, _)| *phase == Phase::After)
        .map(|(_, name)| name)
        .collect();
    after.sort();
    assert_eq!(after, ["alfa", "gamma"], "nothing was done in beta, and delta said no to all");
    assert_eq!(panel.count("read"), 4 + 2);
    let verified: Vec<_> = tale.standings().iter().map(|standing| standing.verified).collect();
    assert_eq!(verified, [Some(true), Some(true), Some(true), Some(true), Some(true), Some(true), None]);
}

#[tokio::test(start_paused = true)]
async fn the_reading_comes_after_the_accounts_last_operation_however_long_that_takes() {
    let panel = Panel::with(&["ann", "ben"]).behaving(calls(|asked| match asked.mailbox() {
        mailbox if mailbox.starts_with("ann") && asked.number < 6 => Fate::throttled(),
        _ => Fate::done(),
    }));
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "ok"]);
    assert_eq!(panel.asked().last().unwrap(), "read");
    assert_eq!(tale.readings_after(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_accepted_and_did_nothing_is_found_out() {
    let panel = Panel::with(&["ann", "ben"]).behaving(calls(|asked| {
        if asked.mailbox().starts_with("ann") { Fate::pretended() } else { Fate::done() }
    }));
    let mut tale = Tale::new("ann,suspend,outgoing\nben,suspend,outgoing");
    let told = tale.play(&panel).await;
    assert_eq!(tale.ends(), ["failed/not_applied", "ok"]);
    assert_eq!(tale.states(0), ("active".into(), Some(false), "active".into()));
    assert_eq!(tale.states(1), ("active".into(), Some(true), "suspended".into()));
    assert_eq!(told.finished[&0], [Status::Ok, Status::Failed], "told, and then corrected");
    assert_eq!(told.finished[&1], [Status::Ok]);
}

#[tokio::test(start_paused = true)]
async fn without_verifying_nothing_is_read_afterwards() {
    let panel = Panel::with(&["ann"]).behaving(calls(|_| Fate::pretended()));
    let mut tale = Tale::new("ann,suspend,login");
    tale.session(&[&panel], How::checks(Checks { after: false, ..Checks::default() })).await;
    assert_eq!(panel.asked(), ["read", "suspend_login ann"]);
    assert_eq!(tale.ends(), ["ok"]);
    assert_eq!(tale.states(0), ("active".into(), None, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_after_the_effect_ends_ok_and_one_without_ends_failed() {
    // The connection is never good for ann's call; ben's has its effect at the first try.
    for effect in [Effect::AtOnce, Effect::WithAnswer] {
        let panel = Panel::with(&["ann", "ben", "cay"]).behaving(calls(move |asked| match asked.mailbox() {
            mailbox if mailbox.starts_with("ann") => Fate::broken(Effect::Never),
            mailbox if mailbox.starts_with("ben") => Fate::broken(effect),
            _ => Fate::done(),
        }));
        let mut tale = Tale::new("ann,suspend,login\nben,suspend,login\ncay,suspend,login");
        let told = tale.play(&panel).await;
        assert_eq!(tale.ends(), ["failed/http", "ok", "ok"]);
        assert_eq!(tale.states(0), ("active".into(), Some(false), "active".into()));
        assert_eq!(tale.states(1), ("active".into(), Some(true), "suspended".into()));
        assert_eq!(told.finished[&1], [Status::Unknown, Status::Ok]);
        assert_eq!(panel.count("suspend_login ben"), 5, "it is tried again until the tries are used up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_out_after_the_effect_and_then_a_no_is_settled_by_the_reading_too() {
    let panel = Panel::with(&["ann", "ben"]).behaving(calls(|asked| {
        let is_ann = asked.mailbox().starts_with("ann");
        match asked.number {
            1 | 2 => Fate::timed_out(if is_ann { Effect::AtOnce } else { Effect::Never }),
            _ => Fate::rejected(),
        }
    }));
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login");
    let told = tale.session(&[&panel], How::default()).await;
    assert_eq!(tale.ends(), ["ok", "failed/api"], "ann's first try had its effect");
    assert_eq!(tale.states(0).1, Some(true));
    assert_eq!(told.finished[&0], [Status::Failed, Status::Ok]);
}

#[tokio::test(start_paused = true)]
async fn what_a_reading_cannot_settle_stays_unknown() {
    // The reading fails, or does not tell this flag.
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::Read if asked.number > 0 => Fate::rejected(),
        What::Read => Fate::done(),
        _ => Fate::broken(Effect::AtOnce),
    });
    let mut tale = Tale::new("ann,suspend,login");
    let told = tale.play(&panel).await;
    assert_eq!(tale.ends(), ["unknown/http"]);
    assert_eq!(tale.states(0), ("active".into(), None, String::new()));
    assert_eq!(told.warnings, ["alfa: what the calls came to cannot be read"]);

    let panel = Panel::with(&["ann"]);
    let same = panel.clone();
    panel.behave(calls(move |_| {
        same.set("ann", "?nnn");
        Fate::broken(Effect::Never)
    }));
    let mut tale = Tale::new("ann,suspend,login");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["unknown/http"]);
}

#[tokio::test(start_paused = true)]
async fn a_signal_drops_the_readings_not_begun_and_a_later_session_does_them() {
    let (signal, signals) = mpsc::unbounded_channel();
    let panel = Panel::with(&["ann", "ben@beta", "cay@gamma"]).behaving(calls(move |asked| {
        if asked.account == "gamma" {
            signal.send(Signal::Interrupt).unwrap();
        }
        Fate::done()
    }));
    let mut tale = Tale::new("ann,suspend,login\nben@beta,suspend,login\ncay@gamma,suspend,login");
    let how = How { signals: Some(signals), ..How::default().limits("none", 4) };
    let told = tale.session(&[&panel], how).await;
    assert_eq!(told.end().stop, Some(Stop::Signal(Signal::Interrupt)));
    assert_eq!(tale.count("ok"), 3);
    let read = tale.readings_after();
    assert!(read < 3, "gamma was not read");
    let ledger = tale.ledger();
    let waiting = (0..3).filter(|op| ledger.is_unverified(*op)).count();
    assert_eq!(waiting, 3 - read);

    panel.behave(calls(|_| panic!("nothing is called again")));
    panel.forget();
    tale.play(&panel).await;
    assert_eq!(panel.asked(), vec!["read"; waiting]);
    assert!(tale.standings().iter().all(|standing| standing.verified == Some(true)));
    assert!(tale.is_through(&How::default()));
    panel.forget();
    tale.play(&panel).await;
    assert!(panel.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_later_session_settles_what_was_open_and_finds_out_what_did_nothing() {
    let (signal, signals) = mpsc::unbounded_channel();
    let panel = Panel::with(&["ann", "ben", "cay"]).behaving(calls(move |asked| {
        let fate = match asked.mailbox().split('@').next() {
            Some("ann") => Fate::pretended(),
            _ => Fate::done(),
        };
        if asked.mailbox().starts_with("cay") {
            signal.send(Signal::Interrupt).unwrap();
        }
        fate
    }));
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login\ncay,suspend,login");
    tale.session(&[&panel], How { signals: Some(signals), ..How::default().limits("none", 1) }).await;
    assert_eq!(tale.ends(), ["ok", "ok", "ok"]);
    panel.behave(calls(|_| panic!("nothing is called again")));
    let told = tale.play(&panel).await;
    assert_eq!(tale.ends(), ["failed/not_applied", "ok", "ok"]);
    assert_eq!(told.finished[&0], [Status::Failed]);
}

#[tokio::test(start_paused = true)]
async fn a_halt_at_the_reading_leaves_something_undone() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::Read if asked.number > 0 => Fate::refused(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    let told = tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok"]);
    assert_eq!(told.halted(0), Some(ErrorClass::Auth), "what the call came to was not looked at");
    assert!(!tale.is_through(&How::default()));
    panel.behave(|_| Fate::done());
    let told = tale.play(&panel).await;
    assert_eq!(told.halted(0), None);
    assert_eq!(tale.states(0).1, Some(true));
}

#[tokio::test(start_paused = true)]
async fn what_the_reading_corrects_counts_for_the_guard_against_errors() {
    // More than half of 120 did nothing: found out account by account.
    let names: Vec<String> = (0..120).map(|i| format!("m{i}@a{}", i / 10)).collect();
    let panel = Panel::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    panel.behave(calls(|_| Fate::pretended()));
    let rows: String = names.iter().map(|name| format!("{name},suspend,login\n")).collect();
    let max_errors =
        |text: &str| Limits { max_errors: text.parse().unwrap(), ..super::tale::limits("none", 1) };
    let mut tale = Tale::new(&rows);
    let how = How { limits: max_errors("20"), ..How::default() };
    let told = tale.session(&[&panel], how).await;
    assert_eq!(told.end().stop, Some(Stop::ErrorBudget));
    let failed = tale.count("failed/not_applied");
    assert!((21..=30).contains(&failed), "{failed}");

    // Open outcomes that the reading settles well are no errors.
    let panel = Panel::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    panel.behave(calls(|_| Fate::broken(Effect::AtOnce)));
    let mut tale = Tale::new(&rows);
    let limits = Limits { retries: 0, ..max_errors("60") };
    let told = tale.session(&[&panel], How { limits, ..How::default() }).await;
    assert_eq!(told.end().stop, None, "a hundred and twenty were open, but never sixty at once");
    assert_eq!(tale.count("ok"), 120);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_session_left_open_does_not_lower_the_count_of_this_ones_errors() {
    let (signal, signals) = mpsc::unbounded_channel();
    let names: Vec<String> = (0..6).map(|i| format!("m{i}")).collect();
    let panel = Panel::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    panel.behave(calls(move |asked| {
        if asked.mailbox().starts_with("m2") {
            signal.send(Signal::Interrupt).unwrap();
        }
        Fate::broken(Effect::AtOnce)
    }));
    // A reading of beta comes between and proves the server; its calls come behind.
    let rows: String = names.iter().map(|name| format!("{name},suspend,login\n")).collect();
    let mut tale = Tale::new(&(rows + "n@beta,suspend,login\no@beta,suspend,login\n"));
    let limits = Limits { retries: 0, ..super::tale::limits("none", 1) };
    let how = How { signals: Some(signals), limits: limits.clone(), ..How::default() };
    tale.session(&[&panel], how).await;
    let open = tale.count("unknown/http");
    assert!(open >= 3, "{:?}", tale.ends());
    // The open ones are settled well; what fails now are two of this session's own.
    panel.set("n@beta", "nnnn");
    panel.set("o@beta", "nnnn");
    panel.behave(calls(|asked| if asked.account == "beta" { Fate::rejected() } else { Fate::done() }));
    let limits = Limits { max_errors: "1".parse().unwrap(), ..limits };
    let told = tale.session(&[&panel], How { limits, ..How::default() }).await;
    assert_eq!(told.end().stop, Some(Stop::ErrorBudget), "{:?}", tale.ends());
}

#[tokio::test(start_paused = true)]
async fn reading_again_and_again_does_not_call_again() {
    // The verifying reading is throttled and times out before it comes.
    let panel = Panel::with(&["ann"]).behaving(|asked| match (asked.what, asked.number) {
        (What::Read, 2) => Fate::throttled(),
        (What::Read, 3) => Fate::timed_out(Effect::Never),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    let told = tale.play(&panel).await;
    assert_eq!(panel.asked(), ["read", "suspend_login ann", "read", "read", "read"]);
    assert_eq!(tale.states(0).1, Some(true));
    assert!(told.took > Duration::from_secs(60) && told.warnings.is_empty());
    assert_eq!(tale.ledger().servers()[0].requests, 5, "every try is counted");
}
