//! What is written can be run as it is, and asks for just what was left to do.

use proptest::prelude::*;

use super::*;
use crate::job::{InputOptions, Job, Source, What, read};

/// Writes the operations that `left` picks, as the results would.
fn rewrite(input: &Source, options: &InputOptions, left: impl Fn(usize) -> bool) -> (Job, String) {
    let job = read(input, options).unwrap();
    let mut writer = UnfinishedWriter::new(&job.layout, Vec::new()).unwrap();
    let mut rows = job.layout.rows(input.open().unwrap());
    while let Some(row) = rows.next().unwrap() {
        let of_row = job.operations.iter().enumerate().filter(|(_, operation)| operation.row == row.number());
        let functions: Vec<Function> = of_row
            .filter(|(index, _)| left(*index))
            .filter_map(|(_, operation)| operation.function())
            .collect();
        writer.write(&row, &functions).unwrap();
    }
    let written = String::from_utf8(writer.finish().unwrap()).unwrap();
    (job, written)
}

fn all(input: impl Into<Vec<u8>>, options: &InputOptions) -> String {
    rewrite(&Source::bytes(input), options, |_| true).1
}

fn asked(job: &Job) -> Vec<(String, What)> {
    let text = |operation: &crate::job::Operation| job.mailboxes.get(operation.mailbox).to_owned();
    job.operations.iter().map(|operation| (text(operation), operation.what)).collect()
}

#[test]
fn rows_keep_their_columns_delimiter_and_order() {
    let input = "\u{feff}# x\r\nNote; Mailbox ;CHANNEL;Action\r\n\"a;b\nc\";A@Example.com;ALL;SUSPEND\r\n\r\n;b@example.com\r\n";
    let options = InputOptions { skip_invalid: true, ..InputOptions::default() };
    assert_eq!(
        all(input, &options),
        "Note; Mailbox ;CHANNEL;Action\n\"a;b\nc\";A@Example.com;login+incoming+outgoing;suspend\n"
    );
}

#[test]
fn missing_columns_are_added_and_blank_cells_filled() {
    let options = InputOptions {
        action: Some(crate::domain::Action::Suspend),
        channels: vec![crate::domain::Channel::Login, crate::domain::Channel::Outgoing],
        ..InputOptions::default()
    };
    for (input, output) in [
        ("a@example.com\n", "email,action,channel\na@example.com,suspend,login+outgoing\n"),
        (
            "address\tnote\na@example.com\n",
            "address\tnote\taction\tchannel\na@example.com\t\tsuspend\tlogin+outgoing\n",
        ),
        ("channel,email\n,a@example.com", "channel,email,action\nlogin+outgoing,a@example.com,suspend\n"),
        (
            "email,action\na@example.com,unsuspend",
            "email,action,channel\na@example.com,unsuspend,login+outgoing\n",
        ),
    ] {
        assert_eq!(all(input, &options), output);
    }
    let options = InputOptions { no_header: true, ..options };
    assert_eq!(
        all("a@example.com;;;x;\n", &options),
        "email;action;channel;column_4;column_5\na@example.com;suspend;login+outgoing;x;\n"
    );
}

#[test]
fn the_channel_cell_is_narrowed_to_what_is_left() {
    let input = Source::bytes(
        "email,action,channel\na@example.com,suspend,outgoing+login\nb@example.com,hold,outgoing\n",
    );
    let text = |left: fn(usize) -> bool| rewrite(&input, &InputOptions::default(), left).1;
    assert_eq!(text(|index| index == 1), "email,action,channel\na@example.com,suspend,login\n");
    assert_eq!(text(|index| index == 2), "email,action,channel\nb@example.com,hold,outgoing\n");
    assert_eq!(text(|_| false), "email,action,channel\n");
}

#[test]
fn a_first_cell_that_looks_like_a_comment_survives() {
    for input in [
        "\"#note\",email,action,channel\n\"#1\",a@example.com,suspend,login\n",
        "email,action,channel\n\"#a@example.com\",suspend,login\n",
    ] {
        assert_eq!(all(input, &InputOptions::default()), input);
    }
}

#[test]
fn a_name_with_another_delimiter_does_not_mislead() {
    let input = "\"x,email,action,channel,y\";email;action;channel\n1;a@example.com;suspend;login\n";
    let written = all(input, &InputOptions { delimiter: Some(b';'), ..InputOptions::default() });
    let again = read(&Source::bytes(written), &InputOptions::default()).unwrap();
    assert_eq!(again.mailboxes.get(again.operations[0].mailbox), "a@example.com");
}

proptest! {
    #[test]
    fn what_is_written_asks_for_just_what_was_left(
        rows in prop::collection::vec(("[a-d]@[x-y]\\.example", 0..8_usize, "[a\"#,;\t\r\n é]{0,5}"), 1..8),
        left in prop::collection::vec(any::<bool>(), 24),
        delimiter in prop::sample::select(&b",;\t"[..]),
        order in Just(vec![0, 1, 2, 3]).prop_shuffle(),
        header in "[a\"#,;\t é]{0,5}",
    ) {
        let kinds = [
            ("suspend", "all"), ("unsuspend", "login+outgoing"), ("hold", "outgoing"), ("release", "outgoing"),
            ("SUSPEND", "incoming"), (" suspend ", "Outgoing+Login"), ("", "login"), ("suspend", ""),
        ];
        let mut writer =
            csv::WriterBuilder::new().delimiter(delimiter).comment(Some(b'#')).from_writer(Vec::new());
        let mut put = |cells: [&str; 4]| writer.write_record(order.iter().map(|index| cells[*index])).unwrap();
        put(["Email", "action", "CHANNEL", &header]);
        for (email, kind, note) in &rows {
            put([email, kinds[*kind].0, kinds[*kind].1, note]);
        }
        let input = Source::bytes(writer.into_inner().unwrap());
        let options = InputOptions {
            action: Some(crate::domain::Action::Unsuspend),
            channels: vec![crate::domain::Channel::Incoming],
            allow_conflicts: true,
            delimiter: Some(delimiter),
            ..InputOptions::default()
        };
        let is_left = |index: usize| left.get(index).copied().unwrap_or(true);
        let (job, written) = rewrite(&input, &options, is_left);
        prop_assert_eq!(written.find('\u{feff}'), None);

        let bare = InputOptions { allow_conflicts: true, allow_empty: true, ..InputOptions::default() };
        let again = read(&Source::bytes(written.clone()), &bare).unwrap();
        let function = |(mailbox, what)| match what {
            What::Call(function) | What::Duplicate(function) => Some((mailbox, function)),
            What::Invalid => None,
        };
        let expected: Vec<_> = asked(&job).into_iter().enumerate()
            .filter(|(index, _)| is_left(*index)).filter_map(|(_, asked)| function(asked)).collect();
        prop_assert_eq!(asked(&again).into_iter().filter_map(function).collect::<Vec<_>>(), expected, "{}", written);

        // A second time it stays as it is: nothing is lost of the other columns either.
        prop_assert_eq!(rewrite(&Source::bytes(written.clone()), &bare, |_| true).1, written);
    }
}
