use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};

use super::*;

fn token_of(source: &CredentialSource, group: Option<u32>) -> Result<String, String> {
    match source.read(group) {
        Ok(Credential::Token(secret) | Credential::Password(secret)) => Ok(secret.expose().to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}

fn token(source: &CredentialSource) -> Result<String, String> {
    token_of(source, None)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    set_mode(path, 0o600);
}

#[test]
fn a_file_holds_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    for text in ["T0KEN\n", "T0KEN\r\n", "T0KEN"] {
        write(&path, text);
        assert_eq!(token(&CredentialSource::TokenFile(path.clone())), Ok("T0KEN".to_owned()));
    }
    for text in ["", "\n", "T0KEN\nT0KEN2\n", " T0KEN", "T0\u{1b}KEN", &"T0KEN".repeat(2000)] {
        write(&path, text);
        let error = token(&CredentialSource::TokenFile(path.clone())).unwrap_err();
        assert!(!error.contains("T0") && error.contains("token file"), "{error}");
    }
    let error = token(&CredentialSource::PasswordFile(dir.path().join("none"))).unwrap_err();
    assert!(error.contains("password file") && error.contains("cannot be read"), "{error}");
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my token");
    for (mode, who) in [
        (0o644, Some("everybody")),
        (0o604, Some("everybody")),
        (0o602, Some("everybody")),
        (0o666, Some("everybody")),
        (0o640, Some("its group")),
        (0o620, Some("its group")),
        (0o600, None),
        (0o400, None),
        (0o700, None),
        (0o611, None),
    ] {
        write(&path, "T0KEN\n");
        set_mode(&path, mode);
        let read = token(&CredentialSource::TokenFile(path.clone()));
        let Some(who) = who else {
            assert_eq!(read, Ok("T0KEN".to_owned()), "{mode:o}");
            continue;
        };
        let told = read.unwrap_err();
        assert!(told.contains(&format!("is open to {who} (mode {mode:o})")), "{told}");
        let (_, mends) = told.rsplit_once(": ").unwrap();
        assert_eq!(mends, format!("chmod 600 '{}'", path.display()));
        assert!(std::process::Command::new("sh").args(["-c", mends]).status().unwrap().success());
        assert_eq!(token(&CredentialSource::TokenFile(path.clone())), Ok("T0KEN".to_owned()));
    }
}

#[test]
fn a_teams_file_may_be_open_to_the_team_and_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let (source, ours) = (CredentialSource::TokenFile(path.clone()), rustix::process::getegid().as_raw());
    write(&path, "T0KEN\n");
    chown(&path, None, Some(ours)).unwrap();
    set_mode(&path, 0o640);
    assert_eq!(token_of(&source, Some(ours)), Ok("T0KEN".to_owned()));
    assert!(token_of(&source, Some(ours + 1)).unwrap_err().contains("its group"));
    set_mode(&path, 0o644);
    let told = token_of(&source, Some(ours)).unwrap_err();
    assert!(told.contains("everybody") && told.contains("chmod 640"), "{told}");
}

#[test]
fn what_is_no_file_is_read_or_refused_and_never_waited_for() {
    let device = token(&CredentialSource::TokenFile("/dev/zero".into())).unwrap_err();
    assert!(device.contains("/dev/zero"), "{device}");
    let directory = token(&CredentialSource::TokenFile("/".into())).unwrap_err();
    assert!(directory.contains("token file /"), "{directory}");
}

#[test]
fn a_path_that_is_no_text_is_kept_with_a_run_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    for name in [&b"a b"[..], b"caf\xe9\n", "\u{fc}".as_bytes()] {
        let path = dir.path().join(OsStr::from_bytes(name));
        write(&path, "T0KEN\n");
        let source = CredentialSource::TokenFile(path);
        let kept = serde_json::to_string(&source).unwrap();
        let again: CredentialSource = serde_json::from_str(&kept).unwrap();
        assert_eq!(again, source);
        assert_eq!(token(&again), Ok("T0KEN".to_owned()));
    }
    let plain = CredentialSource::PasswordFile("/etc/x".into());
    assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"password_file":"/etc/x"}"#);
}

#[test]
fn a_command_prints_the_token_or_says_why_not() {
    assert_eq!(token(&CredentialSource::TokenCommand("echo T0KEN".into())), Ok("T0KEN".into()));
    for (command, why) in [
        ("exit 3", "failed"),
        ("printf 'a\\nb\\n'", "more than one line"),
        ("true", "is empty"),
        ("yes", "failed"),
        ("printf '\\377'", "not text"),
    ] {
        let error = token(&CredentialSource::TokenCommand(command.into())).unwrap_err();
        assert!(error.contains(why) && error.contains(command), "{error}");
    }
}

#[test]
fn a_command_that_hangs_is_ended_and_so_is_the_wait_for_what_it_leaves_behind() {
    let patience = Duration::from_millis(300);
    for (command, why) in [
        ("exec sleep 600", "did not end within 0.3 seconds"),
        ("sleep 600 & echo T0KEN", "holds its output open"),
    ] {
        let error = run(command, patience).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(command), "{error}");
    }
}
