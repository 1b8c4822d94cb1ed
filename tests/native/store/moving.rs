//! Moving a database between a store like IndexedDB, which decides, and a folder like one in OPFS.

use std::rc::Rc;

use futures_util::future::{Either, join, select};
use tidelock::{
    Error, ErrorCode, Result,
    error::Detail,
    ports::{Platform, Store, sim::Sim},
    snapshot::Reason,
    store::{
        Contents,
        faulty::{Crash, Faults, FaultyStore},
        moving::{check, decides, is_encrypted, move_database},
        sealed::{SealedStore, Secret},
    },
};

use super::{
    bench::{key, vault},
    folder::{Chance, SimDisk, everything},
    page::Page,
    sealed::{MARKER, contains},
};

/// Where a database is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the store that decides.
    Deciding,
    Folder,
}

use Place::{Deciding, Folder};

/// A browser with both storages.
struct Browser {
    sim: Sim,
    deciding: FaultyStore,
    folder: SimDisk,
    secret: Option<Secret>,
}

impl Browser {
    /// Creates a browser with a database that has rows, snapshots, and a log before and after them.
    fn with_database(place: Place, secret: Option<Secret>) -> Self {
        let sim = Sim::new(7);
        let deciding = FaultyStore::new_powerless(&sim.platform());
        let mut browser = Self { sim, deciding, folder: SimDisk::default(), secret };
        browser
            .on_page(place, |page| async move {
                page.commit("CREATE TABLE t(id INTEGER PRIMARY KEY, v)").await?;
                for number in 0..3 {
                    page.commit(&format!("INSERT INTO t(v) VALUES (randomblob(1500)), ('{MARKER}')")).await?;
                    page.snapshots.create(Some(format!("{MARKER} {number}")), Reason::Manual).await?;
                }
                page.commit("INSERT INTO t(v) VALUES ('after the snapshots')").await
            })
            .unwrap();
        browser
    }

    fn store(&self, place: Place) -> Rc<dyn Store> {
        match place {
            Deciding => Rc::new(self.deciding.clone()),
            Folder => self.folder.store(),
        }
    }

    /// Opens the database there, runs `work`, and closes it.
    fn on_page<F: Future<Output = Result<()>> + 'static>(
        &mut self,
        place: Place,
        work: impl FnOnce(Page) -> F + 'static,
    ) -> Result<()> {
        let (store, platform, secret) = (self.store(place), self.sim.platform(), self.secret.clone());
        self.sim.run(async move {
            let page = Page::open(opened(store.clone(), &platform, secret).await?, &platform).await?;
            work(page).await?;
            store.close().await
        })
    }

    /// Moves the database; `None` when the move never ends.
    fn move_from(&mut self, from: Place) -> Option<Result<()>> {
        let (platform, from, to) = (self.sim.platform(), self.store(from), self.store(other(from)));
        self.sim.run(async move {
            let moving = Box::pin(move_database(&*from, &*to));
            match select(moving, platform.clock.sleep(60_000)).await {
                Either::Left((result, _)) => Some(result),
                Either::Right(_) => None,
            }
        })
    }

    fn contents(&mut self, place: Place) -> Contents {
        let store = self.store(place);
        self.sim.run(async move { everything(&*store).await })
    }

    /// Returns where the database is, by the rule.
    fn place(&self) -> Place {
        let head = self.deciding.disk().contents().borrow().head.clone();
        if decides(head.as_deref()) { Deciding } else { Folder }
    }

    /// Checks that the database is whole, and writes to it.
    fn assert_whole(&mut self, place: Place, after_power_cut: bool, context: &str) {
        let checked = self.on_page(place, move |page| async move {
            page.assert_whole();
            page.assert_undamaged(after_power_cut);
            assert_eq!(page.number("SELECT count(*) FROM t"), 7);
            let snapshots = page.snapshots.list();
            assert_eq!(snapshots.len(), 3);
            for info in snapshots {
                assert!(page.snapshots.verify(&info.id).await?.ok);
            }
            page.commit("INSERT INTO t(v) VALUES ('later'); DELETE FROM t WHERE v = 'later'").await
        });
        checked.unwrap_or_else(|error| panic!("{context}: {error}"));
    }

    fn assert_intact(&mut self, place: Place) {
        let checked = self.on_page(place, |page| async move {
            page.assert_whole();
            Ok(())
        });
        checked.unwrap();
    }

    /// Removes the store without the database.
    fn remove(&self, place: Place) {
        match place {
            Deciding => self.deciding.damage(|contents| *contents = Contents::default()),
            Folder => self.folder.clear(),
        }
    }
}

fn other(place: Place) -> Place {
    if place == Deciding { Folder } else { Deciding }
}

async fn opened(store: Rc<dyn Store>, platform: &Platform, secret: Option<Secret>) -> Result<Rc<dyn Store>> {
    let Some(secret) = secret else { return Ok(store) };
    Ok(Rc::new(SealedStore::open(store, &vault(platform, secret)).await?))
}

fn refusal(result: Option<Result<()>>) -> Error {
    result.expect("the move ends").expect_err("the move is refused")
}

#[test]
fn a_database_moves_and_returns_with_every_byte() {
    for secret in [None, Some(key(1))] {
        let mut browser = Browser::with_database(Deciding, secret.clone());
        // More than a copy has in memory at a time.
        let large = browser.on_page(Deciding, |page| async move {
            page.commit("CREATE TABLE large AS SELECT randomblob(5000000) AS v").await?;
            page.snapshots.create(None, Reason::Manual).await?;
            page.commit("UPDATE large SET v = randomblob(5000000)").await
        });
        large.unwrap();
        let before = browser.contents(Deciding);
        for from in [Deciding, Folder] {
            assert_eq!(browser.place(), from);
            assert_eq!(browser.move_from(from), Some(Ok(())));
            assert_eq!(browser.place(), other(from));
            let contents = browser.contents(other(from));
            assert!(contents == before, "every byte is as it was");
            let readable = contents.log.values().any(|record| contains(record, MARKER));
            assert_eq!(readable, secret.is_none());
            let left = browser.on_page(from, |_| async { Ok(()) }).unwrap_err();
            assert_eq!(left.code, ErrorCode::InvalidArgument, "the original doesn't open: {left}");
            browser.remove(from);
        }
        browser.assert_intact(Deciding);
    }
}

#[test]
fn where_a_move_ends_at_any_operation_one_good_database_opens() {
    let mut found = [0, 0];
    for from in [Deciding, Folder] {
        for power_cut in [false, true] {
            // Operations of the folder, then transactions of the deciding store.
            for (of_folder, start) in [(true, 1), (false, 0)] {
                for number in start.. {
                    let mut browser = Browser::with_database(from, Some(key(1)));
                    let mut chance = Chance(number);
                    match of_folder {
                        true => browser.folder.stop_at(browser.folder.operations() + number, chance.below(1001)),
                        false => browser.deciding.set(Faults { stall_after: Some(number), ..Faults::default() }),
                    }
                    let moved = browser.move_from(from);
                    browser.sim.kill();
                    browser.deciding.crash(if power_cut { Crash::Power } else { Crash::Process });
                    browser.folder.restart();
                    if power_cut {
                        browser.folder.cut_power(&mut |limit| chance.below(limit));
                    }
                    let (place, context) = (browser.place(), format!("from {from:?}, operation {number}, {power_cut}"));
                    assert!(moved != Some(Ok(())) || place != from, "{context}: a completed move is one");
                    browser.assert_whole(place, power_cut, &context);
                    browser.remove(other(place));
                    assert_eq!(browser.move_from(place), Some(Ok(())), "{context}: it moves again");
                    browser.assert_whole(other(place), false, &context);
                    found[usize::from(place == from)] += 1;
                    if moved == Some(Ok(())) {
                        break;
                    }
                }
            }
        }
    }
    assert!(found[0] > 4 && found[1] > 50, "moved and not moved: {found:?}");
}

#[test]
fn a_copy_with_another_byte_is_refused_and_the_original_stays() {
    let mut browser = Browser::with_database(Folder, None);
    browser.deciding.set(Faults { rot: 1000, ..Faults::default() });
    let error = refusal(browser.move_from(Folder));
    assert_eq!(error.code, ErrorCode::StorageUnavailable, "{error}");
    assert_eq!(browser.place(), Folder);
    browser.assert_whole(Folder, false, "after it");
}

#[test]
fn a_holder_that_took_the_database_meanwhile_keeps_it() {
    let mut refused = 0;
    for delay_ms in 0..40 {
        let mut browser = Browser::with_database(Deciding, None);
        browser.deciding.set(Faults { delay_ms: 3, ..Faults::default() });
        let (platform, from, to) = (browser.sim.platform(), browser.store(Deciding), browser.store(Folder));
        let (moved, page) = browser.sim.run(async move {
            let opening = async {
                platform.clock.sleep(delay_ms).await;
                let page = Page::open(from.clone(), &platform).await?;
                page.commit("INSERT INTO t(v) VALUES ('of the new holder')").await
            };
            join(move_database(&*from, &*to), opening).await
        });
        // One of them wins.
        let moved_here = moved.is_ok();
        assert_eq!(moved_here, page.is_err(), "{delay_ms} ms: {moved:?}, {page:?}");
        let refusal = moved.err().or(page.err()).expect("one of them").code;
        let expected = if moved_here { ErrorCode::InvalidArgument } else { ErrorCode::LockLost };
        assert_eq!(refusal, expected, "{delay_ms} ms");
        refused += u32::from(!moved_here);
        browser.deciding.set(Faults::default());
        let place = browser.place();
        assert_eq!(place == Folder, moved_here);
        browser.assert_intact(place);
    }
    assert!((1..40).contains(&refused), "{refused} of 40");
}

#[test]
fn a_database_that_the_other_storage_could_not_open_isnt_moved() {
    let mut browser = Browser::with_database(Folder, None);
    let store = browser.store(Folder);
    let (error, fits) = browser.sim.run(async move {
        let error = check(store.clone(), Some(1000)).await.unwrap_err();
        let Detail::Int(bytes) = error.details["bytes"] else { panic!("no bytes: {error:?}") };
        (error, check(store, Some(bytes.cast_unsigned())).await)
    });
    assert_eq!((error.code, &error.details["maxBytes"]), (ErrorCode::DatabaseTooLarge, &Detail::Int(1000)));
    assert_eq!(fits, Ok(()));
}

#[test]
fn a_damaged_or_missing_database_isnt_moved() {
    let mut browser = Browser::with_database(Deciding, None);
    let (empty, full) = (browser.store(Folder), browser.store(Deciding));
    let missing = browser.sim.run(async move {
        (is_encrypted(&*empty).await.unwrap_err().code, is_encrypted(&*full).await, check(full.clone(), None).await)
    });
    assert_eq!(missing, (ErrorCode::InvalidArgument, Ok(false), Ok(())));

    let newest = browser.deciding.disk().contents().borrow().log.keys().next_back().copied().unwrap();
    browser.deciding.damage(|contents| contents.log.get_mut(&newest).unwrap().clear());
    assert_eq!(refusal(browser.move_from(Deciding)).code, ErrorCode::DatabaseCorrupt);
    assert_eq!(browser.place(), Deciding);
    let damaged = browser.store(Deciding);
    let error = browser.sim.run(async move { check(damaged, None).await.unwrap_err() });
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
}
