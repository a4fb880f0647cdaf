//! Who is at work, and where.

/// Who started this: what `MAILSWEEP_OPERATOR` says, else who called sudo, else the login name,
/// else the number of the user.
pub fn operator() -> String {
    ["MAILSWEEP_OPERATOR", "SUDO_USER", "LOGNAME", "USER"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
        .map_or_else(
            || format!("uid {}", rustix::process::getuid().as_raw()),
            |name| crate::domain::clip(&crate::domain::clean(&name), 100),
        )
}

/// The machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
