//! A sweep: many operations, of which few differ.

use super::panel::Panel;
use super::tale::{How, Tale};
use crate::domain::Status;

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_operations_of_which_ten_differ_cost_a_thousand_readings_and_ten_calls() {
    const ACCOUNTS: usize = 1000;
    const EACH: usize = 100;
    let names: Vec<String> =
        (0..ACCOUNTS * EACH).map(|i| format!("m{i}@a{}.web.example", i / EACH)).collect();
    let differs = |i: usize| i % 10_007 == 17;
    let flags = |(i, name): (usize, &String)| {
        (name.clone(), if differs(i) { "nnnn" } else { "ynnn" }.parse().unwrap())
    };
    let panel = Panel::new("web", names.iter().enumerate().map(flags));
    let rows: String = names.iter().map(|name| format!("{name},suspend,login\n")).collect();
    let mut tale = Tale::new(&rows);
    tale.session(&[&panel], How::default().limits("none", 16)).await;
    let standings = tale.standings();
    let count = |status| standings.iter().filter(|standing| standing.status == status).count();
    assert_eq!((count(Status::Ok), count(Status::Unchanged)), (10, ACCOUNTS * EACH - 10));
    assert!(standings.iter().all(|standing| standing.verified == Some(true)));
    let after = tale.readings_after();
    assert_eq!((panel.calls(), panel.count("read") - after), (10, ACCOUNTS));
    assert!(after <= 10, "{after}");
    println!("{} readings before, {} calls, {after} readings after", ACCOUNTS, panel.calls());
}
