//! Encryption at rest: which secrets open a database, what is readable without one, and which exchanged records are
//! detected.

use std::io::BufRead;

use tidelock::{
    ErrorCode, Result,
    error::WarningCode,
    format::LogRecord,
    ports::ChunkId,
    snapshot::Reason,
    store::{Contents, chunk, faulty::Crash, sealed::Secret},
};

use super::{
    bench::{Machine, ROWS, insert, key, snapshot, sum, vault, with_table},
    page::Page,
    stored::{SealedHead, change_sealed_head, head, sealed_head},
};

pub const MARKER: &str = "a-secret-that-must-not-be-found";

/// Creates a database with a marker in its schema, rows and a label; a snapshot, and log records before and after it.
pub fn marked(machine: &mut Machine) -> Page {
    let page = with_table(machine);
    machine.commit(&page, &format!("CREATE TABLE \"{MARKER}\"(v); INSERT INTO t(v) VALUES ('{MARKER}')")).unwrap();
    let snapshots = page.snapshots.clone();
    let label = Some(MARKER.to_owned());
    machine.sim.run(async move { snapshots.create(label, Reason::Manual).await }).unwrap();
    machine.commit(&page, &format!("INSERT INTO t(v) VALUES ('{MARKER}!')")).unwrap();
    page
}

/// Returns all stored bytes that carry content.
pub fn everything(contents: &Contents) -> Vec<u8> {
    let mut all = Vec::new();
    all.extend(contents.head.iter().flatten());
    contents.log.values().chain(contents.snapshots.values()).for_each(|bytes| all.extend(bytes));
    for (id, bytes) in contents.chunks.iter() {
        all.extend(id.bytes());
        all.extend(bytes);
    }
    all
}

/// Returns whether bytes contain a text. The standard library finds the first byte: in test programs, which
/// aren't optimised, comparing all windows of megabytes takes much longer.
pub fn contains(haystack: &[u8], needle: &str) -> bool {
    let (first, others) = needle.as_bytes().split_first().expect("a text");
    let mut rest = haystack;
    while rest.skip_until(*first).expect("bytes in memory can be read") > 0 {
        if rest.starts_with(others) {
            return true;
        }
    }
    false
}

#[test]
fn nothing_readable_is_stored() {
    for (encrypted, expected) in [(false, true), (true, false)] {
        let mut machine = if encrypted { Machine::encrypted() } else { Machine::new() };
        let page = marked(&mut machine);
        machine.commit(&page, ROWS).unwrap();
        let manifest = page.storage.manifests().pop().unwrap();
        let contents = machine.contents();
        let all = everything(&contents);
        assert_eq!(contains(&all, MARKER), expected);
        assert_eq!(contains(&all, "CREATE TABLE"), expected);
        // SHA-256 and checksums of the plain bytes aren't readable either, since the bytes could be guessed from them.
        assert_eq!(contents.chunks.contains_key(&manifest.chunks[0].id), expected);
        assert_eq!(contains(&all, &manifest.sha256), expected);
        assert_eq!(contents.log.iter().any(|(key, bytes)| LogRecord::decode(*key, bytes.clone()).is_some()), expected);
        assert_eq!(head(&contents).features, if encrypted { vec!["encryption".to_owned()] } else { vec![] });
    }
}

#[test]
fn only_the_right_secret_opens_and_a_refused_open_changes_nothing() {
    let passphrase = |words: &str| Some(Secret::Passphrase(words.to_owned()));
    for (made_with, wrong) in [(passphrase("right"), passphrase("wrong")), (Some(key(1)), Some(key(2)))] {
        let mut machine = Machine { secret: made_with.clone(), ..Machine::new() };
        let page = with_table(&mut machine);
        insert(&mut machine, &page, 5);
        machine.kill(Crash::Process);
        let other = match made_with {
            Some(Secret::Key(_)) => passphrase("right"),
            _ => Some(key(1)),
        };
        for secret in [None, wrong, other] {
            machine.secret = secret;
            assert_eq!(machine.refused().code, ErrorCode::DecryptionFailed);
        }
        machine.secret.clone_from(&made_with);
        if matches!(made_with, Some(Secret::Passphrase(_))) {
            let set = |machine: &Machine, rounds| {
                machine.damage(|contents| change_sealed_head(contents, |head| head.iterations = rounds));
            };
            let rounds = sealed_head(&machine.contents()).iterations;
            for rounds in [0, 599_999, u32::MAX] {
                set(&machine, rounds);
                assert_eq!(machine.refused().code, ErrorCode::DecryptionFailed, "{rounds} rounds");
            }
            set(&machine, rounds);
        }
        assert_eq!(sum(&machine.open().unwrap()), 5);
    }
}

#[test]
fn opening_never_encrypts_a_plain_database() {
    let mut machine = Machine::new();
    with_table(&mut machine);
    machine.secret = Some(key(1));
    let error = machine.refused();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.hint.clone().unwrap().contains("rekey"), "{error}");
}

#[test]
fn snapshots_and_sweeps_are_the_same_as_without_encryption() {
    let mut machine = Machine::encrypted();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    let first = snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 1);
    let second = snapshot(&mut machine, &page).unwrap();
    assert!(second.stored_bytes < 300_000, "shared chunks are not stored again");
    // Values that users see are computed from the plain content.
    let ids: Vec<_> = page.flusher.file().image().unwrap().chunks.iter().map(|plain| chunk::id(plain)).collect();
    assert_eq!(page.storage.manifests()[1].chunks.iter().map(|chunk| chunk.id).collect::<Vec<_>>(), ids);

    let before = machine.contents().chunks.len();
    let snapshots = page.snapshots.clone();
    let (ok, image) = machine.sim.run(async move {
        let ok = snapshots.verify(&first.id).await.unwrap().ok;
        let image = snapshots.load(&first.id).await.unwrap();
        snapshots.delete(&first.id).await.unwrap();
        (ok, image)
    });
    assert!(ok && image.bytes() > 2_000_000);
    assert_eq!(page.snapshots.list().len(), 1);
    // A chunk of a page that died before it wrote the manifest.
    machine.damage(|contents| contents.chunks.insert(ChunkId::new(&[0xff; 32]), vec![1]));
    machine.kill(Crash::Process);
    machine.open().unwrap();
    machine.sim.advance(10);
    let contents = machine.contents();
    assert!(contents.chunks.len() <= before && !contents.chunks.contains_key(&ChunkId::new(&[0xff; 32])));
}

/// Opens after records were exchanged. Returns an error, or the warnings and the sum of all values.
fn found(machine: &mut Machine) -> Result<(Vec<WarningCode>, i64)> {
    machine.sim.kill();
    let page = machine.open()?;
    Ok((page.warnings.iter().map(|warning| warning.code).collect(), sum(&page)))
}

/// Creates two snapshots (15 and 115 in all), and two batches after them.
fn history() -> Machine {
    let mut machine = Machine::encrypted();
    let page = with_table(&mut machine);
    for value in [5, 10] {
        insert(&mut machine, &page, value);
    }
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 100);
    snapshot(&mut machine, &page).unwrap();
    for value in [1000, 10_000] {
        insert(&mut machine, &page, value);
    }
    machine
}

const ALL: i64 = 11_115;

#[test]
fn a_batch_in_the_place_of_another_is_noticed() {
    let newest = history().contents().log.keys().next_back().unwrap().0;
    for (from, to) in [(newest - 1, newest), (newest, newest - 1), (newest - 2, newest)] {
        let mut machine = history();
        machine.damage(|contents| {
            let record = contents.log[&(from, 0)].clone();
            contents.log.insert((to, 0), record);
        });
        assert_eq!(found(&mut machine).unwrap_err().code, ErrorCode::DatabaseCorrupt, "{from} in the place of {to}");
    }
}

#[test]
fn an_older_manifest_or_chunk_in_the_place_of_a_newer_is_noticed() {
    let mut machine = history();
    machine.damage(|contents| {
        let older = contents.snapshots[&1].clone();
        contents.snapshots.insert(2, older);
    });
    assert_eq!(
        found(&mut machine).unwrap(),
        (vec![WarningCode::SnapshotCorrupt], ALL),
        "the one before and the log tell"
    );

    let mut machine = history();
    machine.damage(|contents| {
        let ids: Vec<_> = contents.chunks.keys().cloned().collect();
        let all: Vec<_> = contents.chunks.values().cloned().collect();
        assert_eq!(ids.len(), 4, "two snapshots of one chunk, and its copy");
        ids.into_iter()
            .zip(all.into_iter().cycle().skip(1))
            .for_each(|(id, other)| _ = contents.chunks.insert(id, other));
    });
    assert_eq!(
        found(&mut machine).unwrap(),
        (vec![WarningCode::SnapshotCorrupt, WarningCode::SnapshotCorrupt], ALL),
        "from the log"
    );
}

#[test]
fn records_of_another_database_are_noticed_also_under_the_same_secret() {
    let mut machine = history();
    let other = history().contents();
    // The simulated randomness is the same for both, as if the whole database had been copied. Only its id differs.
    let mut copy = Machine { secret: Some(key(1)), ..Machine::new() };
    copy.sim.run({
        let entropy = copy.platform().entropy;
        async move { entropy.fill(&mut [0; 8]) }
    });
    let page = with_table(&mut copy);
    while page.storage.position().lsn < machine.contents().log.keys().next_back().unwrap().0 {
        insert(&mut copy, &page, 1);
    }
    machine.damage(|contents| {
        let newest = *contents.log.keys().next_back().unwrap();
        contents.log.insert(newest, copy.contents().log[&newest].clone());
    });
    assert_ne!(sealed_head(&other).head.database_id, sealed_head(&copy.contents()).head.database_id);
    assert_eq!(found(&mut machine).unwrap_err().code, ErrorCode::DatabaseCorrupt);
}

#[test]
fn a_head_that_was_changed_or_put_back_is_noticed() {
    type Change = fn(&mut SealedHead);
    let changes: [(&str, Change); 4] = [
        ("an epoch", |head| head.head.epoch += 1),
        ("where the log ends at least", |head| head.head.lsn -= 1),
        ("the holder", |head| head.shown.holder.title = "Somebody".to_owned()),
        ("its MAC", |head| head.mac = vec![0; 32]),
    ];
    for (name, change) in changes {
        let mut machine = history();
        machine.damage(|contents| change_sealed_head(contents, change));
        assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt, "{name}");
    }
    let mut machine = history();
    let older = machine.contents();
    machine.open().unwrap();
    machine.damage(|contents| (contents.head, contents.head_copy) = (older.head, older.head_copy));
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt, "the log has a newer epoch than the head");
    let mut machine = history();
    let older = machine.contents();
    let page = machine.open().unwrap();
    insert(&mut machine, &page, 1);
    machine.damage(|contents| contents.log = older.log);
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt, "the log ends before the head's epoch");
}

#[test]
fn the_head_counts_what_its_key_has_encrypted() {
    let mut machine = Machine::encrypted();
    let page = with_table(&mut machine);
    for value in 0..10 {
        insert(&mut machine, &page, value);
    }
    snapshot(&mut machine, &page).unwrap();
    let stored = machine.contents();
    let counted = sealed_head(&stored).encryptions;
    // The log, a chunk, and a manifest; the record after the head may not be counted.
    assert!((11..=stored.log.len() as u64 + 2).contains(&counted), "{counted}, {} records", stored.log.len());
    // Another secret wraps the same key.
    let (storage, platform) = (page.storage.clone(), machine.platform());
    machine.sim.run(async move { storage.rekey(Some(&vault(&platform, key(2)))).await });
    assert!(sealed_head(&machine.contents()).encryptions >= counted);
    machine.secret = Some(key(2));
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    assert!(sealed_head(&machine.contents()).encryptions > counted);
    machine.damage(|contents| change_sealed_head(contents, |head| head.encryptions = 0));
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
}

#[test]
fn exchanged_records_of_the_log_do_not_decrypt() {
    let mut machine = history();
    let keys: Vec<_> = machine.contents().log.keys().copied().rev().take(2).collect();
    machine.damage(|contents| {
        let (one, other) = (contents.log[&keys[0]].clone(), contents.log[&keys[1]].clone());
        contents.log.insert(keys[0], other);
        contents.log.insert(keys[1], one);
    });
    let (store, platform, secret) = (machine.store(), machine.platform(), machine.secret.clone());
    let records = machine.sim.run(async move {
        let sealed = Machine::connect(store, platform, secret).await.unwrap();
        sealed.log((0, u32::MAX), usize::MAX).await.unwrap()
    });
    for (key, record) in records {
        assert_eq!(record.is_empty(), keys.contains(&key), "{key:?}");
    }
}

#[test]
fn records_in_the_clear_are_not_taken_for_sealed_ones() {
    let plain = {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        insert(&mut machine, &page, 1);
        snapshot(&mut machine, &page).unwrap();
        machine.contents()
    };
    let mut machine = history();
    machine.damage(|contents| {
        contents.snapshots.insert(2, plain.snapshots[&1].clone());
    });
    assert_eq!(found(&mut machine).unwrap(), (vec![WarningCode::SnapshotCorrupt], ALL));
    let mut machine = history();
    machine.damage(|contents| {
        let newest = *contents.log.keys().next_back().unwrap();
        contents.log.insert(newest, plain.log[&(3, 0)].clone());
    });
    assert_eq!(found(&mut machine).unwrap_err().code, ErrorCode::DatabaseCorrupt);
    // A head without encryption is that of a plain database, which can't be opened with a key.
    let mut machine = history();
    machine.damage(|contents| {
        contents.head = Some(sealed_head(contents).head.encode());
    });
    assert_eq!(machine.refused().code, ErrorCode::InvalidArgument);
}
