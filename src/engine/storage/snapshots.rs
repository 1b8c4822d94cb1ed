//! Takes, verifies, lists and prunes snapshots.

pub mod history;
mod scheduler;

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;
use serde::Serialize;

use super::flush::Flusher;
use crate::{
    engine::connection::{
        fts5,
        mutex::{Mutex, MutexGuard},
    },
    error::{Error, ErrorCode, Result},
    format::{Manifest, ManifestKind},
    health::SnapshotHealth,
    ports::{LocalFuture, Platform},
    snapshot::{
        Reason, RetentionPlan, SnapshotInfo, SnapshotOptions, StoredState, Verification, VerifyMode, first_due,
    },
    sqlite::{Connection, PageFile, Pin},
    store::{Storage, Tag, stored_bytes},
    time::Timestamp,
};

/// The detail of a `snapshot` event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineSnapshotEvent"))]
pub enum SnapshotEvent {
    /// A snapshot was taken.
    Created {
        /// The new snapshot.
        snapshot: SnapshotInfo,
    },
    /// A snapshot failed.
    Failed {
        /// Why it was attempted.
        reason: Reason,
        /// Why it failed.
        error: Error,
    },
}

/// Returns when the next scheduled snapshot after a time is due; `None`: never.
pub type Timetable = Rc<dyn Fn(Timestamp) -> LocalFuture<'static, Option<Timestamp>>>;

/// A database's snapshots. A handle, cheap to clone.
#[derive(Clone)]
pub struct Snapshots(Rc<SnapshotsInner>);

struct SnapshotsInner {
    flusher: Flusher,
    storage: Storage,
    platform: Platform,
    options: SnapshotOptions,
    schema_version: Rc<dyn Fn() -> Option<String>>,
    emit: Rc<dyn Fn(SnapshotEvent)>,
    /// The user's timetable, which replaces the interval.
    timetable: OnceCell<Timetable>,
    /// Held by each snapshot, prune and sweep, so that they run one at a time.
    mutex: Rc<Mutex>,
    status: RefCell<SnapshotHealth>,
    /// The number of commits in the newest snapshot; `None`: unknown, so the next scheduled snapshot is taken.
    commits: Cell<Option<u64>>,
    compacting: Cell<bool>,
    /// While a checkpoint is being taken: the writes that wait for its end.
    crowd: RefCell<Option<Vec<oneshot::Sender<()>>>>,
    /// On the monotonic clock, in milliseconds.
    no_compaction_before: Cell<f64>,
    /// How many times space was freed on a full disk.
    times_freed: Cell<u64>,
    /// When the next scheduled snapshot is due on the monotonic clock, in milliseconds: the wall clock may be set back.
    due_ms: Cell<f64>,
    /// When the database was opened, by the wall clock and by the monotonic one.
    opened: (Timestamp, f64),
    /// The last attempt of a snapshot because the page was hidden.
    last_hidden: Cell<Option<Timestamp>>,
    stopped: Cell<bool>,
    /// Dropping it stops the background task. Otherwise the task's timer would keep a Node process alive.
    background: RefCell<Vec<oneshot::Sender<()>>>,
}

impl Snapshots {
    /// Creates the snapshots of an opened database. `schema_version` returns the newest applied migration; `emit` is
    /// called with each event. Nothing runs in the background before [`Snapshots::start`].
    pub fn new(
        flusher: &Flusher,
        storage: &Storage,
        platform: &Platform,
        options: SnapshotOptions,
        schema_version: Rc<dyn Fn() -> Option<String>>,
        emit: Rc<dyn Fn(SnapshotEvent)>,
    ) -> Self {
        let manifests = storage.manifests();
        let newest = manifests.iter().rfind(|manifest| manifest.kind == ManifestKind::Snapshot);
        let unchanged = newest.is_some_and(|newest| newest.logged == storage.position().logged);
        let newest_at = newest.map(|newest| newest.created_at);
        let last_hidden = manifests.iter().rfind(|manifest| manifest.reason == Reason::Hidden.as_str());
        let last_hidden = last_hidden.map(|manifest| manifest.created_at);
        let now = platform.clock.now();
        let due = first_due(newest_at, now, options.interval_ms);
        let status = SnapshotHealth {
            last_success: newest_at,
            next_at: options.enabled.then_some(due),
            ..SnapshotHealth::default()
        };
        Self(Rc::new(SnapshotsInner {
            opened: (now, platform.clock.monotonic_ms()),
            flusher: flusher.clone(),
            storage: storage.clone(),
            platform: platform.clone(),
            options,
            schema_version,
            emit,
            timetable: OnceCell::new(),
            mutex: Rc::default(),
            status: RefCell::new(status),
            commits: Cell::new(unchanged.then(|| flusher.file().commits())),
            compacting: Cell::new(false),
            crowd: RefCell::default(),
            no_compaction_before: Cell::new(f64::NEG_INFINITY),
            times_freed: Cell::default(),
            due_ms: Cell::new(platform.clock.monotonic_ms() + due.since(now) as f64),
            last_hidden: Cell::new(last_hidden),
            stopped: Cell::new(false),
            background: RefCell::default(),
        }))
    }

    /// Sets a timetable, which replaces the interval. Call this before [`Snapshots::start`].
    pub fn set_timetable(&self, timetable: Timetable) {
        let _ = self.0.timetable.set(timetable);
        // Unknown until the timetable was called.
        self.0.status.borrow_mut().next_at = None;
    }

    /// Stops background work, and waits for a running snapshot, prune or sweep.
    pub async fn stop(&self) {
        self.halt();
        drop(self.0.mutex.acquire().await);
    }

    /// Waits for a running snapshot, prune or sweep, and blocks later ones until the guard is dropped.
    pub async fn pause(&self) -> Result<MutexGuard> {
        self.0.mutex.acquire().await
    }

    /// Takes a snapshot. Fails as a flush or the storage does, and with `snapshot_corrupt` when it can't be read back.
    pub async fn create(&self, label: Option<String>, reason: Reason) -> Result<SnapshotInfo> {
        let guard = self.0.mutex.acquire().await?;
        self.0.create(&guard, label, reason).await
    }

    /// Takes a safety snapshot, before an operation that replaces or deletes data.
    pub async fn safety(&self) -> Result<SnapshotInfo> {
        self.create(None, Reason::Safety).await
    }

    /// Returns all snapshots, newest first.
    pub fn list(&self) -> Vec<SnapshotInfo> {
        let mut shown = self.0.shown();
        shown.sort_unstable_by_key(|manifest| std::cmp::Reverse(manifest.generation));
        shown.iter().filter_map(SnapshotInfo::of).collect()
    }

    /// Reads a snapshot, verifies the hash of every chunk, and runs `quick_check` in a scratch database. Fails with
    /// `snapshot_not_found`.
    pub async fn verify(&self, id: &str) -> Result<Verification> {
        let _guard = self.0.mutex.acquire().await?;
        let generation = self.0.stored_generation(id)?;
        let storage = &self.0.storage;
        let verify = async || storage.reconnecting(async || storage.verify(generation).await).await;
        let (mut file, mut errors) = verify().await?;
        if storage.damaged().contains(&generation) && self.0.repair().await {
            (file, errors) = verify().await?;
        }
        if errors.is_empty() {
            errors = quick_check(&self.0.platform, &file).await;
        }
        Ok(Verification { ok: errors.is_empty(), errors })
    }

    /// Returns the contents of a snapshot, with the hash of every chunk verified. Fails with `snapshot_not_found` and
    /// `snapshot_corrupt`.
    pub async fn load(&self, id: &str) -> Result<PageFile> {
        // A prune during the read would look like damage.
        let _guard = self.0.mutex.acquire().await?;
        let generation = self.0.stored_generation(id)?;
        let storage = &self.0.storage;
        self.0.repairing(&|| Box::pin(storage.load(generation))).await
    }

    /// Stores imported contents as a snapshot. Its label keeps it until it is deleted. Fails as the storage does.
    pub async fn import(&self, contents: &Pin, label: String, schema_version: Option<String>) -> Result<SnapshotInfo> {
        let _guard = self.0.mutex.acquire().await?;
        let tag = Tag {
            kind: ManifestKind::Imported,
            reason: Reason::Manual.as_str(),
            label: Some(label),
            schema_version,
            barrier: false,
        };
        let manifest = self.0.storage.import(contents, tag, self.0.options.compress).await?;
        SnapshotInfo::of(&manifest).ok_or_else(|| Error::internal("A manifest just written is no snapshot's"))
    }

    /// Deletes a snapshot. If recovery still needs its data, that stays until a newer snapshot is verified. Fails with
    /// `snapshot_not_found`.
    pub async fn delete(&self, id: &str) -> Result<()> {
        let _guard = self.0.mutex.acquire().await?;
        let generation = [self.0.generation(id)?];
        let needed = self.0.with_stored_state(|state| state.still_needed());
        if needed.contains(&generation[0]) {
            self.0.storage.remove(&[], &generation, None).await
        } else {
            self.0.storage.remove(&generation, &[], None).await
        }
    }

    /// Deletes the snapshots that the options don't keep.
    pub async fn prune(&self) -> Result<()> {
        let guard = self.0.mutex.acquire().await?;
        self.0.prune(&guard).await
    }

    /// Returns whether there were no commits since the newest snapshot.
    pub fn is_unchanged(&self) -> bool {
        self.0.is_unchanged()
    }

    /// Returns the status of the snapshots.
    pub fn status(&self) -> SnapshotHealth {
        let mut status = self.0.status.borrow().clone();
        let shown = self.0.shown();
        status.count = shown.len();
        status.bytes = stored_bytes(&shown.iter().collect::<Vec<_>>());
        status
    }
}

impl SnapshotsInner {
    fn now(&self) -> Timestamp {
        self.platform.clock.now()
    }

    /// Returns the time by which data expires: one that the clock reached since the opening without being set ahead.
    fn expiry_now(&self) -> Timestamp {
        let (at, began) = self.opened;
        let passed = self.platform.clock.monotonic_ms() - began;
        self.now().min(at.plus_ms(passed as i64))
    }

    /// Returns the manifests of the snapshots that users see.
    fn shown(&self) -> Vec<Manifest> {
        let mut manifests = self.storage.manifests();
        manifests.append(&mut self.storage.imported());
        manifests.retain(|manifest| manifest.kind != ManifestKind::Checkpoint);
        manifests
    }

    /// Returns the generation of a snapshot that users see. Fails with `snapshot_not_found`.
    fn generation(&self, id: &str) -> Result<u64> {
        let generation = id
            .parse()
            .ok()
            .filter(|generation: &u64| self.shown().iter().any(|manifest| manifest.generation == *generation));
        generation.ok_or_else(|| {
            Error::new(ErrorCode::SnapshotNotFound, format!("There is no snapshot {id}"))
                .hint("snapshots.list() shows which exist")
                .detail("snapshotId", id)
        })
    }

    /// Does the same for a damaged snapshot, too, which isn't shown: reading it says so.
    fn stored_generation(&self, id: &str) -> Result<u64> {
        let is_damaged = |generation: &u64| self.storage.damaged().contains(generation);
        self.generation(id).or_else(|missing| id.parse().ok().filter(is_damaged).ok_or(missing))
    }

    async fn create(&self, guard: &MutexGuard, label: Option<String>, reason: Reason) -> Result<SnapshotInfo> {
        self.status.borrow_mut().last_attempt = Some(self.now());
        let tag = Tag {
            kind: ManifestKind::Snapshot,
            reason: reason.as_str(),
            label,
            schema_version: (self.schema_version)(),
            // Without a log, no replay leads from an older manifest to this one.
            barrier: !self.flusher.is_logged(),
        };
        match self.take(guard, tag, self.options.verify).await {
            Ok((manifest, commits)) => {
                self.commits.set(Some(commits));
                self.succeeded();
                let snapshot = SnapshotInfo::of(&manifest)
                    .ok_or_else(|| Error::internal("A manifest just written is no snapshot's"))?;
                (self.emit)(SnapshotEvent::Created { snapshot: snapshot.clone() });
                // A failed prune doesn't invalidate the snapshot; the next prune repeats it.
                let _ = self.prune(guard).await;
                Ok(snapshot)
            }
            Err(error) => {
                let time = self.now().to_string();
                let mut status = self.status.borrow_mut();
                status.last_error = Some(error.clone().detail("time", time));
                status.consecutive_failures += 1;
                drop(status);
                (self.emit)(SnapshotEvent::Failed { reason, error: error.clone() });
                Err(error)
            }
        }
    }

    fn succeeded(&self) {
        let mut status = self.status.borrow_mut();
        status.last_success = Some(self.now());
        status.last_error = None;
        status.consecutive_failures = 0;
    }

    /// Freezes, stages, verifies and publishes a snapshot. Also returns its number of commits. Retries once after
    /// `snapshot_corrupt`, since a reused chunk may be the damaged one: the retry stores it again.
    async fn take(&self, _guard: &MutexGuard, tag: Tag, verify: VerifyMode) -> Result<(Manifest, u64)> {
        let mut again = true;
        let taken = loop {
            match self.storage.reconnecting(async || self.try_to_take(tag.clone(), verify).await).await {
                Err(error) if again && error.is(ErrorCode::SnapshotCorrupt) => again = false,
                // As long as that frees some: without checkpoints, the log would fill the disk.
                Err(error)
                    if error.is(ErrorCode::StorageQuotaExceeded) && matches!(self.free_space().await, Ok(true)) => {}
                taken => break taken,
            }
        };
        if let Err(error) = &taken
            && error.is(ErrorCode::LockLost)
        {
            self.flusher.lose(error.clone());
        }
        taken
    }

    async fn try_to_take(&self, tag: Tag, verify: VerifyMode) -> Result<(Manifest, u64)> {
        let frozen = self.flusher.freeze().await?;
        let (compress, read_back) = (self.options.compress, verify != VerifyMode::None);
        let staged = self.storage.stage(&frozen.pin, &frozen.touched, frozen.at, compress, read_back).await?;
        // In memory, a pin would cost each later commit a copy of what it changes.
        let pin = Some(frozen.pin).filter(Pin::is_paged);
        if verify == VerifyMode::Full {
            let errors = quick_check(&self.platform, &self.storage.assemble(&staged).await?).await;
            if let Some(first) = errors.into_iter().next() {
                return Err(Error::new(ErrorCode::SnapshotCorrupt, first)
                    .hint("Keep what is there: export it, then restore a snapshot from before"));
            }
        }
        let manifest = self.storage.publish(staged, tag).await?;
        if let Some(pin) = pin {
            self.storage.rebase(self.flusher.file(), &pin, &manifest);
        }
        Ok((manifest, frozen.commits))
    }

    /// Deletes the snapshots that the options don't keep.
    async fn prune(&self, _guard: &MutexGuard) -> Result<()> {
        // A snapshot that can be repaired isn't deleted.
        self.repair().await;
        self.apply_retention(&|state| state.prune(&self.options, self.expiry_now())).await.map(drop)
    }

    /// Deletes the least important snapshots and log, and unreferenced chunks of failed snapshots. Returns whether it deleted
    /// the former.
    async fn free_space(&self) -> Result<bool> {
        let frees = self.apply_retention(&|state| state.plan_for_space()).await?;
        self.times_freed.set(self.times_freed.get() + u64::from(frees));
        let swept = self.storage.sweep().await?;
        self.times_freed.set(self.times_freed.get() + u64::from(swept > 0));
        Ok(frees)
    }

    /// Applies a retention rule to the stored state.
    fn with_stored_state<T>(&self, ask: impl FnOnce(&StoredState<'_>) -> T) -> T {
        let (manifests, damaged) = (self.storage.manifests(), self.storage.damaged());
        let (truncated, logged) = (self.storage.truncated(), self.storage.position().logged);
        let accepts_unverified = self.options.verify == VerifyMode::None;
        ask(&StoredState { manifests: &manifests, damaged: &damaged, truncated, logged, accepts_unverified })
    }

    /// Runs a plan, if it would free anything; returns whether it would. The plan is made again when the manifest from which the
    /// truncated log would continue turns out to be damaged.
    async fn apply_retention(&self, plan: &dyn Fn(&StoredState<'_>) -> RetentionPlan) -> Result<bool> {
        loop {
            let plan = self.with_stored_state(plan);
            if let Some(to) = plan.truncate
                && !self.storage.can_truncate(to, &self.flusher.file().pin()).await?
            {
                continue;
            }
            self.storage.remove(&plan.delete, &plan.demote, plan.truncate).await?;
            return Ok(plan != RetentionPlan::default());
        }
    }

    /// Stores damaged chunks of snapshots again that the open database still has. Returns whether that made a snapshot intact.
    async fn repair(&self) -> bool {
        let mut repaired = false;
        for generation in self.storage.damaged() {
            // A failed repair changes nothing.
            repaired |= self.storage.repair(generation, &self.flusher.file().pin()).await.unwrap_or(false);
        }
        repaired
    }

    /// Reads stored contents, and once more if a repair made a damaged snapshot intact.
    async fn repairing<'a>(&self, read: &dyn Fn() -> LocalFuture<'a, Result<PageFile>>) -> Result<PageFile> {
        let mut again = true;
        loop {
            match self.storage.reconnecting(async || read().await).await {
                Err(error) if again && error.is(ErrorCode::SnapshotCorrupt) && self.repair().await => again = false,
                done => return done,
            }
        }
    }

    fn is_unchanged(&self) -> bool {
        let file = self.flusher.file();
        file.bytes() == 0 || self.commits.get() == Some(file.commits())
    }
}

/// Runs `quick_check` on a file in a scratch database. Returns its findings.
async fn quick_check(platform: &Platform, file: &PageFile) -> Vec<String> {
    if file.bytes() == 0 {
        return Vec::new();
    }
    let checked = async {
        let scratch = Connection::open(file)?;
        fts5::load_if_used(platform, &scratch).await?;
        scratch.quick_check()
    };
    checked.await.unwrap_or_else(|error| vec![error.into_parts().message])
}
