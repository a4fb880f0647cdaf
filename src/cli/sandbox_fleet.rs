//! `mailsweep sandbox --servers N`: several WHM servers at once, with a configuration that names them
//! and a job that spans them.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, anyhow};

use super::Failure;
use super::args::SandboxArgs;
use super::sandbox::{make_dir, say_until_signalled, unwritable};
use super::show;
use crate::domain::Exit;
use crate::record::write_whole;
use crate::sandbox::{Authority, Options, Sandbox, Script, Tls, World};
use crate::view;

/// One server, by its name in the configuration.
struct Server {
    name: String,
    sandbox: Sandbox,
}

/// Serves until a signal comes.
pub(super) fn serve(args: &SandboxArgs, servers: u16, script: &Script, dir: &Path) -> Result<Exit, Failure> {
    let authority = args.tls.then(Authority::new).transpose().context("no certificate can be made")?;
    let worlds = World::seeded_fleet(args.seed, servers.into(), args.accounts, args.mailboxes);
    let mut fleet = Vec::new();
    for (index, world) in (0..).zip(worlds) {
        let port = match args.port {
            0 => 0,
            first => first.checked_add(index).ok_or_else(|| {
                anyhow!("--port {first}: not enough ports from there on for {servers} servers")
            })?,
        };
        let options = Options {
            port,
            world,
            latency: args.latency,
            seed: args.seed,
            script: script.clone(),
            log_requests: false,
            capacity: args.capacity,
            capacity_later: args.capacity_later,
            tls: authority.clone().map(|authority| Tls { authority: Some(authority), ..Tls::default() }),
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).with_context(|| {
            format!("the sandbox cannot listen on port {port} of loopback; try another --port")
        })?;
        fleet.push(Server { name: format!("web{:02}", index + 1), sandbox });
    }
    make_dir(dir)?;
    lay_out(&fleet, authority.as_ref(), dir).map_err(|fault| unwritable(dir, &fault))?;
    say_until_signalled(&how(&fleet, dir))?;
    for Server { name, sandbox } in &fleet {
        show::say(&format!("sandbox: {name}: {} requests served", sandbox.requests_seen()));
    }
    Ok(Exit::Ok)
}

/// Writes the configuration, what it names, and the job.
fn lay_out(fleet: &[Server], authority: Option<&Authority>, dir: &Path) -> io::Result<()> {
    // Whole paths: who reads the configuration may stand elsewhere.
    let whole = std::path::absolute(dir)?;
    let place = |file: &str| toml_text(&whole.join(file));
    let mut config = String::from("# Written by `mailsweep sandbox --servers`. Nothing here is real.\n");
    for Server { name, sandbox } in fleet {
        let world = sandbox.world();
        let Some((user, token, _)) = world.whm_users().next() else { continue };
        let token_file = format!("{name}.token");
        write_whole(&dir.join(&token_file), |out| writeln!(out, "{token}"))?;
        let url = sandbox.url();
        let _ = write!(
            config,
            "\n[[server]]\nname = \"{name}\"\nurl = \"{url}\"\napi = \"whm\"\nuser = \"{user}\"\n"
        );
        let _ = writeln!(config, "token_file = {}", place(&token_file)?);
        if authority.is_some() {
            let _ = writeln!(config, "ca_file = {}", place("ca.pem")?);
        }
    }
    if let Some(authority) = authority {
        write_whole(&dir.join("ca.pem"), |out| out.write_all(authority.pem().as_bytes()))?;
    }
    write_whole(&dir.join("mailsweep.toml"), |out| out.write_all(config.as_bytes()))?;
    write_whole(&dir.join("job.csv"), |out| {
        writeln!(out, "email,action,channel")?;
        for Server { sandbox, .. } in fleet {
            let world = sandbox.world();
            for (address, ..) in world.mailboxes() {
                writeln!(out, "{address},suspend,login+outgoing")?;
            }
        }
        Ok(())
    })
}

/// A path as a string of TOML.
fn toml_text(path: &Path) -> io::Result<String> {
    let not_text =
        || io::Error::new(io::ErrorKind::InvalidInput, "a path that is not text cannot be configured");
    let mut text = String::from("\"");
    for c in path.to_str().ok_or_else(not_text)?.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    Ok(text)
}

fn how(fleet: &[Server], dir: &Path) -> String {
    let (job, config) = (dir.join("job.csv"), dir.join("mailsweep.toml"));
    let mut text = String::from("Imitations of WHM serve on loopback. Nothing real is touched.\n");
    for Server { name, sandbox } in fleet {
        let (world, url) = (sandbox.world(), sandbox.url());
        let accounts = world.accounts().count();
        let _ = writeln!(text, "  {name}  {url}  {accounts} accounts, {} mailboxes", world.len());
    }
    let config = config.as_os_str();
    let check = view::command(["mailsweep".as_ref(), "check".as_ref(), "--config".as_ref(), config]);
    let run = ["mailsweep".as_ref(), "run".as_ref(), job.as_os_str(), "--config".as_ref(), config];
    let _ = writeln!(text, "To try them, in another terminal:\n  {check}\n  {}", view::command(run));
    let samples = "mailsweep run samples/breach.csv --sandbox";
    let _ = writeln!(text, "They do not have the mailboxes of samples/; those are tried with\n  {samples}");
    let _ = write!(text, "Stop them with Ctrl-C.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_that_is_text_survives_in_toml() {
        for path in ["/tmp/a b/web01.token", "/t\"m\\p/\t\u{7f}\u{1}ü"] {
            let text = format!("x = {}", toml_text(Path::new(path)).unwrap());
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(path));
        }
    }
}
