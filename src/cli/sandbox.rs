//! `mailsweep sandbox`: an imitation server to try things on, with what is needed to reach it. Several
//! at once are in [`super::sandbox_fleet`].

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use super::args::SandboxArgs;
use super::{sandbox_fleet, show};
use crate::domain::Exit;
use crate::record::{create_dir, write_whole};
use crate::sandbox::{Options, Sandbox, Script, World};
use crate::view;

/// Serves until a signal comes.
pub fn serve(args: &SandboxArgs) -> Result<Exit, Failure> {
    let script = match &args.faults {
        Some(text) => text.parse::<Script>().map_err(|fault| anyhow!("--faults {text}: {fault}"))?,
        None => Script::default(),
    };
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from("mailsweep-sandbox"));
    if let Some(servers) = args.servers {
        return sandbox_fleet::serve(args, servers, &script, &dir);
    }
    let world = World::seeded(args.seed);
    let port = args.port;
    let options = Options {
        port,
        world,
        latency: args.latency,
        seed: args.seed,
        script,
        log_requests: false,
        capacity: args.capacity,
        capacity_later: args.capacity_later,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).with_context(|| {
        format!("the sandbox cannot listen on port {port} of loopback; try another --port")
    })?;
    let how = lay_out(&sandbox, &dir)?;
    say_until_signalled(&how)?;
    show::say(&format!("sandbox: {} requests served", sandbox.requests_seen()));
    Ok(Exit::Ok)
}

/// Says how to use it, and waits for a signal to end: one that comes right after the text counts.
pub(super) fn say_until_signalled(how: &str) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime
        .block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            show::say(how);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::io::Result::Ok(())
        })
        .context("signals cannot be listened for")?;
    Ok(())
}

/// Makes the directory if it is not there.
pub(super) fn make_dir(dir: &Path) -> Result<(), Failure> {
    match create_dir(dir) {
        Err(fault) if fault.kind() != std::io::ErrorKind::AlreadyExists => Err(unwritable(dir, &fault)),
        _ => Ok(()),
    }
}

pub(super) fn unwritable(dir: &Path, fault: &std::io::Error) -> Failure {
    Failure::new(Exit::Unwritable, anyhow!("{}: {fault}", dir.display()))
}

/// Writes each account's token and a job for it; returns how to use them.
fn lay_out(sandbox: &Sandbox, dir: &Path) -> Result<String, Failure> {
    make_dir(dir)?;
    let unwritable = |fault: std::io::Error| unwritable(dir, &fault);
    let world = sandbox.world();
    let mut text = format!("An imitation of cPanel serves on {}. Nothing real is touched.\n", sandbox.url());
    let _ = writeln!(text, "To try it, in another terminal:");
    for (user, token, _) in world.accounts() {
        let token_file = dir.join(format!("{user}.token"));
        let job_file = dir.join(format!("{user}.csv"));
        let addresses: Vec<String> =
            world.mailboxes().filter(|(_, owner, _)| *owner == user).map(|(address, ..)| address).collect();
        write_whole(&token_file, |out| writeln!(out, "{token}")).map_err(unwritable)?;
        write_whole(&job_file, |out| {
            writeln!(out, "email,action,channel")?;
            addresses.iter().try_for_each(|address| writeln!(out, "{address},suspend,login+outgoing"))
        })
        .map_err(unwritable)?;
        let url = sandbox.url();
        let words = [
            "mailsweep".as_ref(),
            "run".as_ref(),
            job_file.as_os_str(),
            "--server".as_ref(),
            url.as_ref(),
            "--user".as_ref(),
            user.as_ref(),
            "--token-file".as_ref(),
            token_file.as_os_str(),
        ];
        let _ = writeln!(text, "  {}", view::command(words));
    }
    let _ = write!(text, "Stop it with Ctrl-C.");
    Ok(text)
}
