//! Help, completions and manual pages: made from the flags, and so all of them know each flag.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use mailsweep::domain::ErrorClass;
use support::{Place, code, expect, stderr, stdout};

/// The commands, as the help lists them.
fn commands(place: &Place) -> Vec<String> {
    let help = stdout(&expect(place.mailsweep(&["--help"]), 0));
    let list = help.split_once("\nCommands:\n").expect("a list of commands").1;
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names: Vec<String> =
        lines.filter_map(|line| line.split_ascii_whitespace().next()).map(str::to_owned).collect();
    assert!(names.len() >= 10 && names.contains(&"run".to_owned()), "{names:?}");
    names
}

/// The long flags that a command's help names at the beginning of a line.
fn flags(place: &Place, command: &str) -> BTreeSet<String> {
    let help = stdout(&expect(place.mailsweep(&[command, "--help"]), 0));
    let words = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let long = if line.starts_with("--") { line } else { line.strip_prefix('-')?.split_once(", ")?.1 };
        Some(long.split([' ', '=', '[']).next()?.to_owned())
    });
    words.filter(|word| word.starts_with("--")).collect()
}

#[test]
fn completions_know_every_command_and_every_flag() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&expect(place.mailsweep(&["completions", shell]), 0));
        for command in commands(&place) {
            assert!(script.contains(&command), "{shell}: {command}");
            for flag in flags(&place, &command) {
                // fish names them without their dashes.
                let wanted = if shell == "fish" { format!("-l {}", &flag[2..]) } else { flag };
                assert!(script.contains(&wanted), "{shell}: {command} {wanted}");
            }
        }
        let file = place.write(shell, &script);
        match Command::new(shell).arg("-n").arg(&file).output() {
            Ok(checked) => assert!(checked.status.success(), "{shell}: {}", stderr(&checked)),
            Err(_) => println!("{shell} is not here: what it says of the script was not asked"),
        }
    }
    assert_eq!(code(&place.mailsweep(&["completions", "tcsh"]).output().unwrap()), 2);
}

#[test]
fn the_bash_completion_completes() {
    let place = Place::new();
    let script = expect(place.mailsweep(&["completions", "bash"]), 0).stdout;
    place.write("completion", script);
    let ask = "source ./completion; COMP_WORDS=(mailsweep status --wa); COMP_CWORD=2; \
               _mailsweep mailsweep --wa status; echo \"${COMPREPLY[@]}\"";
    let Ok(answer) = Command::new("bash").args(["-c", ask]).current_dir(place.path("")).output() else {
        return println!("bash is not here");
    };
    assert_eq!(stdout(&answer).trim(), "--watch", "{}", stderr(&answer));
}

#[test]
fn every_command_has_a_manual_page_with_every_flag() {
    let place = Place::new();
    expect(place.mailsweep(&["man", "deep/man1"]), 0);
    let whole = place.read("deep/man1/mailsweep.1");
    assert_eq!(stdout(&expect(place.mailsweep(&["man"]), 0)), whole);
    assert!(whole.contains("Exit codes:"), "{whole}");
    for command in commands(&place) {
        // A page writes each dash with a backslash.
        let page = place.read(format!("deep/man1/mailsweep-{command}.1")).replace('\\', "");
        assert!(page.contains(&format!("mailsweep-{command}")), "{page}");
        assert!(whole.replace('\\', "").contains(&format!("mailsweep-{command}(1)")), "{command}");
        for flag in flags(&place, &command) {
            assert!(page.contains(&flag), "{command}: {flag}");
        }
    }
    let written = std::fs::read_dir(place.path("deep/man1")).unwrap().count();
    assert_eq!(written, commands(&place).len() + 1);
}

#[test]
fn help_explains_commands_and_error_classes_and_proposes_what_was_meant() {
    let place = Place::new();
    for command in commands(&place) {
        let asked = stdout(&expect(place.mailsweep(&["help", &command]), 0));
        assert_eq!(asked, stdout(&expect(place.mailsweep(&[&command, "--help"]), 0)), "{command}");
    }
    let whole = stdout(&expect(place.mailsweep(&["help"]), 0));
    assert_eq!(whole, stdout(&expect(place.mailsweep(&["--help"]), 0)));
    let errors = stdout(&expect(place.mailsweep(&["help", "errors"]), 0));
    for class in ErrorClass::ALL {
        assert!(errors.lines().any(|line| line == class.word()), "{class}");
    }
    assert!(errors.lines().all(|line| line.chars().count() <= 80), "{errors}");
    for (typed, meant) in [("error", "errors"), ("resum", "resume")] {
        let refused = expect(place.mailsweep(&["help", typed]), 2);
        assert!(stderr(&refused).contains(&format!("'{meant}'")), "{}", stderr(&refused));
    }
}

#[test]
fn a_near_miss_gets_the_fix_proposed() {
    let place = Place::new();
    let rehearse = |job: &str, more: &[&str], expected| {
        place.write("job.csv", job);
        let run = format!("run{}", std::fs::read_dir(place.path("")).unwrap().count());
        let mut args = vec!["run", "job.csv", "--dry-run", "--run-dir", &run];
        args.extend(more);
        stderr(&expect(place.mailsweep(&args), expected))
    };
    let row = "email,action,channel\na@example.com,suspended,imap\n";
    let told = rehearse(row, &[], 2);
    assert!(told.contains("did you mean “suspend”?") && told.contains("did you mean “login”?"), "{told}");
    let told = rehearse("a@example.com\nb@example.com\n", &[], 2);
    assert!(told.contains("--action suspend --channel login"), "{told}");
    let told = rehearse("a@example.com,suspend,login\n", &[], 2);
    assert!(told.contains("--no-header takes the columns as email, action, channel"), "{told}");
    let told = rehearse("E-Mail,action,channel\na@example.com,suspend,login\n", &[], 2);
    assert!(told.contains("Rename “E-Mail” to email"), "{told}");

    let sound = "email,action,channel\na@example.com,suspend,login\n";
    let at = |url: &str, api: &str| {
        rehearse(sound, &["--server", url, "--user", "exampleu", "--token-file", "token", "--api", api], 0)
    };
    let told = at("https://web01.example.net:2087", "cpanel");
    assert!(told.contains("did you mean api whm, or port 2083?"), "{told}");
    let told = at("https://web01.example.net:2083", "whm");
    assert!(told.contains("did you mean api cpanel, or port 2087?"), "{told}");
    let told = at("https://web01.example.net:2083", "cpanel");
    assert!(!told.contains("did you mean"), "{told}");
}
