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
const PLACES: [&str; 16] = [
    "harbour", "orchard", "lantern", "quarry", "saddler", "cider", "slate", "quays", "meadow", "foundry",
    "bakery", "printer", "gallery", "surgery", "theatre", "brewer",
];
const ENDINGS: [&str; 3] = ["example.com", "example.net", "example.org"];
/// For turning a seed into one for each server.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
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

    /// Several servers, each with `root` for WHM and so many accounts of one to three domains with so
    /// many mailboxes each, some of them suspended already. No domain and no account is on two of them.
    /// The same seed makes the same servers, and one more server leaves the others as they are.
    pub fn seeded_fleet(
        seed: u64,
        servers: usize,
        accounts_per_server: usize,
        mailboxes_per_account: usize,
    ) -> Vec<World> {
        let server = |server| one_of_fleet(seed, server, accounts_per_server, mailboxes_per_account);
        (0..servers).map(server).collect()
    }
}

fn one_of_fleet(seed: u64, server: usize, accounts: usize, mailboxes: usize) -> World {
    let number = server as u64;
    let mut rng = fastrand::Rng::with_seed(seed ^ (number + 1).wrapping_mul(STEP));
    let mut world = World::new();
    // The names below are all distinct, so nothing here can be refused.
    let _ = world.add_whm_user("root", &secret(&mut rng, 32), &secret(&mut rng, 16));
    for account in 0..accounts {
        let place = PLACES[rng.usize(..PLACES.len())];
        // A user name has sixteen characters at most.
        let user = format!("{place}{}x{account}", server + 1);
        let _ = world.add_account(&user, &secret(&mut rng, 32), &secret(&mut rng, 16));
        let domains: Vec<String> = {
            let count = rng.usize(1..=ENDINGS.len());
            rng.choose_multiple(ENDINGS, count).iter().map(|ending| format!("{user}.{ending}")).collect()
        };
        for domain in &domains {
            let _ = world.add_domain(&user, domain);
        }
        for mailbox in 0..mailboxes {
            let name = NAMES[mailbox / domains.len() % NAMES.len()];
            let again = match mailbox / domains.len() / NAMES.len() {
                0 => String::new(),
                round => format!("{}", round + 1),
            };
            let address = format!("{name}{again}@{}", domains[mailbox % domains.len()]);
            let _ = world.add_mailbox(&user, &address);
            world.set_mailbox(&address, state(&mut rng));
        }
    }
    world
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
    fn a_fleet_has_what_was_asked_for_and_nothing_twice() {
        let fleet = World::seeded_fleet(1, 4, 30, 70);
        let mut domains = std::collections::HashSet::new();
        let mut users = std::collections::HashSet::new();
        for world in &fleet {
            assert_eq!((world.accounts().count(), world.len()), (30, 30 * 70));
            assert!(world.domains().all(|(domain, _)| domains.insert(domain.to_owned())));
            assert!(world.accounts().all(|(user, ..)| user.len() <= 16 && users.insert(user.to_owned())));
            assert!(world.domains().count() > 30, "some have several");
            assert!(world.mailboxes().any(|(.., state)| state != Default::default()));
            assert_eq!(world.whm_users().map(|(user, ..)| user).collect::<Vec<_>>(), ["root"]);
        }
        let token = |world: &World| world.whm_users().map(|(_, token, _)| token.to_owned()).next();
        assert_ne!(token(&fleet[0]), token(&fleet[1]));
    }

    #[test]
    fn a_fleet_depends_on_its_seed_alone_and_grows_at_its_end() {
        let fleet = World::seeded_fleet(7, 2, 3, 5);
        assert!(fleet == World::seeded_fleet(7, 2, 3, 5));
        assert!(fleet[..] == World::seeded_fleet(7, 3, 3, 5)[..2]);
        assert!(fleet != World::seeded_fleet(8, 2, 3, 5));
        assert!(World::seeded_fleet(7, 1, 1, 0)[0].is_empty());
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
