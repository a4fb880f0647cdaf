//! `--max-changes`: all state is read first, and nothing is changed if too much would be.

use std::time::Duration;

use super::panel::{Effect, Fate, Panel, What};
use super::tale::{How, Tale, limits};
use crate::domain::{ErrorClass, Flag, State};
use crate::engine::{Checks, Limits, Stop};

fn at_most(text: &str) -> Checks {
    Checks { max_changes: Some(text.parse().unwrap()), ..Checks::default() }
}

/// Mailboxes `m0` and so on, ten in each account; of each account's, the first `changed` differ.
fn sweep(accounts: usize, changed: usize) -> (Panel, Tale) {
    let names: Vec<String> = (0..10 * accounts).map(|i| format!("m{i}@a{}", i / 10)).collect();
    let panel = Panel::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (i, name) in names.iter().enumerate().filter(|(i, _)| i % 10 >= changed) {
        panel.set(name, if i % 2 == 0 { "ynnn" } else { "yyyy" });
    }
    let rows: String = names.iter().map(|name| format!("{name},suspend,login\n")).collect();
    (panel, Tale::new(&rows))
}

#[tokio::test(start_paused = true)]
async fn over_the_guard_nothing_is_changed_and_the_value_that_would_pass_is_told() {
    for (most, is_over, passes) in
        [("5", true, "6"), ("6", false, ""), ("19%", true, "20%"), ("20%", false, "")]
    {
        let (panel, mut tale) = sweep(3, 2);
        let told = tale.session(&[&panel], How::checks(at_most(most))).await;
        if is_over {
            assert_eq!(told.end().stop, Some(Stop::MaxChanges), "{most}");
            assert_eq!(panel.asked(), ["read"; 3], "{most}");
            assert_eq!(tale.count("not_attempted/max_changes"), 30);
            let reason = tale.standings().swap_remove(0).reason;
            let told = format!("{reason:?}");
            assert!(
                told.contains("6 of 30 operations") && told.contains(&format!("--max-changes {passes} lets"))
            );
        } else {
            assert_eq!(told.end().stop, None, "{most}");
            assert_eq!((tale.count("ok"), tale.count("unchanged")), (6, 24));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_before_the_last_account_was_read() {
    let (panel, mut tale) = sweep(12, 1);
    tale.session(&[&panel], How::checks(at_most("100%"))).await;
    let asked = panel.asked();
    assert_eq!(asked[..12], ["read"; 12]);
    assert_eq!(panel.calls(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_state_counts_as_a_change_and_one_that_will_be_left_does_not() {
    let unread = |asked: &super::panel::Asked<'_>| match asked.what {
        What::Read if asked.account == "a1" => Fate::rejected(),
        _ => Fate::done(),
    };
    let (panel, mut tale) = sweep(2, 0);
    panel.behave(unread);
    let told = tale.session(&[&panel], How::checks(at_most("9"))).await;
    assert_eq!(told.end().stop, Some(Stop::MaxChanges), "ten of a1 are not known");

    let (panel, mut tale) = sweep(2, 0);
    panel.behave(unread);
    let checks = Checks { required: true, ..at_most("0") };
    let told = tale.session(&[&panel], How::checks(checks)).await;
    assert_eq!(told.end().stop, None, "a1 is not called at all");
    assert_eq!((tale.count("unchanged"), tale.count("not_attempted/no_state")), (10, 10));

    // A mailbox that is not listed may be changed.
    let panel = Panel::with(&["ann"]);
    panel.set("ann", "ynnn");
    let mut tale = Tale::new("ann,suspend,login\ngone,suspend,login");
    let told = tale.session(&[&panel], How::checks(at_most("0"))).await;
    assert_eq!(told.end().stop, Some(Stop::MaxChanges));
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_counted_one_after_another() {
    let panel = Panel::with(&["ann"]);
    let mut tale = Tale::new("ann,unsuspend,login\nann,suspend,login\nann,unsuspend,login");
    let told = tale.session(&[&panel], How::checks(at_most("1"))).await;
    assert_eq!(told.end().stop, Some(Stop::MaxChanges), "two of them are calls");
    let told = tale.session(&[&panel], How::checks(at_most("2"))).await;
    assert_eq!(told.end().stop, None);
    assert_eq!(tale.ends(), ["unchanged", "ok", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_does_not_keep_the_others_waiting_for_ever() {
    let deaths: [fn() -> Fate; 3] = [Fate::no_connection, || Fate::timed_out(Effect::Never), Fate::refused];
    for death in deaths {
        let named = |name: &str, server: &str| format!("{name}@x{server}.{server}.example");
        let mailboxes = |server: &str| -> Vec<(String, State)> {
            (0..3).map(|i| (named(&format!("m{i}"), server), "nnnn".parse().unwrap())).collect()
        };
        let good = Panel::new("good", mailboxes("good"));
        let dead = Panel::new("dead", mailboxes("dead")).behaving(move |_| death());
        let row = |server: &str, i: u32| format!("{},suspend,login\n", named(&format!("m{i}"), server));
        let rows: String =
            ["good", "dead"].iter().flat_map(|server| (0..3).map(move |i| row(server, i))).collect();
        let mut tale = Tale::new(&rows);
        let told = tale.session(&[&good, &dead], How::checks(at_most("3"))).await;
        assert_eq!(told.end().stop, None, "what the dead one has is not counted: it is not called");
        assert_eq!(tale.count("ok"), 3);
        assert!(told.halted(1).is_some());
        assert_eq!(dead.calls(), 0);
        assert!(told.took < Duration::from_secs(400), "{:?}", told.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_among_its_readings_is_halted_and_the_guard_goes_on() {
    let (panel, mut tale) = sweep(5, 1);
    panel.behave(|asked| if asked.number < 2 { Fate::done() } else { Fate::no_connection() });
    let told = tale.session(&[&panel], How::checks(at_most("100%"))).await;
    assert_eq!(told.halted(0), Some(ErrorClass::Connect));
    assert_eq!(panel.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn reading_all_state_may_take_longer_than_a_state_may_be_old() {
    // Forty accounts at a reading every six seconds, and a state counts for a minute.
    let (panel, mut tale) = sweep(40, 1);
    let checks = Checks { max_age: Duration::from_secs(60), ..at_most("100%") };
    let how = How { limits: limits("10/m", 4), ..How::checks(checks) };
    let told = tokio::time::timeout(Duration::from_secs(7200), tale.session(&[&panel], how)).await;
    assert_eq!(told.expect("it never ends").end().stop, None);
    assert_eq!(tale.count("ok"), 40);
    let first_call = panel.asked().iter().position(|asked| asked.starts_with("suspend")).unwrap();
    assert!(first_call >= 40, "all state first");
}

#[tokio::test(start_paused = true)]
async fn what_earlier_sessions_changed_counts_and_what_is_taken_up_again_counts_once() {
    // Of ten, seven are changed in a first session, and the server breaks at three of them.
    let (panel, mut tale) = sweep(1, 10);
    panel.behave(|asked| {
        let is_odd = ["m7", "m8", "m9"].iter().any(|odd| asked.mailbox().starts_with(odd));
        if is_odd { Fate::broken(Effect::Never) } else { Fate::done() }
    });
    let limits = Limits { retries: 0, ..limits("none", 1) };
    let checks = Checks { after: false, ..Checks::default() };
    tale.session(&[&panel], How { limits, ..How::checks(checks) }).await;
    assert_eq!((tale.count("ok"), tale.count("unknown/http")), (7, 3));
    panel.behave(|_| Fate::done());
    let again = |most: &str| How { retry_failed: true, ..How::checks(at_most(most)) };
    let told = tale.session(&[&panel], again("9")).await;
    assert_eq!(told.end().stop, Some(Stop::MaxChanges), "ten of the run in all");
    let told = tale.session(&[&panel], again("10")).await;
    assert_eq!(told.end().stop, None);
    assert_eq!(tale.count("ok"), 10);
}

#[tokio::test(start_paused = true)]
async fn all_state_is_read_with_as_many_at_once_as_the_server_bears() {
    let (panel, mut tale) = sweep(200, 0);
    let told = tale.session(&[&panel], How::checks(at_most("0")).limits("none", 8)).await;
    assert_eq!(panel.asked(), vec!["read"; 200]);
    assert_eq!(tale.count("unchanged"), 2000);
    // Eight at once come to two seconds; the number in use grows towards that.
    assert!(told.took < Duration::from_secs(6), "{:?}", told.took);
    assert!(panel.flags().values().all(|state| state.get(Flag::Login) == Some(true)));
}
