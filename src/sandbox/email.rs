//! The functions of the module `Email`, and one more, as the server would carry them out.
//!
//! What was recorded or documented is answered as it was: nothing under `data` for most, 1 for
//! `suspend_outgoing` and `unsuspend_incoming`, a message for a login that was suspended before. No
//! answer of the server to a call without an address, or to the repetition of the other functions,
//! is known; they get the likeliest.

use std::io;

use super::answer::{Data, Envelope};
use super::asked::Call;
use super::list;
use super::store::Store;
use super::world::{AccountId, MailboxState, SlotId, World};
use crate::domain::Function;

/// How a call went.
pub(super) struct Done {
    pub envelope: Envelope,
    /// Whether it was carried out, be it without a change.
    pub carried_out: bool,
    /// Whether it changed a mailbox.
    pub had_effect: bool,
}

impl Done {
    pub fn no(error: impl Into<String>) -> Done {
        Done { envelope: Envelope::failure(error), carried_out: false, had_effect: false }
    }

    fn read(data: Data) -> Done {
        Done { envelope: Envelope::ok(data), carried_out: true, had_effect: false }
    }
}

/// Carries out one call for an account. With `pretend` the answer is as if, and nothing changes.
///
/// # Errors
/// The change could not be written down; then it has not happened.
pub(super) fn call(
    world: &mut World,
    store: Option<&mut Store>,
    account: AccountId,
    call: &Call,
    pretend: bool,
) -> io::Result<Done> {
    if (call.module.as_str(), call.function.as_str()) == ("Tokens", "list") {
        return Ok(Done::read(Data::Rows(list::tokens(world, account))));
    }
    if call.module != "Email" {
        return Ok(Done::no(format!("Failed to load module “{}”.", call.module)));
    }
    match call.function.as_str() {
        "list_pops" => return Ok(Done::read(Data::Rows(list::pops(world, account, call)))),
        "list_pops_with_disk" => {
            return Ok(Done::read(Data::Rows(list::pops_with_disk(world, account, call))));
        }
        "list_mail_domains" => return Ok(Done::read(Data::Rows(list::domains(world, account)))),
        // It takes no address, and no open session is kept here that it could end.
        "terminate_mailbox_sessions" => {
            return Ok(Done { carried_out: !pretend, ..Done::read(Data::Null) });
        }
        _ => {}
    }
    let Some(order) = Order::named(&call.function) else {
        return Ok(Done::no(format!(
            "The system could not find the function “{}” in the module “{}”.",
            call.function, call.module
        )));
    };
    let Some(email) = call.email().filter(|email| !email.is_empty()) else {
        return Ok(Done::no("Provide the email"));
    };
    let Some(slot) = world.find(email).filter(|&slot| world.account_of(slot) == account) else {
        return Ok(Done::no(format!("You do not have an email account named “{email}”.")));
    };
    let (envelope, after) = order.carry_out(email, world.state(slot));
    let had_effect = !pretend && after != world.state(slot);
    if had_effect {
        keep(world, store, slot, email, after)?;
    }
    Ok(Done { envelope, carried_out: !pretend, had_effect })
}

fn keep(
    world: &mut World,
    store: Option<&mut Store>,
    slot: SlotId,
    email: &str,
    after: MailboxState,
) -> io::Result<()> {
    if let Some(store) = store {
        store.append(email, after)?;
    }
    world.set_state(slot, after);
    Ok(())
}

/// What can be asked of one mailbox.
enum Order {
    Set(Function),
    CountHeld,
    DeleteHeld,
}

impl Order {
    fn named(function: &str) -> Option<Order> {
        match function {
            "get_held_message_count" => Some(Order::CountHeld),
            "delete_held_messages" => Some(Order::DeleteHeld),
            name => Function::from_uapi_name(name).map(Order::Set),
        }
    }

    /// The answer, and what the mailbox is afterwards.
    fn carry_out(&self, email: &str, before: MailboxState) -> (Envelope, MailboxState) {
        let mut after = before;
        let held = Data::Number(before.held_messages.into());
        let function = match self {
            Order::CountHeld => return (Envelope::ok(held), after),
            Order::DeleteHeld => {
                after.held_messages = 0;
                return (Envelope::ok(held), after);
            }
            Order::Set(function) => *function,
        };
        let target = function.target();
        after.flags[target.flag] = target.on;
        let mut envelope = Envelope::ok(match function {
            Function::SuspendOutgoing | Function::UnsuspendIncoming => Data::Number(1),
            _ => Data::Null,
        });
        match function {
            Function::SuspendLogin if before.flags.login => {
                envelope.message = Some(format!("Logins for “{email}” are suspended."));
            }
            Function::ReleaseOutgoing => {
                after.sent_messages = before.sent_messages.saturating_add(before.held_messages);
                after.held_messages = 0;
            }
            _ => {}
        }
        (envelope, after)
    }
}
