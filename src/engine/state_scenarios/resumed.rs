//! Runs that were killed and gone on with: what the journal has is not mistaken for somebody else's
//! doing, and nothing that cannot be taken back is done twice.

use std::cell::Cell;

use super::panel::{Effect, Fate, Panel, TIMEOUT, What};
use super::tale::{How, Tale};
use crate::engine::Checks;

/// Calls have their effect and are never answered.
fn silent() -> Fate {
    Fate { takes: TIMEOUT, ..Fate::done() }
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_and_is_so_is_ours_and_ends_ok() {
    let panel = Panel::with(&["ann", "ben"]).behaving(|asked| match asked.what {
        What::Call(..) => silent(),
        _ => Fate::done(),
    });
    panel.set("ben", "ynnn");
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login\nben,suspend,outgoing");
    tale.session(&[&panel], How::default().killed_after(1000)).await;
    panel.behave(|_| Fate::done());
    panel.forget();
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "unchanged", "ok"]);
    assert_eq!(panel.count("suspend_login ann"), 0, "the reading has settled it");
    assert_eq!(tale.states(0), ("active".into(), Some(true), "suspended".into()));
    assert_eq!(tale.states(1), ("suspended".into(), Some(true), "suspended".into()));
    assert!(tale.is_through(&How::default()), "a reading that settles it has verified it");
    panel.forget();
    tale.play(&panel).await;
    assert!(panel.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_begun_is_judged_by_a_new_reading() {
    let panel = Panel::with(&["ann", "ben", "cay"]).behaving(|asked| match asked.what {
        What::Call(..) => silent(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login\ncay,suspend,login");
    tale.session(&[&panel], How::default().limits("none", 1).killed_after(1000)).await;
    // A colleague suspends cay while the run is dead.
    panel.set("cay", "ynnn");
    panel.behave(|_| Fate::done());
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "ok", "unchanged"]);
    assert_eq!(tale.states(0).0, "active");
    assert_eq!(tale.states(2).0, "suspended", "not ours, so that no undo takes it back");
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_keeps_its_state_before_however_often_it_is_killed() {
    let panel = Panel::with(&["ann", "ben"]).behaving(|asked| match asked.what {
        What::Call(..) => silent(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login+outgoing\nben,hold,outgoing");
    for _ in 0..4 {
        tale.session(&[&panel], How::default().killed_after(1000)).await;
    }
    panel.behave(|_| Fate::done());
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "ok", "ok"]);
    let before: Vec<String> = (0..3).map(|op| tale.states(op).0).collect();
    assert_eq!(before, ["active", "active", "active"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_release_is_settled_by_what_is_held_and_never_sent_again() {
    // The queue was sent; it was not; and nobody can tell.
    for (effect, reads, end) in [
        (Effect::AtOnce, true, "ok"),
        (Effect::Never, true, "failed/interrupted"),
        (Effect::AtOnce, false, "unknown/interrupted"),
    ] {
        let panel = Panel::with(&["ann"]).behaving(move |asked| match asked.what {
            What::Call(..) => Fate { effect, ..silent() },
            _ => Fate::done(),
        });
        panel.set("ann", "nnny");
        let mut tale = Tale::new("ann,release,outgoing");
        tale.session(&[&panel], How::default().killed_after(1000)).await;
        let sent = panel.calls();
        assert_eq!(sent, 1);
        panel.behave(move |asked| match asked.what {
            What::Call(..) => panic!("sent again"),
            _ if reads => Fate::done(),
            _ => Fate::rejected(),
        });
        tale.play(&panel).await;
        assert_eq!(tale.ends(), [end]);
        assert_eq!(tale.states(0).0, "held", "as it was before the first try");
        // Nor if it is asked for.
        tale.session(&[&panel], How { retry_failed: true, ..How::default() }).await;
        assert_eq!(panel.calls(), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_was_accepted_and_shows_no_effect_is_not_sent_again_either() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::Call(..) => Fate::pretended(),
        _ => Fate::done(),
    });
    panel.set("ann", "nnny");
    let mut tale = Tale::new("ann,release,outgoing");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["failed/not_applied"]);
    tale.session(&[&panel], How { retry_failed: true, ..How::default() }).await;
    assert_eq!(panel.calls(), 1, "the queue may have gone out all the same");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_cannot_have_gone_out_is_sent_again() {
    let tries = Cell::new(0);
    let panel = Panel::with(&["ann", "ben"]).behaving(move |asked| match asked.what {
        What::Call(..) if asked.mailbox().starts_with("ann") => {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Fate::throttled() } else { Fate::done() }
        }
        _ => Fate::done(),
    });
    panel.set("ann", "nnny");
    let mut tale = Tale::new("ben,suspend,login\nann,release,outgoing");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "ok"]);
    assert_eq!(panel.releases().values().sum::<u32>(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_had_effect_is_not_called_not_attempted_where_the_state_is_required() {
    let panel = Panel::with(&["ann", "ben", "cay"]).behaving(|asked| match asked.what {
        What::Call(..) => silent(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login\ncay,suspend,login");
    let required = || How::checks(Checks { required: true, ..Checks::default() }).limits("none", 1);
    tale.session(&[&panel], required().killed_after(1000)).await;
    panel.behave(|_| Fate::rejected());
    tale.session(&[&panel], required()).await;
    // Ben's was begun ahead, so it may have been sent too.
    assert_eq!(tale.ends(), ["unknown/no_state", "unknown/no_state", "not_attempted/no_state"]);
    panel.behave(|_| Fate::done());
    tale.session(&[&panel], required()).await;
    assert_eq!(tale.ends(), ["ok", "ok", "ok"]);
    assert_eq!(tale.states(0), ("active".into(), Some(true), "suspended".into()));
}

#[tokio::test(start_paused = true)]
async fn what_was_verified_is_not_doubted_because_something_else_of_its_mailbox_is_done_later() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::Call(function, _) if function.channel() == crate::domain::Channel::Outgoing => Fate::rejected(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login+outgoing");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "failed/api"]);
    // The owner lets ann in again; then the outgoing mail is taken up, and that session is killed.
    panel.set("ann", "nnnn");
    panel.behave(|asked| match asked.what {
        What::Call(..) => silent(),
        _ => Fate::done(),
    });
    let again = || How { retry_failed: true, ..How::default() };
    tale.session(&[&panel], again().killed_after(1000)).await;
    panel.behave(|_| Fate::done());
    tale.session(&[&panel], again()).await;
    assert_eq!(tale.ends(), ["ok", "ok"], "it had its effect, and was read to have it");
    assert_eq!(tale.states(0).1, Some(true));
}

#[tokio::test(start_paused = true)]
async fn what_came_late_is_ours_and_not_somebody_elses() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::Call(..) => Fate::pretended(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["failed/not_applied"]);
    // The server was slow to do what it had accepted.
    panel.set("ann", "ynnn");
    tale.session(&[&panel], How { retry_failed: true, ..How::default() }).await;
    assert_eq!(tale.ends(), ["ok"]);
    assert_eq!(tale.states(0), ("active".into(), Some(true), "suspended".into()));
}
