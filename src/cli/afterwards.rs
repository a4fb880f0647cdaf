//! Who else is told when a session has ended: a monitoring system by a file, and anybody by a command.
//! Neither can make a session fail: what goes wrong here is a warning.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::args::AfterwardsArgs;
use super::report::check_place;
use super::settings::{PASSWORD_VARIABLE, TOKEN_VARIABLE};
use super::show::Live;
use crate::domain::{clean, clip};
use crate::fleet::Config;
use crate::record::{Disk, RunDir, Summary, Tally};
use crate::view;

/// What is told to whom.
#[derive(Default)]
pub struct Afterwards {
    metrics_file: Option<PathBuf>,
    notify_command: Option<String>,
}

/// A command is waited for so long.
const NOTIFY_TIME: Duration = Duration::from_secs(30);

/// Where a command finds the run.
const RUN_DIR_VARIABLE: &str = "MAILSWEEP_RUN_DIR";

/// Of an old file of metrics, no more than this is read.
const MOST_BYTES: u64 = 1 << 20;

impl Afterwards {
    /// What flags and configuration say; a flag goes over the configuration.
    ///
    /// # Errors
    /// If a file is to be written where none can be: that is better known before the first call.
    pub fn new(args: &AfterwardsArgs, config: &Config) -> anyhow::Result<Afterwards> {
        let metrics_file = args.metrics_file.as_ref().or(config.metrics_file.as_ref()).cloned();
        if let Some(to) = &metrics_file {
            check_place("--metrics-file", to)?;
        }
        let notify_command = args.notify_command.as_ref().or(config.notify_command.as_ref()).cloned();
        Ok(Afterwards { metrics_file, notify_command })
    }

    /// Tells them.
    pub fn tell(
        &self,
        disk: &Disk,
        dir: &RunDir,
        input: &str,
        summary: &Summary,
        tally: &Tally,
        live: &Live,
    ) {
        if let Some(path) = &self.metrics_file
            && let Err(fault) = write_metrics(disk, path, input, summary, tally)
        {
            live.note(&format!("warning: the metrics could not be written to {}: {fault}", path.display()));
        }
        if let Some(command) = &self.notify_command
            && let Err(why) = notify(command, dir, summary, NOTIFY_TIME)
        {
            live.note(&format!("warning: the notify command `{}` {why}", clip(&clean(command), 200)));
        }
    }
}

fn write_metrics(
    disk: &Disk,
    path: &Path,
    input: &str,
    summary: &Summary,
    tally: &Tally,
) -> std::io::Result<()> {
    let mut before = String::new();
    // That there is none, or none that is text, is no fault: it is replaced.
    let _ = std::fs::File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut before));
    let text = view::metrics(input, summary, &tally.figures, &before);
    disk.write_whole_for_all(path, |out| out.write_all(text.as_bytes()))
}

/// Runs the command, in a group of its own so that a time-out ends all of it.
fn notify(command: &str, dir: &RunDir, summary: &Summary, time: Duration) -> Result<(), String> {
    let deadline = Instant::now() + time;
    let json = serde_json::to_vec_pretty(summary).map_err(|fault| fault.to_string())?;
    let run_dir = std::path::absolute(dir.path()).unwrap_or_else(|_| dir.path().to_owned());
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .env_remove(TOKEN_VARIABLE)
        .env_remove(PASSWORD_VARIABLE)
        .env(RUN_DIR_VARIABLE, run_dir)
        .stdin(Stdio::piped())
        // What was asked for on standard output stays alone there.
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|fault| format!("cannot be started: {fault}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A thread, since a command need not read; that it does not is no fault.
        std::thread::spawn(move || stdin.write_all(&json));
    }
    let (tell, told) = std::sync::mpsc::channel();
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || {
            let mut words = Vec::new();
            let mut stderr = stderr;
            let _ = (&mut stderr).take(4096).read_to_end(&mut words);
            let _ = tell.send(String::from_utf8_lossy(&words).into_owned());
            // It must not be stopped by a pipe that nobody empties.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        });
    }
    let status = loop {
        match child.try_wait().map_err(|fault| fault.to_string())? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                end(&mut child);
                return Err(format!("did not end within {} seconds and was stopped", time.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if status.success() {
        return Ok(());
    }
    let how = match status.code() {
        Some(code) => format!("failed with code {code}"),
        None => format!("was ended by signal {}", status.signal().unwrap_or_default()),
    };
    // Something that it left behind may hold the pipe open.
    let words = told.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
    let words = clip(&clean(&words), 300);
    Err(if words.is_empty() { how } else { format!("{how}: {words}") })
}

fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(command: &str, time: Duration) -> Result<(), String> {
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(
            &Disk::default(),
            Some(&place.path().join("run")),
            place.path(),
            "job",
            Default::default(),
        )
        .unwrap();
        let summary = Summary {
            run_id: "the run".into(),
            exit_code: 0,
            started_at: String::new(),
            ended_at: String::new(),
            operations: 0,
            counts: Default::default(),
            verified: 0,
            error_classes: Default::default(),
            channels: Default::default(),
            sessions_ended: None,
            undone: Vec::new(),
            servers: Vec::new(),
            sessions: Vec::new(),
            chain: None,
        };
        notify(command, &dir, &summary, time)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_command_gets_the_summary_and_the_place_of_the_run() {
        let command = "grep -q '\"run_id\": \"the run\"' && test -d \"$MAILSWEEP_RUN_DIR\"";
        assert_eq!(told(command, LONG), Ok(()));
        assert_eq!(told("true", LONG), Ok(()), "it need not read");
    }

    #[test]
    fn what_it_says_when_it_fails_is_told() {
        let why = told("echo 'no \u{1b}[2Jroute' >&2; exit 3", LONG).unwrap_err();
        assert_eq!(why, "failed with code 3: no [2Jroute");
        assert_eq!(told("kill -9 $$", LONG).unwrap_err(), "was ended by signal 9");
        let loud = "head -c 1000000 /dev/zero >&2; exit 1";
        assert!(told(loud, LONG).unwrap_err().starts_with("failed with code 1"));
    }

    #[test]
    fn one_that_does_not_end_is_stopped_with_all_that_it_has_started() {
        let place = tempfile::tempdir().unwrap();
        let mark = place.path().join("pid");
        let command = format!("sleep 600 & echo $! > {}; wait", mark.display());
        let why = told(&command, Duration::from_secs(3)).unwrap_err();
        assert!(why.contains("was stopped"), "{why}");
        let pid = std::fs::read_to_string(&mark).unwrap();
        let status = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let is_gone = |stat: String| stat.is_empty() || stat.contains(") Z ");
        let begun = Instant::now();
        while !is_gone(status()) {
            assert!(begun.elapsed() < LONG, "it still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
