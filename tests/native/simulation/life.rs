//! One page: it opens the database, compares it with the model, and works until it is killed or its work is done.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use tidelock::{
    Error, ErrorCode,
    engine::storage::flush::FlushPolicy,
    error::Warning,
    format::ManifestKind,
    ports::{Holder, Platform, Store},
    store::Storage,
};

use super::{
    Plan, Shared,
    damage::must_be_recoverable,
    model::{NOTHING, state_of},
    mutant::Mutation,
    work::{Chance, TABLES, Worker, cold_rows},
};
use crate::store::{
    bench::{Machine, key},
    page::Page,
};

/// The maximum number of retries of an opening that fails because of a full storage or another holder.
const ATTEMPTS: u32 = 50;

pub async fn live(store: Rc<dyn Store>, platform: Platform, shared: Rc<Shared>, plan: Rc<Plan>, number: u64) {
    let chance = Chance(platform.clone());
    let Some(page) = open(store, &platform, &shared, &plan, number).await else { return };
    let worker = Worker {
        page,
        number,
        chance: chance.clone(),
        options: plan.options.clone(),
        shared: shared.clone(),
        pad: plan.pad,
        contested: plan.contested,
        rekeyed: plan.rekeyed && shared.mutation.is_none(),
        ended: Cell::new(false),
    };
    if state_of(&worker.page.connection) == NOTHING {
        let cold = if plan.cold { cold_rows(&chance) } else { String::new() };
        let script = format!("PRAGMA page_size = {}; VACUUM; BEGIN; {TABLES} {cold} COMMIT", plan.page_size);
        worker.page.connection.exec(&script).expect("makes the tables");
        worker.committed().await;
    }
    if shared.mutation == Some(Mutation::SpillPages) {
        worker.page.connection.exec("PRAGMA cache_spill = ON; PRAGMA cache_size = 1").expect("sets");
    }
    let steps = if plan.contested { 200 } else { chance.below(30) };
    for _ in 0..steps {
        worker.step().await;
        if worker.ended.get() {
            return;
        }
        if shared.mutation == Some(Mutation::ForgetTouched) && chance.one_in(8) {
            worker.page.flusher.file().take_touched();
        }
    }
    // The page's background work continues until the page dies.
    platform.clock.sleep(chance.below(200)).await;
}

/// Opens the database, and recovers it if it is damaged. Returns `None` when neither is possible now.
async fn open(
    store: Rc<dyn Store>,
    platform: &Platform,
    shared: &Rc<Shared>,
    plan: &Plan,
    number: u64,
) -> Option<Page> {
    for attempt in 0..ATTEMPTS {
        let policy = FlushPolicy::Immediate(plan.durability);
        let (possible, chosen) = (shared.secrets.borrow().clone(), shared.secret(attempt));
        let secret = chosen.map(key);
        let opened = async {
            let store = Machine::connect(store.clone(), platform.clone(), secret.clone()).await?;
            Page::open_paged(store, platform, policy, plan.options.clone(), plan.cache_bytes).await
        };
        match opened.await {
            Ok(page) => {
                shared.model().met.encrypted += u64::from(secret.is_some());
                shared.model().met.opened_rotating += u64::from(page.storage.is_rotating());
                *shared.secrets.borrow_mut() = vec![chosen];
                found(&page, platform, shared, number);
                return Some(page);
            }
            Err(error) if error.is(ErrorCode::DatabaseCorrupt) => {
                assert!(shared.damaged.get(), "nothing was damaged, but {error} {:?}", error.details);
                shared.model().met.refused += 1;
                // A failed or interrupted recovery may have been stored, too.
                let told = Rc::new(OnceCell::new());
                shared.recoveries.borrow_mut().push(told.clone());
                match Storage::recover(store.clone(), platform, Holder::default(), None).await {
                    Ok(report) => {
                        // Nothing changes if another page has recovered the database at the same time.
                        assert!(report.changed || shared.model().met.steals > 0, "nothing was changed");
                        told.set(report).expect("one report");
                    }
                    Err(error) if error.is(ErrorCode::DatabaseCorrupt) => {
                        let floor = must_be_recoverable(&*store).await;
                        assert!(floor != Ok(true), "a snapshot is whole, but {error} {:?}", error.details);
                        shared.model().met.unrecoverable += 1;
                        return None;
                    }
                    Err(error) => passing(&error, shared),
                }
            }
            Err(error) if is_about_secret(&error) && (possible.len() > 1 || possible != *shared.secrets.borrow()) => {}
            Err(error) => passing(&error, shared),
        }
        platform.clock.sleep(5).await;
        // Reconnects, where the connection may have ended.
        if let Err(error) = store.reopen().await {
            // Without a database yet, there is nothing to reconnect to: to an open one, that it was removed.
            let is_new = shared.model().begin() == 0 && error.is(ErrorCode::LockLost);
            if !is_new {
                passing(&error, shared);
            }
        }
    }
    None
}

/// Returns whether an error is that of an opening with another secret.
fn is_about_secret(error: &Error) -> bool {
    matches!(error.code, ErrorCode::DecryptionFailed | ErrorCode::InvalidArgument)
}

/// Checks that an error is a temporary one.
fn passing(error: &Error, shared: &Shared) {
    let passes = match error.code {
        ErrorCode::StorageUnavailable => true,
        ErrorCode::StorageQuotaExceeded => shared.crowded,
        // The writes of a recovery may be damaged, too.
        ErrorCode::SnapshotCorrupt => shared.damaged.get(),
        // Another holder, or a page that acquires the lock at the same time, may keep writing.
        ErrorCode::LockLost => shared.model().met.steals > 0,
        _ => false,
    };
    assert!(passes, "opening failed: {error} {:?}", error.details);
}

fn found(page: &Page, platform: &Platform, shared: &Shared, number: u64) {
    let damaged = shared.damaged.get();
    let may_warn =
        |warning: &Warning| shared.torn.get() && warning.message.contains("or not written whole before a crash");
    let warnings = &page.warnings;
    assert!(damaged || warnings.iter().all(may_warn), "nothing was damaged, but {warnings:?}");
    page.assert_whole();
    let now = platform.clock.now();
    let mut model = shared.model();
    let reports: Vec<_> = shared.recoveries.take().iter().map(|told| told.get().cloned()).collect();
    if reports.is_empty() {
        model.opened(number, state_of(&page.connection), now);
    } else {
        model.recovered(number, &page.connection, now, &reports);
    }
    model.met.passed_over += u64::from(!page.warnings.is_empty());
    let checkpoints = page.storage.manifests();
    model.met.checkpoints += checkpoints.iter().filter(|m| m.kind == ManifestKind::Checkpoint).count() as u64;
    model.met.truncations += u64::from(page.storage.truncated().lsn > 0);
}
