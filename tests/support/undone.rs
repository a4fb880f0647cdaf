//! A run of three mailboxes that is undone, for the tests of that.
#![allow(dead_code, reason = "each test file uses its part")]

use std::process::Command;

use mailsweep::sandbox::{Sandbox, Script};

use crate::states::{set, states};
use crate::support::{Place, expect, server};

pub const ALL: &str = "email,action,channel\nuser000@example.com,suspend,all\nuser001@example.com,suspend,all\n\
                   user002@example.com,suspend,all\n";

/// `undo run` into `undo`.
pub fn undo(place: &Place, args: &[&str]) -> Command {
    undo_of(place, "run", "undo", args)
}

pub fn undo_of(place: &Place, run: &str, into: &str, args: &[&str]) -> Command {
    let mut command = place.mailsweep(&["undo", run, "--yes", "--run-dir", into, "--rate", "none"]);
    command.args(args);
    command
}

/// A run of `rows` against a server of `n` mailboxes, which `prepare` has made what they are.
pub fn done(n: usize, rows: &str, prepare: impl Fn(&Sandbox), args: &[&str], code: i32) -> (Place, Sandbox) {
    let place = Place::new();
    place.write("job.csv", rows);
    let sandbox = server(n, 0, Script::default());
    prepare(&sandbox);
    let mut run = place.run_against(&sandbox.url(), &["--rate", "none"]);
    run.args(args);
    expect(run, code);
    (place, sandbox)
}

/// [`done`] of [`ALL`], some of whose mailboxes were suspended for other reasons.
pub fn suspended() -> (Place, Sandbox) {
    let prepare = |sandbox: &Sandbox| {
        set(sandbox, "user001@example.com", "l");
        set(sandbox, "user002@example.com", "io");
    };
    done(3, ALL, prepare, &[], 0)
}

/// The letters of all mailboxes, one word each.
pub fn all(sandbox: &Sandbox) -> String {
    states(sandbox).into_values().collect::<Vec<_>>().join(" ")
}
