//! What the tests share: a directory to work in, the program, a server to point it at.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use mailsweep::sandbox::{Options, Request, Sandbox, Script, World};

pub const USER: &str = "exampleu";
pub const TOKEN: &str = "T0KEN-NEVER-SHOWN-1234567890";

/// A place of its own for one test.
pub struct Place {
    dir: tempfile::TempDir,
    is_blind: bool,
}

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { dir, is_blind: false };
        place.write(
            "token",
            format!(
                "{TOKEN}
"
            ),
        );
        place
    }

    /// One whose runs read no state: for what is told of calls alone, where each request counts.
    pub fn blind() -> Place {
        Place { is_blind: true, ..Place::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, its owner's alone: it may hold a token.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub fn read(&self, name: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The program, in this place, with nothing of the environment that could leak into a test.
    pub fn mailsweep(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsweep"));
        command.args(args).current_dir(self.dir.path());
        if self.is_blind && args.first() == Some(&"run") {
            command.arg("--blind");
        }
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("MAILSWEEP_")) {
            command.env_remove(name);
        }
        command.env_remove("NO_COLOR").env_remove("RUST_LOG");
        command.env("XDG_STATE_HOME", self.path("state")).env("XDG_CONFIG_HOME", self.path("config"));
        command.stdin(std::process::Stdio::null());
        command
    }

    /// A run against a server, with the arguments that every one needs.
    pub fn run_against(&self, url: &str, args: &[&str]) -> Command {
        let mut all =
            vec!["run", "job.csv", "--server", url, "--user", USER, "--token-file", "token", "--yes"];
        all.extend(["--run-dir", "run"]);
        all.extend(args);
        self.mailsweep(&all)
    }

    /// The results of the run in `run`, one map of columns per operation.
    pub fn results(&self, run: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path(run).join("results.csv")).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// One column of the results.
    pub fn column(&self, run: &str, name: &str) -> Vec<String> {
        self.results(run).into_iter().map(|row| row[name].clone()).collect()
    }

    pub fn summary(&self, run: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(format!("{run}/summary.json"))).unwrap()
    }

    /// Everything in the place's files but the token file, for looking for what must not be there.
    pub fn all_bytes(&self) -> Vec<u8> {
        fn gather(dir: &Path, into: &mut Vec<u8>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    gather(&path, into);
                } else if path.file_name().is_none_or(|name| name != "token") {
                    into.extend(std::fs::read(&path).unwrap());
                }
            }
        }
        let mut all = Vec::new();
        gather(self.dir.path(), &mut all);
        all
    }
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end and checks its exit code.
pub fn expect(mut command: Command, expected: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(code(&output), expected, "{command:?}\n{}", stderr(&output));
    output
}

/// `n` mailboxes, each with its login and outgoing suspended.
pub fn job(n: usize) -> String {
    let rows = (0..n).map(|i| format!("user{i:03}@example.com,suspend,login+outgoing\n"));
    std::iter::once("email,action,channel\n".to_owned()).chain(rows).collect()
}

/// The mailboxes of [`job`].
pub fn mailboxes(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("user{i:03}@example.com")).collect()
}

/// A server with `n` mailboxes.
pub fn server(n: usize, latency_ms: u64, script: Script) -> Sandbox {
    let addresses = mailboxes(n);
    let world = World::for_mailboxes(USER, TOKEN, addresses.iter().map(String::as_str));
    let latency = Duration::from_millis(latency_ms);
    Sandbox::start(Options { world, latency, script, ..Options::default() }).unwrap()
}

/// A rate is kept on the client's clock, at the moment when a cell is taken. What is seen here is when
/// the request's head was read on the other side: later by the journal, the connection and both
/// processes' turns on a busy machine, and not always by the same. A window seen here can hold what the
/// client sent in one that was longer by the difference of two such delays. Without a limit the calls
/// of a test would all come within a few of these, so that the promise is still put to a test.
const DELAY_DIFFERENCE_S: f64 = 0.5;

/// Checks every window that begins and ends with a request.
pub fn assert_rate_is_kept(requests: &[Request], rate: f64, burst: f64) {
    let times: Vec<f64> = requests.iter().map(|request| request.started.as_secs_f64()).collect();
    for first in 0..times.len() {
        for last in first..times.len() {
            let window = times[last] - times[first];
            let most = rate * (window + DELAY_DIFFERENCE_S) + burst;
            let seen = last - first + 1;
            assert!(seen as f64 <= most, "{seen} requests in {window:.3} s from {:.3} s on", times[first]);
        }
    }
}

/// Waits until it is so; half a minute at most, for a machine that is busy.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Place {
    /// Waits until the run's journal has this word so often.
    pub fn wait_for_journal(&self, run: &str, word: &str, times: usize) {
        let path = self.path(run).join("journal.jsonl");
        wait_until(word, || {
            std::fs::read_to_string(&path).is_ok_and(|text| text.matches(word).count() >= times)
        });
    }
}

/// The journal's word for an operation that has ended.
pub const ENDED: &str = "\"t\":\"end\"";
