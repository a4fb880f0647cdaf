//! A run to be audited, and what an audit finds.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::process::Output;

use mailsweep::sandbox::{Fault, Rule, Sandbox, Script};

use crate::support::{Place, code, expect, job, server, stderr, stdout};

pub const MAILBOXES: usize = 3;

/// A run of two sessions that have ended, on a server that is there still.
pub fn ended() -> (Place, Sandbox) {
    ended_with(MAILBOXES)
}

pub fn ended_with(mailboxes: usize) -> (Place, Sandbox) {
    let place = Place::new();
    let fails = Rule::new(Fault::ApiFailure("=Busy, ü".into())).email("user001");
    let sandbox = server(mailboxes, 0, Script::of([fails.function("suspend_login")]));
    let text = job(mailboxes).replace("channel\n", "channel,note\n").replace("outgoing\n", "outgoing,0815\n");
    place.write("job.csv", text);
    expect(place.run_against(&sandbox.url(), &["--rate", "none", "--jobs", "1"]), 1);
    expect(place.mailsweep(&["resume", "run", "--retry-failed"]), 1);
    (place, sandbox)
}

/// What an audit finds: each file's verdict, its line and what is said of it.
pub struct Found {
    pub code: i32,
    pub told: String,
    pub json: serde_json::Value,
}

impl Found {
    pub fn of(place: &Place, run: &str, args: &[&str]) -> Found {
        let mut command = place.mailsweep(&["audit", run, "--json"]);
        let output = command.args(args).output().unwrap();
        let json = serde_json::from_str(&stdout(&output)).unwrap_or_default();
        Found { code: code(&output), told: stderr(&output), json }
    }

    pub fn file(&self, name: &str) -> (&str, Option<u64>, &str) {
        let files = self.json["files"].as_array().unwrap_or_else(|| panic!("{}", self.told));
        let finding = files.iter().find(|finding| finding["file"] == name).unwrap();
        let text = |key: &str| finding[key].as_str().unwrap();
        (text("verdict"), finding["line"].as_u64(), text("says"))
    }

    /// The files against which something is said.
    pub fn unsound(&self) -> Vec<&str> {
        let files = self.json["files"].as_array().unwrap_or_else(|| panic!("{}", self.told));
        let is_sound = |verdict: &serde_json::Value| verdict == "ok" || verdict == "not_yet";
        files.iter().filter(|f| !is_sound(&f["verdict"])).map(|f| f["file"].as_str().unwrap()).collect()
    }
}

pub fn audit(place: &Place) -> Found {
    Found::of(place, "run", &[])
}

/// Every file of the run, with its bytes and the time of its last change.
pub fn everything(place: &Place) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let files = std::fs::read_dir(place.path("run")).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let changed = path.metadata().unwrap().modified().unwrap();
            (path.display().to_string(), (std::fs::read(&path).unwrap(), changed))
        })
        .collect()
}

pub fn resume(place: &Place) -> Output {
    place.mailsweep(&["resume", "run", "--retry-failed"]).output().unwrap()
}

/// The lines of a text, each with its end.
pub fn lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}
