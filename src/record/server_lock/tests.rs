use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn state() -> (tempfile::TempDir, StateDir) {
    let root = tempfile::tempdir().unwrap();
    let state = StateDir::at(root.path(), &Disk::default()).unwrap();
    (root, state)
}

fn holder(run_id: &str) -> Holder {
    Holder {
        run_id: run_id.into(),
        operator: "anna".into(),
        pid: 4711,
        host: "ops1".into(),
        since: Stamp(1_795_460_400_123),
    }
}

/// Who has the server; `None` if it is free.
fn in_use(state: &StateDir, server: &str) -> Option<Option<Holder>> {
    match state.lock(server, &holder("looks")) {
        Err(LockError::InUse(holder)) => Some(holder),
        Ok(_) => None,
        Err(fault) => panic!("{fault}"),
    }
}

#[test]
fn a_server_has_one_holder_at_a_time_and_others_learn_who_it_is() {
    let (_root, state) = state();
    let lock = state.lock("web01:2083", &holder("one")).unwrap();
    assert_eq!(in_use(&state, "WEB01:2083"), Some(Some(holder("one"))));
    assert_eq!(in_use(&state, "web01:2087"), None, "another server");
    drop(lock);
    assert_eq!(in_use(&state, "web01:2083"), None);
}

#[test]
fn a_holder_is_told_with_the_day_only_if_it_is_another() {
    let holder = holder("20261123T190000Z-job");
    let told = "run 20261123T190000Z-job (anna, process 4711 on ops1 since 19:00:00Z)";
    assert_eq!(holder.told(Stamp(1_795_460_400_123 + 60_000)), told);
    let told = "run 20261123T190000Z-job (anna, process 4711 on ops1 since 2026-11-23T19:00:00Z)";
    assert_eq!(holder.told(Stamp(1_795_460_400_123 + 86_400_000)), told);
    assert_eq!(LockError::InUse(None).to_string(), "in use by another process");
}

#[test]
fn a_note_that_is_torn_names_nobody_and_hinders_nobody() {
    let (_root, state) = state();
    for torn in ["", "{\"holder\":{\"run_id\":\"o", "{}", "\u{0}\u{0}"] {
        let lock = state.lock("web01:2083", &holder("one")).unwrap();
        std::fs::write(state.lock_file("web01:2083"), torn).unwrap();
        assert_eq!(in_use(&state, "web01:2083"), Some(None), "{torn:?}");
        drop(lock);
        assert_eq!(in_use(&state, "web01:2083"), None, "{torn:?}");
    }
}

#[test]
fn a_note_cannot_move_the_cursor() {
    let (_root, state) = state();
    let _lock = state.lock("web01:2083", &holder("one\u{1b}[2J\n")).unwrap();
    let told = state.lock("web01:2083", &holder("two")).unwrap_err().to_string();
    assert!(told.starts_with("in use by run one [2J (anna"), "{told:?}");
}

#[test]
fn a_lock_says_what_was_before_it() {
    let (_root, state) = state();
    let full_after = Duration::from_secs(10);
    let at = |at: Stamp, seconds: i64| Stamp(at.0 + seconds * 1000);
    let lock = state.lock("web01:2083", &holder("one")).unwrap();
    assert_eq!(lock.before, Before::Unused);
    assert!(!lock.begins_empty(Stamp::now(), full_after));
    let held = std::fs::read(state.lock_file("web01:2083")).unwrap();
    drop(lock);

    let lock = state.lock("web01:2083", &holder("two")).unwrap();
    let released = lock.last_released().unwrap();
    assert!(lock.begins_empty(at(released, 9), full_after));
    assert!(!lock.begins_empty(at(released, 10), full_after));
    assert!(lock.begins_empty(at(released, -3600), full_after), "the clock was set back");
    drop(lock);

    // As a process leaves it that had no time to write.
    std::fs::write(state.lock_file("web01:2083"), held).unwrap();
    let lock = state.lock("web01:2083", &holder("three")).unwrap();
    assert_eq!((lock.before, lock.last_released()), (Before::Killed, None));
    assert!(lock.begins_empty(at(Stamp::now(), 3600), full_after));
}

#[test]
fn two_names_for_one_server_share_its_lock() {
    let (_root, state) = state();
    let servers = ["web01:2083", "web02:2083", "Web01:2083"];
    let mut locks =
        state.lock_all(&servers, &holder("one"), Duration::ZERO, |_| panic!("nothing is waited for"));
    assert!(locks.iter().all(Result::is_ok));
    drop(locks.pop());
    assert!(in_use(&state, "web01:2083").is_some(), "the first name still has it");
    drop(locks);
    assert_eq!(in_use(&state, "web01:2083"), None);
}

#[test]
fn without_a_wait_what_is_in_use_is_left_and_the_rest_is_taken() {
    let (_root, state) = state();
    let _other = state.lock("web02:2083", &holder("other")).unwrap();
    let servers = ["web03:2083", "web02:2083", "web01:2083"];
    let locks = state.lock_all(&servers, &holder("one"), Duration::ZERO, |_| panic!("nothing is waited for"));
    assert!(
        matches!(&locks[..], [Ok(_), Err(LockError::InUse(Some(found))), Ok(_)] if found.run_id == "other")
    );
}

#[test]
fn a_server_is_taken_as_soon_as_it_is_free_and_waiting_is_told_once() {
    let (_root, state) = state();
    let mut other = Some(state.lock("web01:2083", &holder("other")).unwrap());
    let mut told = Vec::new();
    let locks = state.lock_all(&["web02:2083", "web01:2083"], &holder("one"), LONG, |waiting| {
        if waiting.is_new {
            told.push(waiting.to_string());
        } else {
            other = None;
        }
        ControlFlow::Continue(())
    });
    let [second, first] = &locks[..] else { panic!() };
    let (first, second) = (first.as_ref().unwrap(), second.as_ref().unwrap());
    assert!(first.was_waited_for && first.begins_empty(Stamp(i64::MAX), Duration::ZERO));
    assert!(!second.was_waited_for);
    assert!(told[0].starts_with("waiting for web01:2083: in use by run other (anna"), "{told:?}");
    assert_eq!(told.len(), 1);
}

#[test]
fn servers_are_taken_in_one_order_so_that_two_runs_cannot_block_each_other() {
    let (_root, state) = state();
    let other = state.lock("web01:2083", &holder("other")).unwrap();
    let mut free = None;
    let locks = state.lock_all(&["web02:2083", "web01:2083"], &holder("one"), LONG, |waiting| {
        assert_eq!(waiting.server, "web01:2083");
        // Whoever has the first one may still get the second one.
        free = Some(in_use(&state, "web02:2083"));
        ControlFlow::Break(())
    });
    assert_eq!(free, Some(None));
    assert!(locks.iter().all(|lock| matches!(lock, Err(LockError::Interrupted))));
    drop(other);
}

#[test]
fn all_servers_together_are_waited_for_no_longer_than_asked() {
    let (_root, state) = state();
    let servers = ["web01:2083", "web02:2083", "web03:2083"];
    let _others: Vec<_> = servers.map(|server| state.lock(server, &holder("other")).unwrap()).into();
    let mut waited_for = Vec::new();
    let locks = state.lock_all(&servers, &holder("one"), Duration::from_millis(250), |waiting| {
        waited_for.push(waiting.server.to_owned());
        ControlFlow::Continue(())
    });
    assert!(locks.iter().all(|lock| matches!(lock, Err(LockError::InUse(Some(_))))));
    waited_for.dedup();
    assert_eq!(waited_for, ["web01:2083"], "what the first one used up is gone");
}

#[test]
fn of_many_that_want_a_server_at_once_each_has_it_alone() {
    let (_root, state) = state();
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (state, inside) = (&state, &inside);
            scope.spawn(move || {
                let holder = holder(&n.to_string());
                let locks = state.lock_all(&["web01:2083"], &holder, LONG, |_| ControlFlow::Continue(()));
                assert!(locks[0].is_ok());
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                std::thread::yield_now();
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
    });
}

const CHILDS_DIR: &str = "MAILSWEEP_TEST_STATE_DIR";

#[test]
fn a_process_that_is_killed_lets_its_servers_go() {
    let (root, state) = state();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "record::server_lock::tests::holds_a_lock_until_it_is_killed"])
        .args(["--ignored", "--nocapture"])
        .env(CHILDS_DIR, root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let holds = lines.map_while(Result::ok).any(|line| line.ends_with("holds it"));
    let seen = in_use(&state, "web01:2083");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(holds, "the other process never got the lock");
    assert_eq!(seen, Some(Some(holder("killed"))));
    let lock = state.lock("web01:2083", &holder("next")).unwrap();
    assert_eq!(lock.before, Before::Killed);
}

#[test]
#[ignore = "the other process of the test above"]
fn holds_a_lock_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILDS_DIR) else { return };
    let state = StateDir::at(dir, &Disk::default()).unwrap();
    let _lock = state.lock("web01:2083", &holder("killed")).unwrap();
    println!("holds it");
    std::thread::sleep(LONG);
}

#[test]
fn a_lock_on_a_disk_that_fails_is_refused_or_held_and_never_stays_behind() {
    use super::super::disk::testing::Ailment;
    for (ailment, at) in Ailment::ALL.into_iter().flat_map(|ailment| (0..6).map(move |at| (ailment, at))) {
        let (root, sound) = state();
        let (disk, count) = Disk::ill(at, ailment);
        let ill = StateDir::at(root.path(), &disk).unwrap();
        match ill.lock("web01:2083", &holder("ill")) {
            Ok(lock) => {
                assert_eq!(in_use(&sound, "web01:2083"), Some(Some(holder("ill"))), "{ailment:?} at {at}");
                drop(lock);
            }
            Err(LockError::State(fault)) => {
                assert!(count.get() > at && fault.exit() == crate::domain::Exit::Unwritable);
                assert_ne!(ailment, Ailment::WritesHalf);
            }
            Err(fault) => panic!("{ailment:?} at {at}: {fault}"),
        }
        let next = sound.lock("web01:2083", &holder("next")).unwrap();
        assert_eq!(in_use(&sound, "web01:2083"), Some(Some(holder("next"))), "{ailment:?} at {at}");
        drop(next);
    }
}
