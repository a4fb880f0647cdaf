//! Any text is a configuration or a list of faults that can be shown; one that is sound has limits for
//! each of its servers.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mailsweep::engine::SomeLimits;
use mailsweep::fleet::Config;

fuzz_target!(|text: &str| {
    let home = Path::new("/home/anna");
    match Config::parse(text, Path::new("/etc/mailsweep/mailsweep.toml"), Some(home), false) {
        Ok(config) => {
            let fleet = config.fleet(&SomeLimits::default());
            for server in &fleet.servers {
                assert!(!server.name.is_empty() && !server.logins.is_empty());
                assert!(server.limits.jobs.get() > 0 && !server.limits.timeout.is_zero());
            }
        }
        Err(refused) => {
            let told = refused.to_string();
            assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told:?}");
        }
    }
});
