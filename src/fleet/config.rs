//! The configuration file: many servers, and what holds for all runs.

mod entry;
mod fault;
#[cfg(test)]
mod fault_tests;
mod merge;
mod section;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use self::entry::{Around, name_of};
pub use self::fault::ConfigError;
use self::fault::Faults;
use self::merge::{Configured, merge};
use self::section::{Kind, Section, kind_of};
use super::protect::Protect;
use super::server::{Fleet, Server};
use crate::domain::Classes;
use crate::engine::{Limits, MaxChanges, SomeLimits};
use crate::uapi::Method;

/// What a configuration file says, checked. The default is that of a file that says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Mailboxes that are never touched.
    pub protect: Protect,
    /// Where runs are kept, absolute.
    pub runs_dir: Option<PathBuf>,
    /// Who runs it.
    pub operator: Option<String>,
    /// Why it is run.
    pub ticket: Option<String>,
    /// Whether a run without a ticket is refused.
    pub require_ticket: bool,
    /// How much a run may change.
    pub max_changes: Option<MaxChanges>,
    /// Whether an account is left whose state cannot be read.
    pub require_state: bool,
    /// How old a state may be.
    pub state_max_age: Option<Duration>,
    /// Where a session's figures are written for Prometheus, absolute.
    pub metrics_file: Option<PathBuf>,
    /// What is run at the end of a session.
    pub notify_command: Option<String>,
    /// Whether plain http may go to other hosts than this one; already applied to the servers here.
    pub allow_plaintext: bool,
    /// How calls are sent where no server says otherwise; already applied to the servers here.
    pub method: Option<Method>,
    /// Limits of `[defaults]`.
    pub defaults: SomeLimits,
    /// Error classes that count for nothing where no flag says otherwise.
    pub tolerate: Classes,
    servers: Vec<Configured>,
}

/// The file's name wherever it is looked for.
const NAME: &str = "mailsweep.toml";

/// A configuration is no longer than this, in bytes: room for 100,000 domains.
const MOST_BYTES: u64 = 8 << 20;

impl Config {
    /// The file to read: the one that was named, whether or not it is there; else `mailsweep.toml`
    /// in `cwd` (which may be empty, for shorter messages), in `xdg_config_home`/mailsweep, or where
    /// that is not set in `home`/.config/mailsweep. `None` if there is none.
    ///
    /// One that is there but cannot be read is the one: passing it over would lift its protection.
    pub fn find(
        explicit: Option<&Path>,
        cwd: &Path,
        xdg_config_home: Option<&Path>,
        home: Option<&Path>,
    ) -> Option<PathBuf> {
        if let Some(path) = explicit {
            return Some(path.to_owned());
        }
        // The base directory specification has relative paths ignored, empty ones among them.
        let absolute = |path: &&Path| path.is_absolute();
        let user = xdg_config_home.filter(absolute).map(Path::to_owned);
        let user = user.or_else(|| home.filter(absolute).map(|home| home.join(".config")));
        let user = user.map(|dir| dir.join("mailsweep").join(NAME));
        [Some(cwd.join(NAME)), user].into_iter().flatten().find(|path| {
            use std::io::ErrorKind::{NotADirectory, NotFound};
            let found = std::fs::symlink_metadata(path);
            !found.is_err_and(|fault| matches!(fault.kind(), NotFound | NotADirectory))
        })
    }

    /// Reads a file. `home` is what `~/` stands for in it; `allow_plaintext` allows what the file's
    /// own key does.
    ///
    /// # Errors
    /// If it cannot be read, or with all that is wrong in it.
    pub fn read(path: &Path, home: Option<&Path>, allow_plaintext: bool) -> Result<Config, ConfigError> {
        let unread = |fault| ConfigError::unread(path, fault);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unread)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
        let of_bytes = |upto: usize| bytes[..upto].iter().filter(|byte| **byte == b'\n').count() + 1;
        if bytes.len() as u64 > MOST_BYTES {
            let text = format!("is longer than {} MiB: not a configuration", MOST_BYTES >> 20);
            return Err(ConfigError::one(path, of_bytes(bytes.len()), text));
        }
        let text = std::str::from_utf8(&bytes).map_err(|fault| {
            let line = of_bytes(fault.valid_up_to());
            ConfigError::one(path, line, "is not UTF-8 text: save the file as UTF-8".to_owned())
        })?;
        Config::parse(text, path, home, allow_plaintext)
    }

    /// Takes the text of the file at `path`, which is not read, but named in errors; relative paths
    /// in the text are relative to its directory. Else as [`read`](Config::read).
    ///
    /// # Errors
    /// With all that is wrong in it.
    pub fn parse(
        text: &str,
        path: &Path,
        home: Option<&Path>,
        allow_plaintext: bool,
    ) -> Result<Config, ConfigError> {
        let absolute = std::path::absolute(path).map_err(|fault| ConfigError::unread(path, fault))?;
        let dir = absolute.parent().unwrap_or(Path::new("/"));
        let mut faults = Faults::of(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut last = 0;
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            // Where one thing is wrong the parser stumbles several times. Its message alone is
            // taken: its Display repeats the line.
            if std::mem::replace(&mut last, faults.line(at)) != faults.line(at) {
                faults.add(at, format!("not TOML: {}", error.message()));
            }
        }
        // What could be saved from a broken file would give faults that are none.
        let mut config = Config::default();
        if faults.is_empty() {
            config = top(table.get_ref(), dir, home, allow_plaintext, &mut faults);
        }
        faults.end(path).map(|()| config)
    }

    /// The servers with their limits resolved: flags over server over `[defaults]` over the
    /// program's own.
    pub fn fleet(&self, flags: &SomeLimits) -> Fleet {
        let servers = self.servers.iter().map(|Configured { server, limits }| {
            let limits = flags.clone().or(limits.clone()).or(self.defaults.clone());
            Server { limits: limits.over(Limits::default()), ..server.clone() }
        });
        Fleet { servers: servers.collect(), protect: self.protect.clone() }
    }

    /// The limits of a server that is not in the file: flags over `[defaults]` over the program's
    /// own.
    pub fn limits(&self, flags: &SomeLimits) -> Limits {
        flags.clone().or(self.defaults.clone()).over(Limits::default())
    }
}

/// Reads the whole file's table.
fn top(
    table: &DeTable<'_>,
    dir: &Path,
    home: Option<&Path>,
    allow_plaintext: bool,
    faults: &mut Faults,
) -> Config {
    let section = Section { kind: Kind::Top, table, label: "the file".to_owned(), at: 0 };
    section.check_keys(faults);
    let allow_plaintext = section.yes("allow_plaintext", faults) || allow_plaintext;
    let (defaults, method, tolerate) = defaults(&section, faults);
    let around = Around { dir, home, allow_plaintext, method };
    let mut protect = Protect::default();
    for (n, given) in section.texts("protect", faults).into_iter().enumerate() {
        if let Err(why) = protect.add(given.value) {
            section.wrong(given.at, "protect", &format!("is wrong: entry {} {why}", n + 1), faults);
        }
    }
    let text = |key, faults: &mut Faults| section.text(key, faults).map(|given| given.value.to_owned());
    Config {
        protect,
        runs_dir: around.path_at(&section, "runs_dir", faults),
        operator: text("operator", faults),
        ticket: text("ticket", faults),
        require_ticket: section.yes("require_ticket", faults),
        max_changes: section.max_changes(faults),
        require_state: section.yes("require_state", faults),
        state_max_age: section.time("state_max_age", faults),
        metrics_file: around.path_at(&section, "metrics_file", faults),
        notify_command: text("notify_command", faults),
        allow_plaintext,
        method,
        defaults,
        tolerate,
        servers: servers(&section, &around, faults),
    }
}

fn defaults(top: &Section<'_>, faults: &mut Faults) -> (SomeLimits, Option<Method>, Classes) {
    let Some(given) = top.get("defaults") else { return Default::default() };
    let DeValue::Table(table) = given.value else {
        let found = kind_of(given.value);
        faults.add(given.at, format!("“defaults” must be one table, [defaults], not {found}"));
        return Default::default();
    };
    let section = Section { kind: Kind::Defaults, table, label: "[defaults]".to_owned(), at: given.at };
    section.check_keys(faults);
    (section.limits(faults), section.method(faults), section.classes("tolerate", faults))
}

fn servers(top: &Section<'_>, around: &Around<'_>, faults: &mut Faults) -> Vec<Configured> {
    let Some(given) = top.get("server") else { return Vec::new() };
    let DeValue::Array(items) = given.value else {
        let hint = "each server begins with [[server]], in two brackets";
        faults.add(given.at, format!("“server” must not be {}: {hint}", kind_of(given.value)));
        return Vec::new();
    };
    let mut entries = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let at = item.span().start;
        let DeValue::Table(table) = item.get_ref() else {
            let found = kind_of(item.get_ref());
            faults.add(at, format!("“server” must be a list of tables, [[server]]: one is {found}"));
            continue;
        };
        let mut section = Section { kind: Kind::Server, table, label: String::new(), at };
        section.label = match name_of(&section) {
            Some(name) => format!("[[server]] “{name}”"),
            None => format!("[[server]] number {}", n + 1),
        };
        entries.extend(entry::read(&section, around, faults));
    }
    merge(entries, faults)
}
