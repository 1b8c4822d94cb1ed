//! Storage that is damaged, full, missing, stolen, encrypted, or newer.

use std::rc::Rc;

use tidelock::{
    Result,
    format::{FORMAT, Head},
    lock,
    ports::{
        Durability, Guard, Holder, Store, Transaction,
        sim::{START, Sim},
    },
    snapshot::{Reason, SnapshotInfo},
    store::{
        Contents, MemoryStore, RecoveryReport, Rekeyed, Storage, Tag,
        faulty::{Crash, Faults},
        folder::{Disk, FolderStore},
        moving::{check, move_database},
        sealed::Secret,
    },
};

use super::Shown;
use crate::store::{
    bench::{Machine, insert, key, snapshot, vault, with_table},
    hostile_folder::{PUT_CHUNK, START_FRAME, add_frame, empty_state},
    page::Page,
    stored::{SealedHead, change_head, change_sealed_head, manifest},
};

/// Creates two snapshots, and commits before and after them.
fn machine() -> (Machine, Page) {
    made(Machine::new())
}

fn made(mut machine: Machine) -> (Machine, Page) {
    let page = with_table(&mut machine);
    for value in 1..=2 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
        machine.sim.advance(1000);
    }
    insert(&mut machine, &page, 3);
    (machine, page)
}

fn recover(machine: &mut Machine, from: Option<&str>) -> Result<RecoveryReport> {
    let (store, platform, from) = (machine.store(), machine.platform(), from.map(str::to_owned));
    machine.sim.run(async move { Storage::recover(store, &platform, Holder::default(), from.as_deref()).await })
}

fn take(machine: &mut Machine, page: &Page) -> Result<SnapshotInfo> {
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move { snapshots.create(None, Reason::Manual).await })
}

#[test]
fn opening() {
    let mut shown = Shown::of("opening");
    let refused = |change: &dyn Fn(&mut Machine)| {
        let (mut machine, _page) = machine();
        machine.kill(Crash::Process);
        change(&mut machine);
        machine.refused()
    };
    let head = |change: fn(&mut Head)| refused(&|machine| machine.damage(|contents| change_head(contents, change)));
    shown.add("a newer format", &head(|head| head.format = FORMAT + 1));
    shown.add("a feature that isn't known", &head(|head| head.features.push("columns".into())));
    let headless = |contents: &mut Contents| (contents.head, contents.head_copy) = (None, None);
    shown.add("no head", &refused(&|machine| machine.damage(headless)));
    let log = |machine: &mut Machine| {
        machine.damage(|contents| {
            let newest = *contents.log.keys().next_back().unwrap();
            contents.log.insert(newest, vec![]);
        });
    };
    shown.add("a damaged log", &refused(&log));

    let sealed = |open_with: Option<Secret>, change: &dyn Fn(&mut Machine)| {
        let (mut machine, _page) = made(Machine::encrypted());
        machine.kill(Crash::Process);
        machine.secret = open_with;
        change(&mut machine);
        machine.refused()
    };
    let nothing = |_: &mut Machine| {};
    shown.add("an encrypted one without a key", &sealed(None, &nothing));
    shown.add("an encrypted one with another key", &sealed(Some(key(2)), &nothing));
    shown.add("one with a key, opened with a passphrase", &sealed(Some(Secret::Passphrase("words".into())), &nothing));
    let sealed_head = |change: fn(&mut SealedHead)| {
        sealed(Some(key(1)), &move |machine| machine.damage(|contents| change_sealed_head(contents, change)))
    };
    shown.add("one encrypted in another way", &sealed_head(|head| head.method = "x".into()));
    shown.add("an encrypted one with a damaged head", &sealed_head(|head| head.wrapped = b"zz".to_vec()));
    shown.add("an encrypted one whose head was changed", &sealed_head(|head| head.head.epoch += 1));
    let (mut plain, _page) = machine();
    plain.kill(Crash::Process);
    plain.secret = Some(key(1));
    shown.add("a plain one with a key", &plain.refused());
    let mut words = Machine { secret: Some(Secret::Passphrase("right".into())), ..Machine::new() };
    drop(with_table(&mut words));
    words.kill(Crash::Process);
    words.secret = Some(key(1));
    shown.add("one with a passphrase, opened with a key", &words.refused());
    shown.check();
}

#[test]
fn recovering() {
    let mut shown = Shown::of("recovering");
    let (mut broken, _page) = machine();
    broken.kill(Crash::Process);
    shown.fails("from a snapshot that isn't there", recover(&mut broken, Some("77")));
    shown.fails("from what is no id", recover(&mut broken, Some("x")));
    broken.damage_generation(1);
    shown.fails("from a damaged snapshot", recover(&mut broken, Some("1")));
    let (mut broken, _page) = machine();
    broken.kill(Crash::Process);
    broken.damage_chunks();
    broken.damage(|contents| {
        let keys: Vec<_> = contents.log.keys().copied().collect();
        keys.into_iter().for_each(|key| _ = contents.log.insert(key, vec![]));
    });
    shown.fails("where nothing is left", recover(&mut broken, None));
    shown.check();
}

#[test]
fn snapshots() {
    let mut shown = Shown::of("snapshots");
    let (mut bench, page) = machine();
    let load = |machine: &mut Machine, page: &Page, id: &str| {
        let (snapshots, id) = (page.snapshots.clone(), id.to_owned());
        machine.sim.run(async move { snapshots.load(&id).await })
    };
    shown.fails("one that isn't there", load(&mut bench, &page, "77"));
    let at = |machine: &mut Machine, page: &Page, ms: i64| {
        let snapshots = page.snapshots.clone();
        machine.sim.run(async move { snapshots.load_at(START.plus_ms(ms).into()).await })
    };
    shown.fails("a moment before everything", at(&mut bench, &page, -1000));
    bench.damage_generation(1);
    shown.fails("one with a damaged manifest or chunk", load(&mut bench, &page, "1"));
    bench.damage(|contents| contents.snapshots.insert(1, vec![]));
    shown.fails("one whose record is damaged", load(&mut bench, &page, "1"));

    let (mut bench, page) = machine();
    bench.faults(Faults { rot: 1000, ..Faults::default() });
    shown.fails("a disk that keeps other bytes than it was given", take(&mut bench, &page));

    // The second snapshot reuses chunks of the first, one of which is deleted meanwhile.
    let mut bench = Machine::new();
    let page = with_table(&mut bench);
    bench.commit(&page, "INSERT INTO t(v) VALUES (zeroblob(300000))").unwrap();
    snapshot(&mut bench, &page).unwrap();
    insert(&mut bench, &page, 1);
    let gone = manifest(&bench.contents(), 1).chunks[3].id;
    bench.damage(|contents| contents.chunks.remove(&gone));
    let (storage, flusher) = (page.storage.clone(), page.flusher.clone());
    let published = bench.sim.run(async move {
        let frozen = flusher.freeze().await?;
        let staged = storage.stage(&frozen.pin, &frozen.touched, frozen.at, true, true).await?;
        storage.publish(staged, Tag::checkpoint()).await
    });
    shown.fails("one that reuses a chunk that is gone", published);

    let (mut bench, page) = machine();
    let lsn = page.storage.manifests().last().unwrap().lsn;
    insert(&mut bench, &page, 4);
    bench.sim.advance(5000);
    bench.damage(|contents| contents.log.insert((lsn + 1, 0), vec![]));
    shown.fails("a moment behind damage in the log", at(&mut bench, &page, 1 << 30));
    shown.check();
}

#[test]
fn writing() {
    let mut shown = Shown::of("writing");
    let (mut bench, fenced_out) = machine();
    let _next_holder = bench.open().unwrap();
    shown.fails("a write of a fenced-out holder", bench.commit(&fenced_out, "INSERT INTO t(v) VALUES (9)"));
    shown.fails("a snapshot of a fenced-out holder", take(&mut bench, &fenced_out));

    let (mut bench, page) = machine();
    bench.faults(Faults { refuse: 1000, ..Faults::default() });
    shown.fails("a flush that fails", bench.commit(&page, "INSERT INTO t(v) VALUES (9)"));
    bench.sim.advance(20_000);
    shown.fails("a write after three of them", page.flusher.admit_write());

    let (mut bench, page) = machine();
    bench.faults(Faults { rot: 1000, ..Faults::default() });
    let (storage, platform) = (page.storage.clone(), bench.platform());
    let rekeyed = bench.sim.run(async move { storage.rekey(Some(&vault(&platform, key(1)))).await });
    let Rekeyed::Unchanged(error) = rekeyed else { panic!("it can't be read back") };
    shown.add("a new key on a disk that keeps other bytes", &error);
    shown.check();
}

#[test]
fn folders() {
    let mut shown = Shown::of("folders");
    let folder = std::env::temp_dir().join(format!("tidelock-{}-messages", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let store = |at: &std::path::Path| FolderStore::new(Rc::new(Disk::new(at)));
    let write = |store: &FolderStore| {
        let transaction = Transaction {
            guard: Guard::Nothing,
            require: Vec::new(),
            writes: Vec::new(),
            durability: Durability::Strict,
        };
        Sim::new(1).run(store.write(transaction))
    };
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("journal.1"), b"this is no journal").unwrap();
    let found = |store: FolderStore| -> Result<()> { Sim::new(1).run(async move { store.head().await.map(drop) }) };
    shown.fails("a journal that is none", found(store(&folder)));
    std::fs::write(folder.join("journal.1"), b"").unwrap();
    add_frame(&folder.join("journal.1"), 1, START_FRAME, &empty_state());
    add_frame(&folder.join("journal.1"), 1, PUT_CHUNK, b"\x02\0\0\0..");
    shown.fails("a journal that names a file elsewhere", found(store(&folder)));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/passwd", folder.join("pack.1")).unwrap();
        shown.fails("a folder with a symbolic link", found(store(&folder)));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, b"a file").unwrap();
    shown.fails("a file in the place of the folder", found(store(&folder.join("inner"))));
    std::fs::remove_file(&folder).unwrap();
    let closed = store(&folder);
    let closing = closed.clone();
    Sim::new(1).run(async move { closing.close().await }).unwrap();
    shown.fails("a folder that was closed", write(&closed));
    let _ = std::fs::remove_dir_all(&folder);
    shown.add("the lock of a folder, taken over", &lock::unsupported());
    shown.check();
}

#[test]
fn moving() {
    let mut shown = Shown::of("moving");
    let moved = |to: Faults, change: fn(&mut Contents)| {
        let (mut machine, _page) = machine();
        machine.kill(Crash::Process);
        machine.damage(change);
        let (from, faulty) = (MemoryStore::new(), machine.store());
        *from.contents().borrow_mut() = machine.contents();
        machine.damage(|contents| *contents = Contents::default());
        machine.faults(to);
        let copied = from.clone();
        let result = machine.sim.run(async move { move_database(&copied, &*faulty).await });
        (machine, from, result)
    };
    let refused = |to: Faults, change: fn(&mut Contents)| moved(to, change).2;
    shown.fails(
        "no database",
        refused(Faults::default(), |contents| (contents.head, contents.head_copy) = (None, None)),
    );
    shown.fails(
        "a value that can't be read",
        refused(Faults::default(), |contents| {
            let newest = *contents.log.keys().next_back().unwrap();
            contents.log.insert(newest, vec![]);
        }),
    );
    shown.fails("no log", refused(Faults::default(), |contents| contents.log.retain(|_, _| false)));
    shown.fails(
        "a newer format",
        refused(Faults::default(), |contents| change_head(contents, |head| head.format = FORMAT + 1)),
    );
    let large: Rc<dyn Store> = Rc::new(MemoryStore::new());
    let mut sim = Sim::new(1);
    let platform = sim.platform();
    let checked = sim.run(async move {
        Page::open(large.clone(), &platform).await?.commit("CREATE TABLE t(a)").await?;
        check(large, Some(100)).await
    });
    shown.fails("a database that is too large for the other storage", checked);
    shown.fails("a copy with other bytes", refused(Faults { rot: 1000, ..Faults::default() }, |_| {}));
    let (mut machine, from, result) = moved(Faults::default(), |_| {});
    result.unwrap();
    let platform = machine.platform();
    let original = machine.sim.run(async move { Page::open(Rc::new(from), &platform).await.map(drop) });
    shown.fails("the original, afterwards", original);
    shown.check();
}
