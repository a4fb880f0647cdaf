//! An invented set of accounts to try things on, the same for the same seed.

use super::world::World;

const USERS: [&str; 5] = ["harbour", "orchard", "lantern", "quarry", "saddler"];
const DOMAINS: [(&str, &[&str]); 5] = [
    ("harbour", &["harbour.example.com", "quays.example.net"]),
    ("orchard", &["orchard.example.org", "orchard.example.com", "cider.example.net"]),
    ("lantern", &["lantern.example.net"]),
    ("quarry", &["quarry.example.com", "slate.example.org"]),
    ("saddler", &["saddler.example.org"]),
];
const NAMES: [&str; 24] = [
    "accounts", "amelie", "anders", "bookings", "carmen", "daria", "edgar", "fatima", "georg", "hanne",
    "info", "ines", "jonas", "kenji", "lucia", "mara", "noor", "office", "orders", "petra", "rashid",
    "sales", "support", "tomas",
];
const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

impl World {
    /// A handful of accounts with some dozens of mailboxes under `example.com`, `.net` and `.org`;
    /// about every sixth is suspended in some way already. The same seed makes the same world.
    pub fn seeded(seed: u64) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new();
        for user in USERS {
            let (token, password) = (secret(&mut rng, 32), secret(&mut rng, 16));
            // The names above are distinct, so nothing here can be refused.
            let _ = world.add_account(user, &token, &password);
        }
        for (user, domain) in DOMAINS.iter().flat_map(|(user, all)| all.iter().map(move |d| (user, d))) {
            let _ = world.add_domain(user, domain);
            let count = rng.usize(6..12);
            for name in rng.choose_multiple(NAMES, count) {
                let address = format!("{name}@{domain}");
                let _ = world.add_mailbox(user, &address);
                world.set_mailbox(&address, state(&mut rng));
            }
        }
        world
    }
}

fn state(rng: &mut fastrand::Rng) -> super::MailboxState {
    let mut state = super::MailboxState::default();
    match rng.u8(..24) {
        0 => state.flags.login = true,
        1 => state.flags.incoming = true,
        2 => (state.flags.login, state.flags.outgoing) = (true, true),
        3 => (state.flags.held, state.held_messages) = (true, rng.u32(1..40)),
        _ => {}
    }
    state
}

fn secret(rng: &mut fastrand::Rng, len: usize) -> String {
    (0..len).map(|_| char::from(SECRET[rng.usize(..SECRET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_world_and_another_another() {
        assert_eq!(World::seeded(7), World::seeded(7));
        assert_ne!(World::seeded(7), World::seeded(8));
    }

    #[test]
    fn some_dozens_of_mailboxes_some_of_them_suspended() {
        for seed in 0..20 {
            let world = World::seeded(seed);
            assert_eq!(world.accounts().count(), USERS.len());
            assert!((50..120).contains(&world.len()), "{}", world.len());
            let suspended = world.mailboxes().filter(|(.., s)| *s != Default::default()).count();
            assert!((1..world.len() / 2).contains(&suspended), "{suspended}");
            assert!(world.mailboxes().all(|(address, ..)| address.contains(".example.")));
        }
    }
}
