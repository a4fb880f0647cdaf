//! A run lives through whatever the disk does. Each operation of a small run fails once, in each way
//! that there is; the disk is mended, the run resumed; then the servers and the results are as if
//! nothing had been.

use super::testing::{Place, assert_as_unbroken};
use crate::domain::Exit;
use crate::record::{Ailment, Disk};

/// Lets each operation of one session fail in each way, and has the run resumed on a sound disk.
/// `before` is what happens until that session.
fn fail_each(before: impl Fn(&Place)) -> u64 {
    let mut faults = 0;
    for ailment in Ailment::ALL {
        for at in 0.. {
            let what = format!("{ailment:?} at operation {at}");
            let place = Place::new();
            before(&place);
            let (disk, count) = Disk::ill(at, ailment);
            let exit = place.go_on(&disk);
            if count.get() <= at {
                break;
            }
            faults += 1;
            let expected = if ailment == Ailment::WritesHalf { Exit::Incomplete } else { Exit::Unwritable };
            // A full disk is no fault to an operation that needs no room, if it is the last one.
            let is_well = exit == Exit::Incomplete && ailment == Ailment::IsFull && count.get() == at + 1;
            assert!(exit == expected || is_well, "{what}: {exit:?}");
            if exit == Exit::Unwritable {
                assert_eq!(place.go_on(&Disk::default()), Exit::Incomplete, "{what}: resumed");
            }
            assert_as_unbroken(&place, &what);
        }
    }
    faults
}

#[test]
fn whatever_operation_of_a_run_fails_it_resumes_to_the_same_end() {
    let faults = fail_each(|_| {});
    println!("{faults} faults");
    assert!(faults > 100, "only {faults} faults");
}

#[test]
fn whatever_operation_of_a_resume_fails_it_resumes_to_the_same_end() {
    // The first session ends in the middle of the run.
    let halfway = |place: &Place| {
        let (disk, count) = Disk::ill(u64::MAX, Ailment::FailsOnce);
        Place::new().run(&disk);
        let (disk, _) = Disk::ill(count.get() / 2, Ailment::IsFull);
        assert_eq!(place.run(&disk), Exit::Unwritable);
        let journal = std::fs::read_to_string(place.path("run/journal.jsonl")).unwrap();
        assert!(journal.contains("\"t\":\"end\"") && !journal.contains("\"t\":\"close\""), "{journal}");
    };
    let faults = fail_each(halfway);
    println!("{faults} faults");
    assert!(faults > 60, "only {faults} faults");
}

#[test]
fn a_run_that_is_through_stays_as_it_is_when_it_is_resumed() {
    let place = Place::new();
    assert_eq!(place.run(&Disk::default()), Exit::Incomplete);
    let files = || {
        ["results.csv", "journal.jsonl", "summary.json"]
            .map(|name| std::fs::read(place.path("run").join(name)))
    };
    let before = files().map(Result::unwrap);
    let (disk, count) = Disk::ill(u64::MAX, Ailment::FailsOnce);
    assert_eq!(place.resume(&disk), Exit::Incomplete);
    assert!(files().map(Result::unwrap) == before);
    println!("{} operations", count.get());
}
