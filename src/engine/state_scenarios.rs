//! Scenarios of the state: what is read, when, and what follows from it. Servers keep flags, and
//! sessions are killed, interrupted and gone on with, all in virtual time.

mod after;
mod before;
mod guard;
mod panel;
mod resumed;
mod sessions;
mod sweep;
mod tale;
mod weather;
