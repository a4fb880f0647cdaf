//! The `mailsweep` program: see the library for what it is made of.

use std::panic::catch_unwind;
use std::process::ExitCode;

use mailsweep::{Exit, cli};

/// A run makes and drops some hundred small things per call; this allocator is quicker at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The panic itself has been told by the default hook; the shell must see an internal error.
    catch_unwind(cli::main).unwrap_or(Exit::Internal).into()
}
