use proptest::prelude::*;

use super::super::entry::{Session, Stamp};
use super::*;

/// The lines of a session that has not ended.
fn nth(op: u32) -> Entry {
    match op {
        0 => Entry::Session(Session::default()),
        op => Entry::Begin { at: Stamp(i64::from(op)), ops: vec![op] },
    }
}

fn seed() -> Chain {
    Chain::seed(b"{}", "00")
}

/// A journal of `n` lines; `synced` of the last one says how much of it is noted as synced.
fn written(n: u32, synced: impl Fn(u32, u64) -> u64) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = Journal::create(&path, seed()).unwrap();
    for op in 0..n {
        let at = journal.offset();
        journal.append(&nth(op), synced(op, at));
    }
    journal.flush().unwrap();
    std::fs::read(&path).unwrap()
}

fn read_bytes(bytes: &[u8]) -> Result<(usize, Option<Torn>), ReadError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    io::Seek::rewind(&mut file).unwrap();
    let mut seen = Vec::new();
    let torn = read(&file, &mut Tail::start(seed()), |entry, _, _| {
        seen.push(entry);
        Ok(())
    })?;
    for (i, entry) in seen.iter().enumerate() {
        assert_eq!(*entry, nth(i as u32));
    }
    Ok((seen.len(), torn))
}

#[test]
fn a_chain_hash_reads_back_from_what_it_is_written_as_and_nothing_else_does() {
    let chain = seed().next(b"x");
    let text = chain.to_string();
    assert_eq!(Chain::read(&text), Some(chain));
    assert_eq!(Chain::read(&format!(" {}\n", text.to_uppercase())), Some(chain));
    for wrong in
        ["", &text[1..], &format!("+{}", &text[1..]), &format!("{text}0"), &format!("{}g", &text[1..])]
    {
        assert_eq!(Chain::read(wrong), None, "{wrong}");
    }
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
    // The third line notes that the first two are on the disk.
    let whole = written(4, |op, at| if op == 2 { at } else { 0 });
    let ends: Vec<usize> = (0..whole.len()).filter(|i| whole[*i] == b'\n').collect();
    for i in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[i] ^= 0x10;
        let read = read_bytes(&flipped);
        if i <= ends[1] {
            assert!(matches!(read, Err(ReadError::Damaged { .. })), "byte {i}: {read:?}");
        } else {
            let (lines, torn) = read.unwrap();
            assert!(lines >= 2 && torn.is_some(), "byte {i}");
        }
    }
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
fn behind_the_end_of_a_session_a_fragment_is_torn_and_a_whole_line_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = Journal::create(&path, seed()).unwrap();
    let end = Entry::Close { at: Stamp(0), code: 0, results: String::new(), unfinished: None, report: None };
    for entry in [nth(0), end, nth(0)] {
        journal.append(&entry, 0);
    }
    journal.flush().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|i| whole[*i] == b'\n').map(|i| i + 1).collect();
    let outcome = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut tail = Tail::start(seed());
        read(&file, &mut tail, |_, _, _| Ok(())).map(|_| tail.offset)
    };
    for cut in ends[1] + 1..ends[2] {
        assert_eq!(outcome(&whole[..cut]).unwrap(), ends[1] as u64, "cut at {cut}");
    }
    for i in ends[1]..ends[2] - 1 {
        let mut flipped = whole.clone();
        flipped[i] ^= 0x10;
        assert!(matches!(outcome(&flipped), Err(ReadError::Damaged { line: 3, .. })), "byte {i}");
    }
    let twice = [&whole[..ends[1]], &whole[ends[0]..ends[1]]].concat();
    assert!(matches!(outcome(&twice), Err(ReadError::Damaged { line: 3, .. })));
}

#[test]
fn a_session_that_has_ended_looks_so_whatever_an_undo_notes_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = Journal::create(&path, seed()).unwrap();
    let mut looks_closed = |entry: Entry| {
        journal.append(&entry, 0);
        journal.flush().unwrap();
        super::looks_closed(&File::open(&path).unwrap()).unwrap()
    };
    let close =
        || Entry::Close { at: Stamp(9), code: 0, results: String::new(), unfinished: None, report: None };
    let undone = |n: u32| {
        let ops = (0..n).map(|op| (2 * op, 2 * op)).collect();
        Entry::Undone { at: Stamp(9), by: "undo".into(), dir: String::new(), ops }
    };
    assert!(!looks_closed(undone(1)), "it has not begun");
    assert!(!looks_closed(nth(0)));
    assert!(!looks_closed(undone(1)), "it was killed");
    assert!(looks_closed(close()));
    assert!(looks_closed(undone(1)));
    assert!(looks_closed(undone(2000)), "a long line");
    assert!(!looks_closed(nth(0)), "taken up again");
    assert!(!looks_closed(undone(2000)));
}

#[test]
fn going_on_cuts_the_fragment_and_keeps_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut bytes = written(2, |_, _| 0);
    bytes.extend_from_slice(b"{\"t\":\"beg");
    std::fs::write(&path, &bytes).unwrap();
    let file = disk::open_log(&path).unwrap();
    let mut tail = Tail::start(seed());
    let torn = read(&file, &mut tail, |_, _, _| Ok(())).unwrap();
    assert_eq!(torn, Some(Torn { lines: 1, bytes: 9 }));
    let mut journal = Journal::go_on(file, tail).unwrap();
    journal.append(&nth(2), 0);
    journal.flush().unwrap();
    assert_eq!(read_bytes(&std::fs::read(&path).unwrap()).unwrap(), (3, None));
}

#[test]
fn a_second_process_cannot_have_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let _held = Journal::create(&path, seed()).unwrap();
    let again = disk::open_log(&path).unwrap();
    assert_eq!(lock(&again).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(is_locked(&again).unwrap());
}

#[test]
fn who_looks_whether_it_is_locked_keeps_nobody_from_locking_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    drop(Journal::create(&path, seed()).unwrap());
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let looks = File::open(&path).unwrap();
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = is_locked(&looks).unwrap();
                }
            });
        }
        let locks = disk::open_log(&path).unwrap();
        let all = (0..200).all(|_| lock(&locks).is_ok() && locks.unlock().is_ok());
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(all);
    });
    assert!(!is_locked(&File::open(&path).unwrap()).unwrap());
}

#[test]
fn a_growing_journal_is_read_on_from_where_it_ended() {
    let whole = written(4, |op, at| if op == 3 { at } else { 0 });
    let ends: Vec<usize> = (0..whole.len()).filter(|i| whole[*i] == b'\n').collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut tail = Tail::start(seed());
    let mut seen = Vec::new();
    // The second time the end is half written: it is read when it is whole.
    for (upto, lines) in [(ends[0] + 1, 1), (ends[2] + 9, 3), (whole.len(), 4)] {
        std::fs::write(&path, &whole[..upto]).unwrap();
        let torn = read(&File::open(&path).unwrap(), &mut tail, |entry, _, _| {
            seen.push(entry);
            Ok(())
        });
        assert_eq!(torn.unwrap().is_some(), whole[upto - 1] != b'\n');
        assert_eq!(seen, (0..lines).map(nth).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_written_while_it_is_read_waits_for_the_next_reading() {
    let whole = written(3, |op, at| if op == 2 { at } else { 0 });
    let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    std::fs::write(&path, &whole[..first + 5]).unwrap();
    let file = File::open(&path).unwrap();
    let mut tail = Tail::start(seed());
    let torn =
        read(&file, &mut tail, |_, _, _| std::fs::write(&path, &whole).map_err(|fault| fault.to_string()));
    assert_eq!(torn.unwrap(), Some(Torn { lines: 1, bytes: 5 }));
    assert_eq!(read(&file, &mut tail, |_, _, _| Ok(())).unwrap(), None);
    assert_eq!(tail.offset, whole.len() as u64);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_bytes(&bytes);
    }
}
