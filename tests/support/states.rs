//! What mailboxes are, what was read of them and what was called for.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};

use mailsweep::domain::Flags;
use mailsweep::sandbox::{MailboxState, Sandbox};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Place, wait_until};

/// Flags by the letters of those that are set: `l`ogin, `i`ncoming, `o`utgoing, `h`eld.
pub fn flags(letters: &str) -> Flags<bool> {
    let has = |letter| letters.contains(letter);
    Flags { login: has('l'), incoming: has('i'), outgoing: has('o'), held: has('h') }
}

/// The same the other way round; `-` if none is set.
pub fn letters(flags: Flags<bool>) -> String {
    let all = [(flags.login, 'l'), (flags.incoming, 'i'), (flags.outgoing, 'o'), (flags.held, 'h')];
    let set: String = all.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter).collect();
    if set.is_empty() { "-".to_owned() } else { set }
}

/// Makes a mailbox what somebody else might have made it.
pub fn set(sandbox: &Sandbox, address: &str, letters: &str) {
    set_held(sandbox, address, letters, 0);
}

/// The same with so many messages in its queue.
pub fn set_held(sandbox: &Sandbox, address: &str, letters: &str, held_messages: u32) {
    let state = MailboxState { flags: flags(letters), held_messages, sent_messages: 0 };
    assert!(sandbox.change(|world| world.set_mailbox(address, state)).unwrap(), "{address}");
}

/// What every mailbox is, in letters.
pub fn states(sandbox: &Sandbox) -> BTreeMap<String, String> {
    sandbox.world().mailboxes().map(|(address, _, state)| (address, letters(state.flags))).collect()
}

/// What one mailbox is, in letters.
pub fn state(sandbox: &Sandbox, address: &str) -> String {
    letters(sandbox.world().mailbox(address).unwrap().flags)
}

/// The calls that change something, as `FUNCTION ADDRESS`, in order.
pub fn changing(sandbox: &Sandbox) -> Vec<String> {
    let reads = ["list_", "get_", "getdomainowner", "uapi_cpanel"];
    let requests = sandbox.requests().into_iter();
    let requests = requests.filter(|request| !reads.iter().any(|read| request.function.starts_with(read)));
    requests.map(|request| format!("{} {}", request.function, request.email.unwrap_or_default())).collect()
}

/// How often the mailboxes of an account were read.
pub fn readings(sandbox: &Sandbox) -> usize {
    sandbox.requests().iter().filter(|request| request.function == "list_pops_with_disk").count()
}

impl Place {
    /// Each result of a run as `ADDRESS ACTION CHANNEL STATUS` with `/CLASS` if there is one, the
    /// address without its domain.
    pub fn told(&self, run: &str) -> Vec<String> {
        self.told_in(&format!("{run}/results.csv"))
    }

    /// The same from a file in the form of results.
    pub fn told_in(&self, file: &str) -> Vec<String> {
        let tell = |row: BTreeMap<String, String>| {
            let name = row["email"].split('@').next().unwrap_or_default().to_owned();
            let class = if row["error_class"].is_empty() { "" } else { "/" };
            format!(
                "{name} {} {} {}{class}{}",
                row["action"], row["channel"], row["status"], row["error_class"]
            )
        };
        self.csv(file).into_iter().map(tell).collect()
    }

    /// A CSV file, one map of columns per row.
    pub fn csv(&self, file: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path(file)).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// Every file under a directory of the place, with its bytes.
    pub fn bytes_of(&self, dir: &str) -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(self.path(dir)).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
    }
}

/// A terminal: the program's side of it as two descriptors, and ours.
pub fn terminal() -> (OwnedFd, [Stdio; 2]) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (ours, [theirs.try_clone().unwrap().into(), theirs.into()])
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for its end, but not for ever.
pub fn ended(child: &mut Child) -> ExitStatus {
    wait_until("the program's end", || child.try_wait().unwrap().is_some());
    child.wait().unwrap()
}
