//! Snapshots at work: takes, checks, lists and prunes them, on time and by call, and compacts the log.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::{Rc, Weak},
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use serde::Serialize;

use super::{
    extensions,
    flush::Flusher,
    gate::{Gate, Pass},
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{LocalFuture, Manifest, ManifestKind, Part, Platform, entered},
    snapshot::{
        Plan, Reason, SnapshotInfo, SnapshotOptions, SnapshotStatus, Stock, Verification, VerifyMode, backoff_ms,
        first_due, hidden_due,
    },
    sqlite::{Connection, Image, PageFile, Pin},
    store::{Storage, Tag, stored_bytes},
    time::Timestamp,
};

/// Timers that run longer than this drift with sleeping machines, and overflow browsers' 32 bits: look again.
const LONGEST_SLEEP_MS: i64 = 3_600_000;
/// Milliseconds without compaction after a failed one.
const COMPACTION_BACKOFF_MS: i64 = 10_000;

/// What happened to a snapshot: the detail of a `snapshot` event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
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
pub struct Snapshots(Rc<Inner>);

struct Inner {
    flusher: Flusher,
    storage: Storage,
    platform: Platform,
    options: SnapshotOptions,
    schema_version: Rc<dyn Fn() -> Option<String>>,
    emit: Rc<dyn Fn(SnapshotEvent)>,
    /// When the user wants scheduled ones, instead of at an interval.
    timetable: OnceCell<Timetable>,
    /// One snapshot, prune or sweep at a time.
    gate: Gate,
    status: RefCell<SnapshotStatus>,
    /// How many commits the newest snapshot has; `None`: unknown, so that the next one is taken.
    commits: Cell<Option<u64>>,
    compacting: Cell<bool>,
    no_compaction_before: Cell<Timestamp>,
    /// When one was last taken, or tried, because the page was hidden.
    last_hidden: Cell<Option<Timestamp>>,
    stopped: Cell<bool>,
    /// Dropped when what runs by itself is to stop: a timer that nobody needs would keep a program in Node from ending.
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
        let status = SnapshotStatus {
            last_success: newest_at,
            next_at: options.enabled.then_some(due),
            ..SnapshotStatus::default()
        };
        Self(Rc::new(Inner {
            flusher: flusher.clone(),
            storage: storage.clone(),
            platform: platform.clone(),
            options,
            schema_version,
            emit,
            timetable: OnceCell::new(),
            gate: Gate::default(),
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
    pub fn follow(&self, timetable: Timetable) {
        let _ = self.0.timetable.set(timetable);
        // Until it was asked nobody knows.
        self.0.status.borrow_mut().next_at = None;
    }

    /// Starts what runs by itself: the sweep of what a killed page left behind, scheduled snapshots, compaction, and
    /// relief when the storage is full.
    pub fn start(&self) {
        let inner = Rc::downgrade(&self.0);
        let (stored, full) = (inner.clone(), inner.clone());
        self.0.flusher.on_stored(Rc::new(move || {
            if let Some(inner) = stored.upgrade() {
                Inner::compact_if_wanted(&inner);
            }
        }));
        self.0.flusher.on_full(Rc::new(move || {
            let inner = full.upgrade();
            Box::pin(async move {
                match inner {
                    Some(inner) => inner.relieve().await,
                    None => false,
                }
            })
        }));
        let (running, halted) = oneshot::channel();
        self.0.running.replace(Some(running));
        self.0.platform.spawner.spawn(Box::pin(async move {
            if let Some(inner) = inner.upgrade() {
                let pass = inner.gate.enter().await;
                // Loaded now, when nobody waits for it: later there may be no network. What can't be swept stays for the next opening.
                if inner.platform.parts.load(Part::Operations).await.is_ok() {
                    let _ = inner.sweep().await;
                }
                drop(pass);
                Inner::compact_if_wanted(&inner);
            }
            Inner::keep_time(inner, halted).await;
        }));
    }

    /// Stops what runs by itself.
    pub fn halt(&self) {
        self.0.stopped.set(true);
        self.0.running.take();
    }

    /// Takes one because the page was hidden, if there is something new and the last such one is long ago.
    pub fn page_hidden(&self) {
        let inner = self.0.clone();
        let wanted = inner.options.enabled && inner.options.on_hidden && !inner.stopped.get() && !inner.is_unchanged();
        if !wanted || !hidden_due(inner.last_hidden.get(), inner.now()) {
            return;
        }
        inner.last_hidden.set(Some(inner.now()));
        self.0.platform.spawner.spawn(Box::pin(async move {
            let pass = inner.gate.enter().await;
            if !inner.stopped.get() && !inner.is_unchanged() {
                // How it went, the status and an event tell.
                let _ = inner.create(&pass, None, Reason::Hidden).await;
            }
        }));
    }

    /// Stops what runs by itself, and waits for what is under way.
    pub async fn stop(&self) {
        self.halt();
        drop(self.0.gate.enter().await);
    }

    /// Waits for what is under way, and holds up what comes next until the answer is dropped.
    pub async fn pause(&self) -> Pass {
        self.0.gate.enter().await
    }

    /// Takes one now. Fails as a flush or the storage does, and with `snapshot_corrupt` when it can't be read back.
    pub async fn create(&self, label: Option<String>, reason: Reason) -> Result<SnapshotInfo> {
        let pass = self.0.gate.enter().await;
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
        let _pass = self.0.gate.enter().await;
        let generation = self.0.generation(id)?;
        let (image, mut errors) = match self.0.storage.verify(generation).await {
            Err(error) if error.is(ErrorCode::StorageUnavailable) => {
                self.0.storage.reconnect().await?;
                self.0.storage.verify(generation).await?
            }
            read => read?,
        };
        if errors.is_empty() {
            errors = quick_check(&self.0.platform, image).await;
        }
        Ok(Verification { ok: errors.is_empty(), errors })
    }

    /// The contents of one, every chunk hashed. `snapshot_not_found`, `snapshot_corrupt`.
    pub async fn load(&self, id: &str) -> Result<Image> {
        // What is read must not be pruned meanwhile: that would look like damage.
        let _pass = self.0.gate.enter().await;
        let generation = self.0.generation(id)?;
        match self.0.storage.load(generation).await {
            Err(error) if error.is(ErrorCode::StorageUnavailable) => {
                self.0.storage.reconnect().await?;
                self.0.storage.load(generation).await
            }
            read => read,
        }
    }

    /// The contents after the newest stored commit not later than `at`. `snapshot_not_found` (details `oldest`) for a moment
    /// that can't be reached any more, `snapshot_corrupt` when the log is damaged on the way.
    pub async fn load_at(&self, at: Timestamp) -> Result<Image> {
        let _pass = self.0.gate.enter().await;
        let not_before = self.0.of_stock(|stock| stock.reach(&self.0.options, self.0.now()));
        self.0.storage.load_at(at, not_before).await
    }

    /// Keeps contents from outside as one, with a label, so that it stays until it is deleted. Fails as the storage does.
    pub async fn import(&self, contents: &Pin, label: String, schema_version: Option<String>) -> Result<SnapshotInfo> {
        let _pass = self.0.gate.enter().await;
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
        let _pass = self.0.gate.enter().await;
        let generation = [self.0.generation(id)?];
        let needed = self.0.of_stock(|stock| stock.still_needed());
        if needed.contains(&generation[0]) {
            self.0.storage.remove(&[], &generation, None).await
        } else {
            self.0.storage.remove(&generation, &[], None).await
        }
    }

    /// Deletes what the options let go of.
    pub async fn prune(&self) -> Result<()> {
        let pass = self.0.gate.enter().await;
        self.0.prune(&pass).await
    }

    /// Whether nothing was committed since the newest one.
    pub fn is_unchanged(&self) -> bool {
        self.0.is_unchanged()
    }

    /// How they are doing.
    pub fn status(&self) -> SnapshotStatus {
        let mut status = self.0.status.borrow().clone();
        let shown = self.0.shown();
        status.count = shown.len();
        status.bytes = stored_bytes(&shown.iter().collect::<Vec<_>>());
        status
    }
}

impl Inner {
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

    async fn create(&self, pass: &Pass, label: Option<String>, reason: Reason) -> Result<SnapshotInfo> {
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
                let mut status = self.status.borrow_mut();
                status.last_error = Some(error.clone());
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
    async fn take(&self, _pass: &Pass, tag: Tag, verify: VerifyMode) -> Result<(Manifest, u64)> {
        self.platform.parts.load(Part::Operations).await?;
        let mut again = true;
        loop {
            match self.try_to_take(tag.clone(), verify).await {
                Err(error) if again && error.is(ErrorCode::SnapshotCorrupt) => {}
                Err(error) if again && error.is(ErrorCode::StorageUnavailable) => self.storage.reconnect().await?,
                Err(error) => {
                    if error.is(ErrorCode::LockLost) {
                        self.flusher.lose(error.clone());
                    }
                    return Err(error);
                }
                taken => return taken,
            }
            again = false;
        }
    }

    // The entries of the part `operations`: behind `Parts::load`, and never inlined, so that the part can be cut off there.

    #[inline(never)]
    fn try_to_take(&self, tag: Tag, verify: VerifyMode) -> LocalFuture<'_, Result<(Manifest, u64)>> {
        entered(async move {
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
        })
    }

    /// Deletes what the options let go of.
    #[inline(never)]
    fn let_go(&self) -> LocalFuture<'_, Result<()>> {
        let plan = self.of_stock(|stock| stock.prune(&self.options, self.now()));
        entered(self.carry_out(plan))
    }

    /// Deletes what is missed least, and what snapshots that failed left behind; `false` when nothing is left that could go.
    #[inline(never)]
    fn free_space(&self) -> LocalFuture<'_, Result<bool>> {
        let plan = self.of_stock(|stock| stock.relieve());
        entered(async move {
            let frees = plan != Plan::default();
            self.carry_out(plan).await?;
            self.storage.sweep().await.map(|swept| frees || swept > 0)
        })
    }

    #[inline(never)]
    fn sweep(&self) -> LocalFuture<'_, Result<usize>> {
        entered(self.storage.sweep())
    }

    async fn prune(&self, _pass: &Pass) -> Result<()> {
        self.platform.parts.load(Part::Operations).await?;
        self.let_go().await
    }

    /// Asks the rules about what is stored.
    fn of_stock<T>(&self, ask: impl FnOnce(&Stock<'_>) -> T) -> T {
        let (manifests, damaged) = (self.storage.manifests(), self.storage.damaged());
        let (truncated, logged) = (self.storage.truncated(), self.storage.position().logged);
        ask(&Stock { manifests: &manifests, damaged: &damaged, truncated, logged })
    }

    async fn carry_out(&self, plan: Plan) -> Result<()> {
        self.storage.remove(&plan.delete, &plan.demote, plan.truncate).await
    }

    /// Frees space for the log, in the order of what is missed least; whether there was something to free.
    async fn relieve(&self) -> bool {
        let _pass = self.gate.enter().await;
        // What could not be loaded, or not be deleted, frees nothing.
        self.platform.parts.load(Part::Operations).await.is_ok() && self.free_space().await.unwrap_or(false)
    }

    fn wants_checkpoint(&self) -> bool {
        let bytes = self.flusher.file().bytes();
        self.storage.wants_checkpoint(bytes, self.options.log_limit(bytes))
    }

    fn compact_if_wanted(this: &Rc<Self>) {
        let wanted = this.flusher.is_logged() && this.wants_checkpoint();
        if !wanted || this.compacting.get() || this.stopped.get() || this.now() < this.no_compaction_before.get() {
            return;
        }
        this.compacting.set(true);
        let inner = this.clone();
        this.platform.spawner.spawn(Box::pin(async move {
            let pass = inner.gate.enter().await;
            // A snapshot may have been taken in the meantime: that will do.
            if inner.wants_checkpoint() && !inner.stopped.get() {
                let compacted = match inner.take(&pass, Tag::checkpoint(), VerifyMode::Quick).await {
                    Ok(_) => inner.prune(&pass).await,
                    Err(error) => Err(error),
                };
                if compacted.is_err() {
                    inner.no_compaction_before.set(inner.now().plus_ms(COMPACTION_BACKOFF_MS));
                }
            }
            inner.compacting.set(false);
        }));
    }

    /// Takes scheduled snapshots until it is halted.
    async fn keep_time(this: Weak<Self>, mut halted: oneshot::Receiver<()>) {
        if let Some(inner) = this.upgrade().filter(|inner| inner.options.enabled && inner.timetable.get().is_some()) {
            // What was due while the database was closed is taken now.
            let newest = inner.status.borrow().last_success;
            let first = inner.next_due(newest.unwrap_or(inner.now())).await;
            inner.status.borrow_mut().next_at = first.map(|first| first.max(inner.now()));
        }
        loop {
            let sleep = {
                let Some(inner) = this.upgrade() else { return };
                let due = inner.status.borrow().next_at;
                let Some(due) = due.filter(|_| !inner.stopped.get()) else { return };
                let wait = due.since(inner.now());
                (wait > 0).then(|| inner.platform.clock.sleep(wait.min(LONGEST_SLEEP_MS) as u64))
            };
            if let Some(sleep) = sleep {
                match select(sleep, &mut halted).await {
                    Either::Left(_) => continue,
                    Either::Right(_) => return,
                }
            }
            let Some(inner) = this.upgrade() else { return };
            inner.scheduled().await;
            let next = inner.next_due(inner.now()).await;
            inner.status.borrow_mut().next_at = next;
        }
    }

    /// When the next scheduled one after that time is due.
    async fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        match self.timetable.get() {
            Some(timetable) => timetable(after).await,
            None => Some(after.plus_ms(i64::try_from(self.options.interval_ms).unwrap_or(i64::MAX))),
        }
    }

    /// One scheduled snapshot with its retries.
    async fn scheduled(&self) {
        for failures in 1..=self.options.retries.saturating_add(1) {
            let pass = self.gate.enter().await;
            if self.stopped.get() {
                return;
            }
            if self.is_unchanged() {
                self.status.borrow_mut().last_attempt = Some(self.now());
                self.succeeded();
                // Time alone lets some go.
                let _ = self.prune(&pass).await;
                return;
            }
            if self.create(&pass, None, Reason::Scheduled).await.is_ok() {
                return;
            }
            drop(pass);
            if failures <= self.options.retries {
                let mut chance = [0];
                self.platform.entropy.fill(&mut chance);
                let wait = backoff_ms(failures, self.options.backoff_ms, chance[0]);
                let next = self.now().plus_ms(i64::try_from(wait).unwrap_or(i64::MAX));
                self.status.borrow_mut().next_at = Some(next);
                self.platform.clock.sleep(wait).await;
            }
        }
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
        extensions::load_if_used(platform, &scratch).await?;
        scratch.quick_check()
    };
    checked.await.unwrap_or_else(|error| vec![error.into_parts().message])
}
