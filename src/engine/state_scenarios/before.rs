//! The state is read before the calls, and each operation is judged by it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::panel::{Effect, Fate, Panel, TIMEOUT, What};
use super::tale::{How, Tale};
use crate::domain::ErrorClass;
use crate::engine::Checks;
use crate::record::Phase;

fn required() -> Checks {
    Checks { required: true, ..Checks::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_so_already_is_not_called_and_what_is_not_is() {
    let panel = Panel::with(&["ann", "ben", "cay"]);
    panel.set("ben", "ynny");
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login\ncay,unsuspend,login\nben,hold,outgoing");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "unchanged", "unchanged", "unchanged"]);
    assert_eq!(panel.asked(), ["read", "suspend_login ann", "read"]);
    assert_eq!(tale.states(0), ("active".into(), Some(true), "suspended".into()));
    assert_eq!(tale.states(1), ("suspended".into(), Some(true), "suspended".into()));
    assert_eq!(tale.states(3), ("held".into(), Some(true), "held".into()));
}

#[tokio::test(start_paused = true)]
async fn no_call_goes_out_before_the_state_is_on_the_disk_however_slow_that_is() {
    for disk_ms in [0, 50, 3000] {
        let panel = Panel::with(&["ann", "ben"]);
        let mut tale = Tale::new("ann,suspend,login\nben,suspend,all");
        let start = Instant::now();
        let how = How { disk: Duration::from_millis(disk_ms), ..How::default() };
        tale.session(&[&panel], how).await;
        let seen = panel.seen();
        let first = seen.iter().find(|seen| matches!(seen.what, What::Call(..))).unwrap().from - start;
        assert!(first >= Duration::from_millis(80 + disk_ms), "{first:?} with {disk_ms}");
        assert_eq!(tale.count("ok"), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_read_is_on_the_disk_too_before_the_call() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.what {
        What::Read => Fate::rejected(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login");
    let how = How { disk: Duration::from_secs(3), ..How::default() };
    tale.session(&[&panel], how).await;
    assert_eq!(tale.ends(), ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_judged_one_after_another() {
    let rows = "ann,unsuspend,login\nann,suspend,login\nann,unsuspend,login\nann,suspend,incoming";
    let panel = Panel::with(&["ann"]);
    let mut tale = Tale::new(rows);
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["unchanged", "ok", "ok", "ok"]);
    let calls = ["suspend_login ann", "unsuspend_login ann", "suspend_incoming ann"];
    assert_eq!(panel.asked()[1..4], calls);
    assert_eq!(panel.flags_of("ann"), "nynn");

    panel.set("ann", "ynnn");
    panel.forget();
    let mut tale = Tale::new(rows);
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["ok", "ok", "ok", "ok"]);
    let verified: Vec<_> = tale.standings().iter().map(|standing| standing.verified).collect();
    assert_eq!(verified, [None, None, Some(true), Some(true)], "only the last on a flag can be proved");
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_an_open_outcome_is_called_for_nobody_knows() {
    let panel = Panel::with(&["ann"]).behaving(|asked| match asked.number {
        1..=5 => Fate::broken(Effect::Never),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login\nann,unsuspend,login");
    tale.play(&panel).await;
    assert_eq!(panel.count("unsuspend_login"), 1, "the flag is not known after the first");
    assert_eq!(tale.ends(), ["unknown/http", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_is_not_listed_is_called_and_the_server_decides() {
    let panel = Panel::with(&["ann"]);
    let mut tale = Tale::new("gone,suspend,login\nann,suspend,login");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["failed/no_such_mailbox", "ok"]);
    assert_eq!(tale.states(0), (String::new(), None, String::new()));

    // It may be there all the same: the list was filtered, or came before it was made.
    let panel = Panel::with(&["ann"]).behaving(|asked| {
        if asked.mailbox().starts_with("gone") {
            Fate { effect: Effect::Never, ..Fate::broken(Effect::Never) }
        } else {
            Fate::done()
        }
    });
    let mut tale = Tale::new("gone,suspend,login\nann,suspend,login");
    tale.play(&panel).await;
    assert_eq!(tale.ends(), ["unknown/http", "ok"], "what is not listed cannot be settled");
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_fails_costs_one_warning_and_the_calls_go_on() {
    type Answers = fn(usize) -> Fate;
    let answers: [(&str, Answers); 3] = [
        ("status 0", |_| Fate::rejected()),
        ("a page", |n| if n % 2 == 0 { Fate::login_page() } else { Fate::done() }),
        ("time-outs", |_| Fate::timed_out(Effect::Never)),
    ];
    for (what, answer) in answers {
        // Another account proves the server, or a reading that never comes would halt it.
        let panel = Panel::with(&["zoe@beta", "ann", "ben"]);
        let tries = Rc::new(Cell::new(0));
        let count = Rc::clone(&tries);
        panel.behave(move |asked| {
            if !asked.is_read() || asked.account == "beta" {
                return Fate::done();
            }
            count.set(count.get() + 1);
            answer(2 * count.get())
        });
        let mut tale = Tale::new("zoe@beta,suspend,login\nann,suspend,login\nben,suspend,login");
        let checks = Checks { after: false, ..Checks::default() };
        let told = tale.session(&[&panel], How::checks(checks)).await;
        assert_eq!(tale.ends(), ["ok", "ok", "ok"], "{what}");
        assert_eq!(told.warnings, ["alfa: the state of its mailboxes before cannot be read"], "{what}");
        assert_eq!(tale.states(1), (String::new(), None, String::new()), "{what}");
        assert!(tries.get() <= 5, "{what}: {} tries", tries.get());
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_state_is_required_an_account_without_one_is_left() {
    let panel = Panel::with(&["ann", "ben@beta"]).behaving(|asked| match asked.what {
        What::Read if asked.account == "alfa" => Fate::rejected(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,all\nben@beta,suspend,login");
    let told = tale.session(&[&panel], How::checks(required())).await;
    let left = "not_attempted/no_state";
    assert_eq!(tale.ends(), [left, left, left, "ok"]);
    assert_eq!(told.warnings.len(), 1);
    assert_eq!(panel.calls(), 1);
    // When the state can be read again, they are taken up.
    panel.behave(|_| Fate::done());
    tale.session(&[&panel], How::checks(required())).await;
    assert_eq!(tale.count("ok"), 4);
    assert_eq!(tale.states(0), ("active".into(), Some(true), "suspended".into()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_reading_halts_the_server_and_nothing_is_called() {
    for checks in [Checks::default(), required()] {
        let panel = Panel::with(&["ann", "ben@beta"]).behaving(|_| Fate::refused());
        let mut tale = Tale::new("ann,suspend,all\nben@beta,suspend,login");
        let told = tale.session(&[&panel], How::checks(checks)).await;
        assert_eq!(panel.asked(), ["read"]);
        assert_eq!(told.halted(0), Some(ErrorClass::Auth));
        assert_eq!(tale.count("not_attempted/auth"), 4);
        assert!(told.warnings.is_empty(), "the halt says it");
    }
    // Of several accounts the second one's credential is bad.
    let panel = Panel::with(&["ann", "ben@beta", "cay@gamma"]).behaving(|asked| match asked.account {
        "beta" => Fate::refused(),
        _ => Fate::done(),
    });
    let mut tale = Tale::new("ann,suspend,login\nben@beta,suspend,login\ncay@gamma,suspend,login");
    let how = How { own_doors: true, ..How::default() };
    tale.session(&[&panel], how).await;
    assert_eq!(panel.count("suspend_login ben"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_request_with_each_credential_is_alone_and_is_a_reading() {
    let names = ["ann@alfa", "ben@beta", "cay@gamma", "dan@delta"];
    let panel = Panel::with(&names);
    let rows: String = names.iter().map(|name| format!("{name},suspend,all\n")).collect();
    let mut tale = Tale::new(&rows);
    let how = How { own_doors: true, ..How::default().limits("none", 8) };
    tale.session(&[&panel], how).await;
    assert_eq!(tale.count("ok"), 12);
    let seen = panel.seen();
    for name in ["alfa", "beta", "gamma", "delta"] {
        let first = seen.iter().find(|seen| seen.account == name).unwrap();
        assert_eq!(first.what, What::Read, "{name}");
        let beside = seen.iter().filter(|other| {
            other.account != name && other.from < first.until.unwrap() && other.until.unwrap() > first.from
        });
        assert_eq!(beside.count(), 0, "{name}: its first request is not alone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_has_grown_old_is_read_again_before_the_next_call_and_not_among_calls() {
    // A call takes 20 s: with two at once, three calls of each go by in a minute.
    let slow = |asked: &super::panel::Asked<'_>| {
        let takes = if asked.is_read() { Duration::from_millis(80) } else { Duration::from_secs(20) };
        Fate { takes, ..Fate::done() }
    };
    let panel = Panel::with(&["a", "b", "c", "d", "e", "f", "g", "h"]).behaving(slow);
    let rows: String =
        ["a", "b", "c", "d", "e", "f", "g", "h"].map(|n| format!("{n},suspend,login\n")).concat();
    let mut tale = Tale::new(&rows);
    let max_age = Duration::from_secs(30);
    let checks = Checks { max_age, ..Checks::default() };
    tale.session(&[&panel], How::checks(checks).limits("none", 2)).await;
    assert_eq!(tale.count("ok"), 8);
    let before = tale.readings().iter().filter(|(phase, _)| *phase == Phase::Before).count();
    assert!((2..=4).contains(&before), "{before} readings before: {:?}", panel.asked());
    let seen = panel.seen();
    let mut read = seen[0].from;
    for one in &seen[1..] {
        match one.what {
            What::Read => read = one.from,
            // One call may be begun ahead of its slot.
            _ => assert!(one.from - read < max_age + Duration::from_secs(21), "{one:?} by an old state"),
        }
    }
    // What was read last is what counts.
    let first = tale.standings()[7].before;
    assert_eq!(first.to_string(), "nnnn");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_meanwhile_shows_in_a_state_that_is_read_again() {
    let panel = Panel::with(&["a", "b", "c", "d"]);
    let same = panel.clone();
    panel.behave(move |asked| {
        let takes = if asked.is_read() { Duration::from_millis(80) } else { Duration::from_secs(20) };
        if asked.mailbox().starts_with('b') {
            same.set("d", "ynnn");
        }
        Fate { takes, ..Fate::done() }
    });
    let mut tale = Tale::new("a,suspend,login\nb,suspend,login\nc,suspend,login\nd,suspend,login");
    let checks = Checks { max_age: Duration::from_secs(30), ..Checks::default() };
    tale.session(&[&panel], How::checks(checks).limits("none", 1)).await;
    assert_eq!(tale.ends(), ["ok", "ok", "ok", "unchanged"]);
    assert_eq!(tale.states(3).0, "suspended", "somebody else's doing, and not ours");
}

#[tokio::test(start_paused = true)]
async fn who_is_blind_reads_nothing_at_all() {
    let panel = Panel::with(&["ann", "ben"]);
    panel.set("ben", "ynnn");
    let mut tale = Tale::new("ann,suspend,login\nben,suspend,login");
    tale.session(&[&panel], How::checks(Checks::blind())).await;
    assert_eq!(panel.asked(), ["suspend_login ann", "suspend_login ben"]);
    assert_eq!(tale.ends(), ["ok", "ok"]);
    assert_eq!(tale.states(1), (String::new(), None, String::new()));
}

#[tokio::test(start_paused = true)]
async fn readings_do_not_wait_for_anything_but_the_server() {
    // Sixteen accounts, eight at once: none of them waits for a clock to tick.
    let names: Vec<String> = (0..17).map(|i| format!("m@a{i}")).collect();
    let panel = Panel::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    names.iter().for_each(|name| panel.set(name, "ynnn"));
    let rows: String = names.iter().map(|name| format!("{name},suspend,login\n")).collect();
    let mut tale = Tale::new(&rows);
    let start = Instant::now();
    tale.session(&[&panel], How::default().limits("none", 1)).await;
    assert_eq!(panel.asked(), ["read"; 17]);
    let last = panel.seen().last().unwrap().until.unwrap() - start;
    assert_eq!(last, 17 * super::panel::QUICK, "one after the other without a gap");
    let _ = TIMEOUT;
}
