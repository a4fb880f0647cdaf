use super::super::disk::Disk;
use super::super::disk::testing::Cache;
use super::super::entry::Stamp;
use super::*;
use proptest::prelude::*;

fn begin(op: u32) -> Entry {
    Entry::Begin { at: Stamp(i64::from(op)), ops: vec![op] }
}

fn seed() -> Chain {
    Chain::seed(b"{}", "00")
}

/// A journal of `n` lines; `synced` of the last one says how much of it is noted as synced.
fn written(n: u32, synced: impl Fn(u32, u64) -> u64) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = Journal::create(&Disk::default(), &path, seed()).unwrap();
    for op in 0..n {
        let at = journal.offset();
        journal.append(&begin(op), synced(op, at));
    }
    journal.flush().unwrap();
    std::fs::read(&path).unwrap()
}

fn read_bytes(bytes: &[u8]) -> Result<(usize, Option<Torn>), ReadError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    io::Seek::rewind(&mut file).unwrap();
    let mut seen = Vec::new();
    let (_, torn) = read(&file, seed(), |entry, _, _| {
        seen.push(entry);
        Ok(())
    })?;
    for (i, entry) in seen.iter().enumerate() {
        assert_eq!(*entry, begin(i as u32));
    }
    Ok((seen.len(), torn))
}

#[test]
fn what_was_written_is_read_again() {
    assert_eq!(read_bytes(&written(5, |_, _| 0)).unwrap(), (5, None));
    assert_eq!(read_bytes(b"").unwrap(), (0, None));
}

#[test]
fn an_unsynced_tail_may_be_cut_anywhere_and_is_counted() {
    let whole = written(3, |_, _| 0);
    let second = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    for cut in second + 1..whole.len() {
        let (lines, torn) = read_bytes(&whole[..cut]).unwrap();
        let ends_whole = whole[cut - 1] == b'\n';
        assert_eq!(torn.is_none(), ends_whole, "cut at {cut}");
        assert!(lines >= 1);
    }
}

#[test]
fn damage_before_a_noted_sync_is_refused_and_behind_it_is_a_torn_tail() {
    // The third line notes that the first two are on the disk; or each line notes those before it.
    let notes = [(written(4, |op, at| if op == 2 { at } else { 0 }), 2), (written(4, |_, at| at), 3)];
    for (whole, safe) in notes {
        let ends: Vec<usize> = (0..whole.len()).filter(|i| whole[*i] == b'\n').collect();
        for (i, bit) in (0..whole.len()).flat_map(|i| (0..8).map(move |bit| (i, bit))) {
            let mut flipped = whole.clone();
            flipped[i] ^= 1 << bit;
            let read = read_bytes(&flipped);
            if i <= ends[safe - 1] {
                assert!(matches!(read, Err(ReadError::Damaged { .. })), "byte {i}, bit {bit}: {read:?}");
            } else {
                let (lines, torn) = read.unwrap_or_else(|fault| panic!("byte {i}, bit {bit}: {fault}"));
                assert!(lines >= safe && torn.is_some(), "byte {i}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_long_list_takes_several_lines_and_what_fits_into_none_is_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = Journal::create(&Disk::default(), &path, seed()).unwrap();
    let ops: Vec<u32> = (0..1_000_000).collect();
    let mailboxes: Vec<(u32, u32)> = ops.iter().map(|n| (2 * n, 2 * n)).collect();
    let account = "anna".to_owned();
    journal.append(&Entry::Begin { at: Stamp(1), ops: ops.clone() }, 0);
    let (at, server) = (Stamp(2), 3);
    journal.append(&Entry::Route { at, server, account, mailboxes: mailboxes.clone() }, 0);
    journal.flush().unwrap();
    let text = std::fs::read(&path).unwrap();
    assert!(text.split(|byte| *byte == b'\n').all(|line| line.len() < MAX_LINE / 8));
    let (mut begun, mut routed) = (Vec::new(), Vec::new());
    read(&*text, seed(), |entry, _, _| {
        match entry {
            Entry::Begin { ops, .. } => begun.extend(ops),
            Entry::Route { at: Stamp(2), server: 3, account, mailboxes } if account == "anna" => {
                routed.extend(mailboxes);
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    })
    .unwrap();
    assert!(begun == ops && routed == mailboxes);

    let class = crate::domain::ErrorClass::Api;
    journal.append(&Entry::Stop { at: Stamp(3), class, reason: "x".repeat(MAX_LINE) }, 0);
    assert!(journal.flush().unwrap_err().to_string().contains("4194304 are the most"));
    assert_eq!(std::fs::read(&path).unwrap(), text);
}

#[test]
fn what_a_failed_sync_left_behind_is_written_again_before_anything_builds_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let (disk, cache) = Cache::new();
    let mut journal = Journal::create(&disk, &path, seed()).unwrap();
    journal.append(&begin(0), 0);
    journal.flush_to_disk().unwrap();
    cache.set_broken(true);
    for op in 1..4 {
        journal.append(&begin(op), journal.synced());
        assert!(journal.flush_to_disk().is_err());
    }
    drop(journal);
    cache.set_broken(false);
    let log = disk.open_log(&path).unwrap();
    let (tail, torn) = read(log.file(), seed(), |_, _, _| Ok(())).unwrap();
    assert_eq!(torn, None, "nothing of it shows as long as there is power");
    let mut journal = Journal::go_on(log, tail).unwrap();
    journal.append(&begin(4), journal.synced());
    journal.flush_to_disk().unwrap();
    cache.power_cut(&path);
    assert_eq!(read_bytes(&std::fs::read(&path).unwrap()).unwrap(), (5, None));
}

#[test]
fn a_sound_line_of_a_later_version_is_refused_and_not_cut_off() {
    let mut bytes = written(1, |_, _| 0);
    let chain = String::from_utf8_lossy(&bytes[bytes.len() - 35..bytes.len() - 3]).into_owned();
    let mut before = [0; 16];
    for (i, byte) in before.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&chain[2 * i..2 * i + 2], 16).unwrap();
    }
    let line = r#"{"t":"something_new","x":1"#;
    let hash = Chain(before).next(line.as_bytes());
    bytes.extend(format!("{line},\"h\":\"{hash}\"}}\n").bytes());
    assert!(matches!(read_bytes(&bytes), Err(ReadError::Misfit { line: 2, .. })));
}

#[test]
fn a_lost_or_swapped_line_is_noticed() {
    let whole = written(3, |_, _| 0);
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    assert_eq!(read_bytes(&[lines[0], lines[2]].concat()).unwrap().0, 1);
    let swapped = [lines[1], lines[0], lines[2]].concat();
    assert!(matches!(read_bytes(&swapped), Err(ReadError::Damaged { line: 1, .. })));
}

#[test]
fn going_on_cuts_the_fragment_and_keeps_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut bytes = written(2, |_, _| 0);
    bytes.extend_from_slice(b"{\"t\":\"beg");
    std::fs::write(&path, &bytes).unwrap();
    let file = Disk::default().open_log(&path).unwrap();
    let (tail, torn) = read(file.file(), seed(), |_, _, _| Ok(())).unwrap();
    assert_eq!(torn, Some(Torn { lines: 1, bytes: 9 }));
    let mut journal = Journal::go_on(file, tail).unwrap();
    journal.append(&begin(2), 0);
    journal.flush().unwrap();
    assert_eq!(read_bytes(&std::fs::read(&path).unwrap()).unwrap(), (3, None));
}

#[test]
fn a_second_process_cannot_have_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let _held = Journal::create(&Disk::default(), &path, seed()).unwrap();
    let again = Disk::default().open_log(&path).unwrap();
    assert_eq!(lock(again.file()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_bytes(&bytes);
    }
}
