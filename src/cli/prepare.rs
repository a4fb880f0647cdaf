//! What `run` and `plan` find out before anything is sent: the servers, the part of them, the job.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::Failure;
use super::args::{InputArgs, LimitArgs, SelectArgs, ServerArgs};
use super::ground::Ground;
use super::route::Routed;
use super::select::Lists;
use crate::job::{self, InputOptions, Job, Source, What};

/// Everything that could be found out so.
pub struct Prepared {
    pub ground: Ground,
    /// For each server whether it is left out.
    pub left_out: Vec<bool>,
    pub lists: Lists,
    pub input: Source,
    pub options: InputOptions,
    pub job: Arc<Job>,
}

impl Prepared {
    /// Reads configuration, lists and input. `dry_run`: no server is needed.
    pub fn new(
        path: &Path,
        input: &InputArgs,
        server: &ServerArgs,
        limits: &LimitArgs,
        select: &SelectArgs,
        dry_run: bool,
    ) -> Result<Prepared, Failure> {
        let ground = Ground::new(server, limits, dry_run)?;
        let left_out = select.which.left_out(&ground.fleet)?;
        let lists = select.lists()?;
        let source = if path == Path::new("-") { Source::stdin()? } else { Source::file(path)? };
        let options = InputOptions { servers: ground.names(), ..input.options() };
        let job = Arc::new(job::read(&source, &options)?);
        Ok(Prepared { ground, left_out, lists, input: source, options, job })
    }
}

/// The operations that have a call.
pub fn callable(job: &Job) -> impl Iterator<Item = u32> {
    let calls = (0..).zip(&job.operations).filter(|(_, operation)| matches!(operation.what, What::Call(_)));
    calls.map(|(op, _)| op)
}

/// Those of them that go to a place, in a list no longer than it has to be.
pub fn placed(job: &Job, routed: &Routed) -> Vec<u32> {
    let placed = || callable(job).filter(|op| !routed.settled.contains_key(op));
    let mut list = Vec::with_capacity(placed().count());
    list.extend(placed());
    list
}
