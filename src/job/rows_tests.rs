//! What one row asks for, and what is said where it cannot be told.

use Function::*;

use super::*;
use crate::job::Source;

/// The functions of each row, or its faults.
fn interpret(text: &str, options: &InputOptions) -> Vec<Result<Vec<Function>, String>> {
    let source = Source::bytes(text);
    let layout = Layout::detect(&source, options).unwrap().unwrap();
    let mut rows = layout.rows(source.open().unwrap());
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let mut address = String::from("before ");
        found.push(match row.interpret(options, &mut address) {
            Ok(functions) => Ok(functions.to_vec()),
            Err(fault) => {
                assert_eq!(address, "before ", "a fault left something behind");
                Err(fault.to_string())
            }
        });
    }
    found
}

fn one(cells: &str, options: &InputOptions) -> Result<Vec<Function>, String> {
    interpret(&format!("email,action,channel\n{cells}\n"), options).remove(0)
}

fn flags(action: Option<Action>, channels: &[Channel]) -> InputOptions {
    InputOptions { action, channels: channels.to_vec(), ..InputOptions::default() }
}

#[test]
fn cells_are_trimmed_and_read_in_any_case() {
    let none = InputOptions::default();
    for (cells, functions) in [
        ("a@example.com,suspend,login", &[SuspendLogin][..]),
        (" A@Example.com ,\tSUSPEND , Login ", &[SuspendLogin]),
        ("a@example.com,unsuspend,outgoing+login", &[UnsuspendOutgoing, UnsuspendLogin]),
        ("a@example.com,suspend,\"login,incoming\"", &[SuspendLogin, SuspendIncoming]),
        ("a@example.com,suspend,ALL", &[SuspendLogin, SuspendIncoming, SuspendOutgoing]),
        ("a@example.com,hold,outgoing", &[HoldOutgoing]),
        ("a@example.com,Release,\"outgoing\n\"", &[ReleaseOutgoing]),
    ] {
        assert_eq!(one(cells, &none).as_deref(), Ok(functions), "{cells}");
    }
}

#[test]
fn a_filled_cell_beats_the_flag_and_the_flag_a_blank_cell() {
    let options = flags(Some(Action::Suspend), &[Channel::Outgoing, Channel::Login]);
    for (cells, functions) in [
        ("a@example.com", &[SuspendOutgoing, SuspendLogin][..]),
        ("a@example.com, ,\"\"", &[SuspendOutgoing, SuspendLogin]),
        ("a@example.com,unsuspend,", &[UnsuspendOutgoing, UnsuspendLogin]),
        ("a@example.com,,incoming", &[SuspendIncoming]),
        ("a@example.com,hold,outgoing", &[HoldOutgoing]),
    ] {
        assert_eq!(one(cells, &options).as_deref(), Ok(functions), "{cells}");
    }
    assert_eq!(interpret("a@example.com", &options), [Ok(vec![SuspendOutgoing, SuspendLogin])]);
}

#[test]
fn every_fault_says_what_is_wrong_and_what_would_be_right() {
    let none = InputOptions::default();
    let suspend_all = flags(Some(Action::Suspend), &Channel::ALL);
    let hold = flags(Some(Action::Hold), &[]);
    for (cells, options, said) in [
        ("a@example.com,,login", &none, &["no action", "--action"][..]),
        ("a@example.com,suspend,", &none, &["no channel", "--channel"]),
        ("a@example.com", &none, &["--action", "--channel"]),
        ("a@example.com,frob,login", &suspend_all, &["“frob”", "suspend, unsuspend, hold, release"]),
        ("a@example.com,suspended,login", &none, &["did you mean “suspend”"]),
        ("a@example.com,suspend,smtp", &suspend_all, &["did you mean “outgoing”"]),
        ("a@example.com,suspend,login+", &none, &["a channel is missing"]),
        ("a@example.com,suspend,\"login\nincoming\"", &none, &["“login incoming”"]),
        ("a@example.com,hold,login", &none, &["hold exists for channel outgoing alone, not for login"]),
        ("a@example.com,release,incoming", &none, &["release exists for channel outgoing alone"]),
        ("a@example.com,hold,outgoing+login", &none, &["not for login"]),
        ("a@example.com,hold,all", &none, &["hold exists for channel outgoing alone"]),
        ("a@example.com,hold,", &none, &["hold needs outgoing", "--channel outgoing"]),
        ("a@example.com,,", &hold, &["hold needs outgoing"]),
        ("a@example.com,hold,", &suspend_all, &["hold exists for channel outgoing alone"]),
        ("example.com,suspend,login", &none, &["“example.com”: the address has no @"]),
        (",suspend,login", &none, &["the address is empty"]),
        ("\"a@example.com\nb@example.com\",suspend,login", &none, &["“a@example.com b@example.com”"]),
        ("x,frob,smtp", &none, &["no @", "; action “frob”", "; channel “smtp”"]),
        ("a@example.com,suspend,login,x", &none, &["4 cells, but there are 3 columns", "unquoted"]),
        ("a@example.com,suspend,\"login\"x", &none, &["behind a closing quote"]),
    ] {
        let error = one(cells, options).unwrap_err();
        for part in said {
            assert!(error.contains(part), "{cells}: “{error}” lacks “{part}”");
        }
        assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
    }
}

#[test]
fn surplus_cells_may_be_blank_and_missing_ones_are_blank() {
    let none = InputOptions::default();
    assert!(one("a@example.com,suspend,login,,\u{a0} ,", &none).is_ok());
    let text = "note,email,action,channel,more\n,a@example.com,suspend,login\n";
    assert_eq!(interpret(text, &none), [Ok(vec![SuspendLogin])]);
}

#[test]
fn a_bare_list_with_a_second_cell_is_a_fault_of_that_row() {
    let found =
        interpret("a@example.com\nb@example.com,suspend\n", &flags(Some(Action::Hold), &[Channel::Outgoing]));
    assert!(found[0].is_ok());
    assert!(found[1].as_ref().unwrap_err().contains("2 cells, but there is 1 column:"), "{found:?}");
}

#[test]
fn what_is_shown_of_a_cell_is_clean_and_short() {
    let cell = format!("\u{1b}[2J{}", "x".repeat(500));
    let error = one(&format!("{cell},suspend,login"), &InputOptions::default()).unwrap_err();
    assert!(error.chars().count() < 120 && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn a_row_shows_its_cells_as_they_are() {
    let source = Source::bytes("# x\nnote,channel,email,Tag\n \" a\" ,LOGIN, A@example.com ,\"t\n\"\nn,,b\n");
    let layout = Layout::detect(&source, &InputOptions::default()).unwrap().unwrap();
    let mut rows = layout.rows(source.open().unwrap());
    let row = rows.next().unwrap().unwrap();
    assert_eq!((row.number(), row.line()), (1, 3));
    assert_eq!((row.email_cell(), row.action_cell(), row.channel_cell()), (" A@example.com ", "", "LOGIN"));
    assert_eq!(row.cells().collect::<Vec<_>>(), [" \" a\" ", "LOGIN", " A@example.com ", "t\n"]);
    assert_eq!(row.others().collect::<Vec<_>>(), [" \" a\" ", "t\n"]);
    let row = rows.next().unwrap().unwrap();
    assert_eq!((row.number(), row.line()), (2, 5));
    assert_eq!(row.others().collect::<Vec<_>>(), ["n", ""]);
    assert!(rows.next().unwrap().is_none());
}
