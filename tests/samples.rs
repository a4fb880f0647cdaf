//! The samples for schedulers do what they say: their commands are run as they stand, twice, against
//! servers of the sandbox.
#![cfg(unix)]

#[path = "support/fleet.rs"]
mod fleet;
mod support;

use std::path::Path;
use std::process::{Command, Output};

use fleet::{called, logins, serve, whm};
use mailsweep::sandbox::Sandbox;
use support::{Place, code, stderr, stdout};

const MAILBOXES: [&str; 3] = ["u0@a.example u1@a.example", "u0@b.example", "u0@c.example"];

/// A place that stands for the machine: the servers, their token, and the list under both its names.
fn machine() -> (Place, [Sandbox; 3]) {
    let servers = [("alfa", 0), ("beta", 1), ("gamma", 2)].map(|(user, n)| serve(&[(user, MAILBOXES[n])]));
    let place = Place::new();
    let entries: Vec<String> =
        (1..).zip(&servers).map(|(n, server): (u32, _)| whm(&format!("web0{n}"), &server.url())).collect();
    place.configure(&entries);
    let config = place.read("mailsweep.toml");
    let runs = place.path("data/runs");
    place.write("mailsweep.toml", format!("runs_dir = \"{}\"\n{config}", runs.display()));
    for list in ["sweep.csv", "job.csv"] {
        place.write(list, logins(&MAILBOXES) + "gone@a.example,suspend,login\n");
    }
    std::fs::create_dir(place.path("data")).unwrap();
    (place, servers)
}

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The command with this machine's paths. How much may change is each one's own affair, and here it
/// is everything.
fn at_home(place: &Place, command: &str) -> String {
    let here = place.path("").display().to_string();
    let here = here.trim_end_matches('/');
    let mut out = command.to_owned();
    for (there, here) in [
        ("/usr/bin/mailsweep", env!("CARGO_BIN_EXE_mailsweep")),
        ("/etc/mailsweep", here),
        ("/var/lib/mailsweep", here),
        ("/config", here),
        ("/data", &format!("{here}/data")),
    ] {
        out = out.replace(there, here);
    }
    let guard = out.find("--max-changes ").expect("a sweep without a guard against a broken list");
    let rest = out[guard + "--max-changes ".len()..].split_once(' ').unwrap().1.to_owned();
    out.truncate(guard);
    out + &rest
}

/// Runs it in a shell, as whoever schedules it does, with the program in the path.
fn run(place: &Place, command: &str, index: Option<&str>) -> Output {
    let bin = Path::new(env!("CARGO_BIN_EXE_mailsweep")).parent().unwrap().display();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(place.path("data")).env("PATH", path);
    shell.env("XDG_STATE_HOME", place.path("state")).env("XDG_CONFIG_HOME", place.path("config"));
    shell.stdin(std::process::Stdio::null());
    if let Some(index) = index {
        shell.env("JOB_COMPLETION_INDEX", index);
    }
    shell.output().unwrap()
}

fn silent(output: &Output) {
    assert_eq!(code(output), 0, "{}", stderr(output));
    assert_eq!((stdout(output), stderr(output)), (String::new(), String::new()), "nobody is to be told");
}

/// The mailboxes that were called for, sorted: calls that go out together come in any order.
fn called_for(server: &Sandbox) -> Vec<String> {
    let mut mailboxes = called(server);
    mailboxes.sort();
    mailboxes
}

/// Run twice, each time without a word, with the servers as the list says.
fn is_a_sweep(command: &str) {
    let (place, servers) = machine();
    let command = at_home(&place, command);
    for flag in ["--yes", "-q", "--wait 30m", "--tolerate no_such_mailbox"] {
        assert!(command.contains(flag), "{flag}: {command}");
    }
    silent(&run(&place, &command, None));
    assert_eq!(called_for(&servers[0]), ["gone@a.example", "u0@a.example", "u1@a.example"]);
    silent(&run(&place, &command, None));
    for server in &servers {
        assert!(server.world().mailboxes().all(|(_, _, state)| state.flags.login));
    }
    let runs = std::fs::read_dir(place.path("data/runs")).unwrap().count();
    assert_eq!(runs, 2, "each is kept");
}

#[test]
fn the_systemd_service_is_a_sweep() {
    let unit = sample("systemd/mailsweep.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(!command.replace("%%", "").contains('%'), "a percent sign is written twice in a unit");
    is_a_sweep(&command.replace("%%", "%"));
}

#[test]
fn the_cron_line_is_a_sweep() {
    let table = sample("cron/mailsweep");
    let line = table.lines().rfind(|line| !line.is_empty()).unwrap();
    let fields: Vec<&str> = line.splitn(7, [' ', '\t']).collect();
    assert_eq!(fields[..6], ["17", "3", "*", "*", "*", ""], "{line}");
    let (user, command) = fields[6].trim_start().split_once("  ").unwrap();
    assert_eq!(user, "mailsweep");
    // cron ends a command at a percent sign, unless a backslash stands before it.
    assert!(!command.replace("\\%", "").contains('%'), "{command}");
    is_a_sweep(&command.replace("\\%", "%"));
}

/// The words of the first container's command.
fn command_of(manifest: &str) -> Vec<String> {
    let line = manifest.lines().find_map(|line| line.trim_start().strip_prefix("command: ")).unwrap();
    serde_json::from_str(line).unwrap()
}

#[test]
fn the_kubernetes_cron_job_is_a_sweep() {
    let manifest = sample("kubernetes/cronjob.yaml");
    assert!(manifest.contains("concurrencyPolicy: Forbid"));
    let words = command_of(&manifest);
    is_a_sweep(&shlex::try_join(words.iter().map(String::as_str)).unwrap());
}

#[test]
fn the_pods_of_the_indexed_job_do_it_together_and_may_be_started_again() {
    let manifest = sample("kubernetes/indexed-job.yaml");
    let words = command_of(&manifest);
    assert_eq!(words[..2], ["/bin/sh", "-c"]);
    let (place, servers) = machine();
    let command = at_home(&place, &words[2]);
    for index in ["0", "1", "2"] {
        silent(&run(&place, &command, Some(index)));
    }
    let all: Vec<Vec<String>> = servers.iter().map(called_for).collect();
    assert_eq!(all[0], ["gone@a.example", "u0@a.example", "u1@a.example"]);
    assert_eq!((&*all[1], &*all[2]), (&["u0@b.example".to_owned()][..], &["u0@c.example".to_owned()][..]));
    // A pod that is started again finds its run.
    for index in ["0", "1", "2"] {
        silent(&run(&place, &command, Some(index)));
    }
    assert_eq!(servers.iter().map(called_for).collect::<Vec<_>>(), all, "nothing was sent again");
    let merge = manifest.lines().find_map(|line| line.strip_prefix("#   mailsweep merge ")).unwrap();
    let data = place.path("data").display().to_string();
    let merged = run(&place, &format!("mailsweep merge {}", merge.replace("/data", &data)), None);
    assert_eq!(code(&merged), 0, "{}", stderr(&merged));
    let statuses = place.column("data/breach", "status");
    assert_eq!(statuses, ["ok", "ok", "ok", "ok", "failed"]);
}

#[test]
fn systemd_takes_the_units() {
    let place = Place::new();
    let unit = sample("systemd/mailsweep.service").replace("/usr/bin/mailsweep", "/bin/true");
    place.write("mailsweep.service", unit);
    place.write("mailsweep.timer", sample("systemd/mailsweep.timer"));
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "./mailsweep.service", "./mailsweep.timer"]);
    match verify.current_dir(place.path("")).output() {
        Ok(told) => assert!(told.status.success() && told.stderr.is_empty(), "{}", stderr(&told)),
        Err(_) => println!("systemd-analyze is not here: what systemd says of the units was not asked"),
    }
}
