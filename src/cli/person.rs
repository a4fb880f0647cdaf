//! Who is at work, and where.

/// Who started this: what `MAILSWEEP_OPERATOR` says, else the configuration, else who called sudo,
/// else the login name, else the number of the user.
pub fn operator(configured: Option<&str>) -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    variable("MAILSWEEP_OPERATOR")
        .or_else(|| configured.map(str::to_owned))
        .or_else(|| ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(variable))
        .map_or_else(
            || format!("uid {}", rustix::process::getuid().as_raw()),
            |name| crate::domain::clip(&crate::domain::clean(&name), 100),
        )
}

/// The machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
