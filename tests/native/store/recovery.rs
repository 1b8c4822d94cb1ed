//! Consequences of the storage format's rules for opening and compaction.

use tidelock::{
    ErrorCode,
    format::{FORMAT, Head, LogKind, ManifestKind},
    ports::Durability,
    snapshot::SnapshotOptions,
    store::faulty::Crash,
};

use super::{
    bench::{Machine, ROWS, insert, snapshot, sum, with_table},
    page::{Page, by_call_only},
    stored,
};

#[test]
fn compaction_keeps_opening_quick_and_is_no_snapshot() {
    let mut machine = Machine::new();
    drop(with_table(&mut machine));
    let (store, platform) = (machine.store(), machine.platform());
    let options = SnapshotOptions { log_max_bytes: Some(8 << 20), ..by_call_only() };
    let opening = async move { Page::open_with(store, &platform, Durability::Relaxed, options).await };
    let page = machine.sim.run(opening).unwrap();
    machine.commit(&page, ROWS).unwrap();
    for _ in 0..40 {
        machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE id % 5 = 0").unwrap();
        machine.sim.advance(1);
    }
    assert_eq!(page.snapshots.list(), []);
    let contents = machine.contents();
    let checkpoints = stored::manifests(&contents);
    assert!(checkpoints.iter().all(|manifest| manifest.kind == ManifestKind::Checkpoint));
    assert_eq!(checkpoints.len(), 2, "the newest and the one before");
    assert!(page.storage.truncated().lsn > 0);
    let usage = page.storage.usage();
    assert!(usage.log_bytes < 13_000_000, "{usage:?}");
    let stored: usize = stored::records(&contents).iter().map(|record| record.bytes.len()).sum();
    assert_eq!(usage.log_bytes, stored as u64, "known without reading the store");
    assert_eq!(usage.chunk_bytes, contents.chunks.values().map(|chunk| chunk.len() as u64).sum::<u64>());
    // Data before the newest checkpoint isn't read.
    let newest = checkpoints[1].lsn;
    machine.damage(|contents| {
        contents.log.retain(|key, record| {
            if *key < (newest, u32::MAX) {
                record.clear();
            }
            true
        });
    });
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!((page.number("SELECT count(*) FROM t"), page.warnings.len()), (2000, 0));
    page.assert_whole();
}

#[test]
fn a_newer_format_is_not_changed() {
    let changes: [fn(&mut Head); 2] =
        [|head| head.format = FORMAT + 1, |head| head.features.push("columns".to_owned())];
    for change in changes {
        let mut machine = Machine::new();
        drop(with_table(&mut machine));
        machine.damage(|contents| stored::change_head(contents, change));
        assert_eq!(machine.refused().code, ErrorCode::SnapshotIncompatible);
    }
}

#[test]
fn without_any_usable_snapshot_the_whole_log_restores_the_data() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 2);
    machine.kill(Crash::Process);
    machine.damage(|contents| contents.chunks.retain(|_, _| false));
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings.len()), (3, 1));
    assert!(stored::records(&machine.contents()).iter().any(|record| record.header.kind == LogKind::Epoch));
}

#[test]
fn options_of_snapshots_are_checked() {
    SnapshotOptions::default().check().unwrap();
    let bad =
        [SnapshotOptions { keep: 0, ..Default::default() }, SnapshotOptions { interval_ms: 0, ..Default::default() }];
    for options in bad {
        assert_eq!(options.check().unwrap_err().code, ErrorCode::InvalidArgument);
    }
}
