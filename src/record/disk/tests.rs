use super::*;

#[test]
fn a_file_that_fails_half_way_leaves_the_old_one_and_no_litter() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let path = dir.path().join("results.csv");
    disk.write_whole(&path, |out| out.write_all(b"old")).unwrap();
    let failed: io::Result<()> = disk.write_whole(&path, |out| {
        out.write_all(b"half of the new")?;
        Err(io::Error::other("no room"))
    });
    assert!(failed.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn everything_is_private_to_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let inner = dir.path().join("run");
    disk.create_dir(&inner).unwrap();
    assert_eq!(mode(&inner), 0o700);
    let log = inner.join("journal.jsonl");
    disk.create_log(&log).unwrap();
    disk.write_whole(&inner.join("run.json"), |out| out.write_all(b"{}")).unwrap();
    disk.open_lock(&inner.join("lock")).unwrap();
    for name in ["journal.jsonl", "run.json", "lock"] {
        assert_eq!(mode(&inner.join(name)), 0o600, "{name}");
    }
    disk.write_whole_for_all(&inner.join("sweep.prom"), |out| out.write_all(b"x 1\n")).unwrap();
    assert_eq!(mode(&inner.join("sweep.prom")), 0o644);
}

#[test]
fn what_is_written_outside_a_run_takes_the_place_of_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    std::fs::write(&path, "something longer").unwrap();
    Disk::default().write_out(&path, |out| out.write_all(b"short")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"short");
    let (disk, _) = Disk::ill(1, testing::Ailment::IsFull);
    assert!(disk.write_out(&path, |out| out.write_all(b"four")).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"fo", "as much as there was room for");
}

#[test]
fn directories_are_made_with_all_that_they_stand_in() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let deep = dir.path().join("a/b/../c");
    disk.create_dirs(&deep).unwrap();
    disk.create_dirs(&deep).unwrap();
    assert!(dir.path().join("a/c").is_dir());
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert!(disk.create_dirs(&dir.path().join("file")).is_err());
    assert!(disk.create_dirs(&dir.path().join("file/below")).is_err());
}

#[test]
fn what_is_not_there_needs_no_taking_away() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.remove(&dir.path().join("none")).unwrap();
    disk.remove_dir(&dir.path().join("none")).unwrap();
    std::fs::create_dir(dir.path().join("full")).unwrap();
    std::fs::write(dir.path().join("full/file"), "").unwrap();
    assert!(disk.remove_dir(&dir.path().join("full")).is_err());
}
