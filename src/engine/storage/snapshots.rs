//! Snapshots at work: takes, checks, lists and prunes them.

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
    snapshot::{Reason, RetentionPlan, SnapshotInfo, SnapshotOptions, Stock, Verification, VerifyMode, first_due},
    sqlite::{Connection, Image, PageFile, Pin},
    store::{Storage, Tag, stored_bytes},
    time::Timestamp,
};

/// What happened to a snapshot: the detail of a `snapshot` event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineSnapshotEvent"))]
pub enum SnapshotEvent {
    /// One was taken.
    Created {
        /// Which.
        snapshot: SnapshotInfo,
    },
    /// One could not be taken.
    Failed {
        /// Why it was to be taken.
        reason: Reason,
        /// Why it could not.
        error: Error,
    },
}

/// Tells when the next scheduled one after a time is due; `None`: never.
pub type Timetable = Rc<dyn Fn(Timestamp) -> LocalFuture<'static, Option<Timestamp>>>;

/// A database's snapshots. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Snapshots(Rc<SnapshotsInner>);

struct SnapshotsInner {
    flusher: Flusher,
    storage: Storage,
    platform: Platform,
    options: SnapshotOptions,
    schema_version: Rc<dyn Fn() -> Option<String>>,
    emit: Rc<dyn Fn(SnapshotEvent)>,
    /// When the user wants scheduled ones, instead of at an interval.
    timetable: OnceCell<Timetable>,
    /// One snapshot, prune or sweep at a time.
    gate: Rc<Mutex>,
    status: RefCell<SnapshotHealth>,
    /// How many commits the newest snapshot has; `None`: unknown, so that the next one is taken.
    commits: Cell<Option<u64>>,
    compacting: Cell<bool>,
    no_compaction_before: Cell<Timestamp>,
    /// When one was last taken, or tried, because the page was hidden.
    last_hidden: Cell<Option<Timestamp>>,
    stopped: Cell<bool>,
    /// Dropped when what runs by itself is to stop: a timer without use would keep a program in Node from ending.
    running: RefCell<Option<oneshot::Sender<()>>>,
}

impl Snapshots {
    /// The snapshots of an opened database. `schema_version` tells the newest applied migration; `emit` hears what
    /// happens. Nothing runs by itself before [`Snapshots::start`].
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
        let due = first_due(newest_at, platform.clock.now(), options.interval_ms);
        let status = SnapshotHealth {
            last_success: newest_at,
            next_at: options.enabled.then_some(due),
            ..SnapshotHealth::default()
        };
        Self(Rc::new(SnapshotsInner {
            flusher: flusher.clone(),
            storage: storage.clone(),
            platform: platform.clone(),
            options,
            schema_version,
            emit,
            timetable: OnceCell::new(),
            gate: Rc::default(),
            status: RefCell::new(status),
            commits: Cell::new(unchanged.then(|| flusher.file().commits())),
            compacting: Cell::new(false),
            no_compaction_before: Cell::new(Timestamp(i64::MIN)),
            last_hidden: Cell::new(last_hidden),
            stopped: Cell::new(false),
            running: RefCell::default(),
        }))
    }

    /// Scheduled ones are taken at these times instead of at an interval. To be called before [`Snapshots::start`].
    pub fn set_timetable(&self, timetable: Timetable) {
        let _ = self.0.timetable.set(timetable);
        // Unknown until it was asked.
        self.0.status.borrow_mut().next_at = None;
    }

    /// Stops what runs by itself, and waits for what is under way.
    pub async fn stop(&self) {
        self.halt();
        drop(self.0.gate.acquire().await);
    }

    /// Waits for what is under way, and holds up what comes next until the answer is dropped.
    pub async fn pause(&self) -> Result<MutexGuard> {
        self.0.gate.acquire().await
    }

    /// Takes one now. Fails as a flush or the storage does, and with `snapshot_corrupt` when it can't be read back.
    pub async fn create(&self, label: Option<String>, reason: Reason) -> Result<SnapshotInfo> {
        let pass = self.0.gate.acquire().await?;
        self.0.create(&pass, label, reason).await
    }

    /// Takes one before something dangerous.
    pub async fn safety(&self) -> Result<SnapshotInfo> {
        self.create(None, Reason::Safety).await
    }

    /// All of them, newest first.
    pub fn list(&self) -> Vec<SnapshotInfo> {
        let mut shown = self.0.shown();
        shown.sort_by_key(|manifest| std::cmp::Reverse(manifest.generation));
        shown.iter().filter_map(SnapshotInfo::of).collect()
    }

    /// Reads one again: every chunk hashed, `quick_check` in a scratch database. `snapshot_not_found`.
    pub async fn verify(&self, id: &str) -> Result<Verification> {
        let _pass = self.0.gate.acquire().await?;
        let generation = self.0.generation(id)?;
        let storage = &self.0.storage;
        let (image, mut errors) = storage.reconnecting(async || storage.verify(generation).await).await?;
        if errors.is_empty() {
            errors = quick_check(&self.0.platform, image).await;
        }
        Ok(Verification { ok: errors.is_empty(), errors })
    }

    /// The contents of one, every chunk hashed. `snapshot_not_found`, `snapshot_corrupt`.
    pub async fn load(&self, id: &str) -> Result<Image> {
        // What is read must not be pruned meanwhile: that would look like damage.
        let _pass = self.0.gate.acquire().await?;
        let generation = self.0.generation(id)?;
        let storage = &self.0.storage;
        storage.reconnecting(async || storage.load(generation).await).await
    }

    /// The contents after the newest stored commit not later than `at`. `snapshot_not_found` (details `oldest`) for a time
    /// that can't be reached any more, `snapshot_corrupt` when the log is damaged on the way.
    pub async fn load_at(&self, at: Timestamp) -> Result<Image> {
        let _pass = self.0.gate.acquire().await?;
        let not_before = self.0.with_stock(|stock| stock.reach(&self.0.options, self.0.now()));
        let storage = &self.0.storage;
        storage.reconnecting(async || storage.load_at(at, not_before).await).await
    }

    /// Keeps contents from outside as one, with a label, so that it stays until it is deleted. Fails as the storage does.
    pub async fn import(&self, contents: &Pin, label: String, schema_version: Option<String>) -> Result<SnapshotInfo> {
        let _pass = self.0.gate.acquire().await?;
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

    /// Deletes one. `snapshot_not_found`. What recovery still needs of it goes when something newer has been verified.
    pub async fn delete(&self, id: &str) -> Result<()> {
        let _pass = self.0.gate.acquire().await?;
        let generation = [self.0.generation(id)?];
        let needed = self.0.with_stock(|stock| stock.still_needed());
        if needed.contains(&generation[0]) {
            self.0.storage.remove(&[], &generation, None).await
        } else {
            self.0.storage.remove(&generation, &[], None).await
        }
    }

    /// Deletes what the options let go of.
    pub async fn prune(&self) -> Result<()> {
        let pass = self.0.gate.acquire().await?;
        self.0.prune(&pass).await
    }

    /// Whether nothing was committed since the newest one.
    pub fn is_unchanged(&self) -> bool {
        self.0.is_unchanged()
    }

    /// How they are doing.
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

    /// Those that users see.
    fn shown(&self) -> Vec<Manifest> {
        let mut manifests = self.storage.manifests();
        manifests.append(&mut self.storage.imported());
        manifests.retain(|manifest| manifest.kind != ManifestKind::Checkpoint);
        manifests
    }

    /// The generation of a snapshot that users see.
    fn generation(&self, id: &str) -> Result<u64> {
        let generation = id
            .parse()
            .ok()
            .filter(|generation: &u64| self.shown().iter().any(|manifest| manifest.generation == *generation));
        generation.ok_or_else(|| {
            Error::new(ErrorCode::SnapshotNotFound, format!("There is no snapshot {id}"))
                .hint("snapshots.list() tells which there are")
                .detail("snapshotId", id)
        })
    }

    async fn create(&self, pass: &MutexGuard, label: Option<String>, reason: Reason) -> Result<SnapshotInfo> {
        self.status.borrow_mut().last_attempt = Some(self.now());
        let tag = Tag {
            kind: ManifestKind::Snapshot,
            reason: reason.as_str(),
            label,
            schema_version: (self.schema_version)(),
            // Without a log, nothing leads from an older manifest to this one.
            barrier: !self.flusher.is_logged(),
        };
        match self.take(pass, tag, self.options.verify).await {
            Ok((manifest, commits)) => {
                self.commits.set(Some(commits));
                self.succeeded();
                let snapshot = SnapshotInfo::of(&manifest)
                    .ok_or_else(|| Error::internal("A manifest just written is no snapshot's"))?;
                (self.emit)(SnapshotEvent::Created { snapshot: snapshot.clone() });
                // The snapshot stands; what could not be deleted goes with the next one.
                let _ = self.prune(pass).await;
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

    /// Freezes, stages, checks and publishes; returns how many commits are in it, too. A damaged chunk that would have
    /// been reused is stored again by a second try, and a connection that broke unnoticed is made again for it.
    async fn take(&self, _pass: &MutexGuard, tag: Tag, verify: VerifyMode) -> Result<(Manifest, u64)> {
        let mut again = true;
        let taken = loop {
            match self.storage.reconnecting(async || self.try_to_take(tag.clone(), verify).await).await {
                Err(error) if again && error.is(ErrorCode::SnapshotCorrupt) => again = false,
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
        drop(frozen.pin);
        if verify == VerifyMode::Full {
            let errors = quick_check(&self.platform, self.storage.assemble(&staged).await?).await;
            if let Some(first) = errors.into_iter().next() {
                return Err(Error::new(ErrorCode::SnapshotCorrupt, first)
                    .hint("Keep what is there: export it, then restore a snapshot from before"));
            }
        }
        Ok((self.storage.publish(staged, tag).await?, frozen.commits))
    }

    /// Deletes what the options let go of.
    async fn prune(&self, _pass: &MutexGuard) -> Result<()> {
        let plan = self.with_stock(|stock| stock.prune(&self.options, self.now()));
        self.apply_retention(plan).await
    }

    /// Deletes what is missed least, and what snapshots that failed left behind; `false` when nothing is left that could go.
    async fn free_space(&self) -> Result<bool> {
        let plan = self.with_stock(|stock| stock.plan_for_space());
        let frees = plan != RetentionPlan::default();
        self.apply_retention(plan).await?;
        self.storage.sweep().await.map(|swept| frees || swept > 0)
    }

    /// Asks the rules about what is stored.
    fn with_stock<T>(&self, ask: impl FnOnce(&Stock<'_>) -> T) -> T {
        let (manifests, damaged) = (self.storage.manifests(), self.storage.damaged());
        let (truncated, logged) = (self.storage.truncated(), self.storage.position().logged);
        ask(&Stock { manifests: &manifests, damaged: &damaged, truncated, logged })
    }

    async fn apply_retention(&self, plan: RetentionPlan) -> Result<()> {
        self.storage.remove(&plan.delete, &plan.demote, plan.truncate).await
    }

    fn is_unchanged(&self) -> bool {
        let file = self.flusher.file();
        file.bytes() == 0 || self.commits.get() == Some(file.commits())
    }
}

/// Runs `quick_check` over an image in a scratch database; what it finds, nothing when all is well.
async fn quick_check(platform: &Platform, image: Image) -> Vec<String> {
    if image.is_empty() {
        return Vec::new();
    }
    let checked = async {
        let scratch = Connection::open(&PageFile::new(image))?;
        fts5::load_if_used(platform, &scratch).await?;
        scratch.quick_check()
    };
    checked.await.unwrap_or_else(|error| vec![error.into_parts().message])
}
