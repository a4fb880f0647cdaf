//! `--end-sessions`: once per account, after its login suspensions and before the last reading.

use std::cell::Cell;

use tokio::sync::mpsc;

use super::panel::{Effect, Fate, Panel, What};
use super::tale::{How, Tale};
use crate::domain::ErrorClass;
use crate::engine::{Checks, Signal};
use crate::record::Entry;

fn ending() -> How {
    How::checks(Checks { end_sessions: true, ..Checks::default() })
}

#[tokio::test(start_paused = true)]
async fn sessions_are_ended_once_after_an_accounts_suspensions_and_before_the_reading() {
    let panel = Panel::with(&["ann", "ben", "cay@beta", "dan@gamma", "eve@delta"]);
    panel.set("cay@beta", "ynnn");
    let rows = "ann,suspend,login+incoming\nben,suspend,login\ncay@beta,suspend,login\n\
                dan@gamma,suspend,incoming\neve@delta,unsuspend,login";
    let mut tale = Tale::new(rows);
    tale.session(&[&panel], ending().limits("none", 1)).await;
    let of_alfa: Vec<String> = panel
        .asked()
        .into_iter()
        .zip(panel.seen())
        .filter(|(_, s)| s.account == "alfa")
        .map(|(a, _)| a)
        .collect();
    assert_eq!(
        of_alfa,
        ["read", "suspend_login ann", "suspend_incoming ann", "suspend_login ben", "end", "read"]
    );
    assert_eq!(panel.count("end"), 1, "no login was suspended in the others");
    // Its record was written before it was sent, and what came of it is there too.
    let is_said = |entry: &Entry| matches!(entry, Entry::EndSessions { account, .. } if account == "alfa");
    let said = tale.entries.iter().position(is_said).unwrap();
    let ended = tale.entries.iter().position(|entry| matches!(entry, Entry::SessionsEnded(_))).unwrap();
    assert!(said < ended);
    let ledger = tale.ledger();
    let known: Vec<_> = ledger.sessions_ended().iter().collect();
    assert_eq!(known, [(&("web".to_owned(), "alfa".to_owned()), &None)]);
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_again_and_its_failure_is_a_warning() {
    let tries = Cell::new(0);
    let panel = Panel::with(&["ann"]).behaving(move |asked| match asked.what {
        What::EndSessions => {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Fate::broken(Effect::Never) } else { Fate::done() }
        }
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    let told = tale.session(&[&panel], ending()).await;
    assert_eq!(panel.asked(), ["read", "suspend_login ann", "end", "end", "end", "read"]);
    assert!(told.warnings.is_empty());

    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::EndSessions => Fate::rejected(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    let told = tale.session(&[&panel], ending()).await;
    assert_eq!(panel.asked(), ["read", "suspend_login ann", "end", "read"], "verified all the same");
    assert_eq!(told.warnings, ["alfa: the open sessions of its mailboxes could not be ended"]);
    let fault = tale.ledger().sessions_ended().values().next().unwrap().clone();
    assert_eq!(fault, Some((ErrorClass::Api, "no".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_suspended_a_login_counts_as_one_that_did() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::Call(..) => Fate::broken(Effect::AtOnce),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    tale.session(&[&panel], ending()).await;
    assert_eq!(panel.asked()[6..], ["end", "read"]);
    assert_eq!(tale.ends(), ["ok"]);
    panel.forget();
    tale.session(&[&panel], ending()).await;
    assert!(panel.asked().is_empty(), "nothing is owed any more: {:?}", panel.asked());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_a_killed_session_suspended_has_its_sessions_ended_by_the_next() {
    // Killed with the call's effect there and no record of it.
    let panel = Panel::with(&["ann", "ben"]).behaving(|asked| match asked.what {
        What::Call(..) => Fate { takes: super::panel::TIMEOUT, ..Fate::done() },
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,incoming");
    tale.session(&[&panel], ending().killed_after(1000)).await;
    assert_eq!(panel.flags_of("ann"), "ynnn");
    panel.behave(|_| Fate::done());
    panel.forget();
    tale.session(&[&panel], ending()).await;
    assert_eq!(panel.count("suspend_login"), 0, "it was done already");
    assert_eq!(panel.count("end"), 1);
    assert_eq!(tale.ends(), ["ok", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_session_suspends_is_ended_too_and_nothing_twice() {
    let panel = Panel::with(&["ann", "ben"])
        .behaving(|asked| if asked.mailbox().starts_with("ben") { Fate::rejected() } else { Fate::done() });
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login");
    tale.session(&[&panel], ending()).await;
    assert_eq!((panel.count("end"), tale.ends()), (1, vec!["ok".to_owned(), "failed/api".to_owned()]));
    // Ben's login is suspended by a session that is killed before it could end the sessions.
    panel.behave(|asked| match asked.what {
        What::EndSessions => Fate::timed_out(Effect::Never),
        _ => Fate::done(),
    });
    let again = || How { retry_failed: true, ..ending() };
    tale.session(&[&panel], again().killed_after(10_000)).await;
    assert_eq!(tale.ends(), ["ok", "ok"]);
    panel.behave(|_| Fate::done());
    panel.forget();
    tale.session(&[&panel], again()).await;
    assert_eq!(panel.count("end"), 1, "owed because of ben");
    panel.forget();
    tale.session(&[&panel], again()).await;
    assert!(panel.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_signal_leaves_them_to_a_later_session() {
    for after in [true, false] {
        let (signal, signals) = mpsc::unbounded_channel();
        let panel = Panel::with(&["ann"]).behaving(move |asked| {
            if matches!(asked.what, What::Call(..)) {
                signal.send(Signal::Terminate).unwrap();
            }
            Fate::done()
        });
        let mut tale = Tale::new("ann,suspend,login");
        let how = || How::checks(Checks { end_sessions: true, after, ..Checks::default() });
        tale.session(&[&panel], How { signals: Some(signals), ..how() }).await;
        assert_eq!(panel.count("end"), 0);
        panel.forget();
        panel.behave(|_| Fate::done());
        tale.session(&[&panel], how()).await;
        assert_eq!(panel.asked(), if after { vec!["end", "read"] } else { vec!["end"] });
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_end_of_sessions_halts_the_server_and_leaves_something_undone() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::EndSessions => Fate::refused(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    let told = tale.session(&[&panel], ending()).await;
    assert_eq!(told.halted(0), Some(ErrorClass::Auth));
    assert_eq!(panel.asked().last().unwrap(), "end", "and nothing after it");
    let told = tale.session(&[&panel], ending()).await;
    assert!(told.end().servers[0].had_work, "sessions alone are work");
    assert_eq!(told.halted(0), Some(ErrorClass::Auth));
}
