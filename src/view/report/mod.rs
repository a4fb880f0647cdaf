//! `report.html`: a run on one page, for whoever has to judge it and was not there.
//!
//! The page is one file and asks for nothing else: no font, no image, no script of others, so that it
//! can be mailed, archived and opened without a network in ten years. It is made from a template whose
//! every value is escaped, and its policy allows one style and one script, each by its hash: were a
//! server's answer ever to come through as markup, the browser would still run none of it. The script
//! narrows the list of failures and holds no data; without it the page is whole.
//!
//! The same run gives the same bytes, whenever and wherever it is told: the hash of the page stands in
//! the journal, so nothing of the moment may be in it.

mod charts;
mod facts;
mod page;
mod tables;
mod text;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use sha2::{Digest, Sha256};

use self::page::Page;
pub(super) use self::text::meaning;
use crate::record::Report;

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Writes the page.
///
/// # Errors
/// If it cannot be written.
pub fn report(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(io::Error::other)?);
    let template = environment.template_from_str(TEMPLATE).map_err(io::Error::other)?;
    template.render_captured_to(Serde(Page::new(report)), out).map(|_| ()).map_err(io::Error::other)
}

/// What the page may do: show its own style and run its own script, and nothing else at all.
fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

#[cfg(test)]
mod tests;
