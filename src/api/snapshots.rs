//! The snapshots of a database.

use std::{rc::Rc, sync::Arc};

use super::{
    engine_handle::{Caller, EngineHandle},
    session::{Limit, ThreadState},
};
use crate::{
    engine::storage::snapshots::history::SnapshotHistory,
    error::Result,
    health::SnapshotHealth,
    snapshot::{Reason, SnapshotInfo, Verification},
    sqlite::Image,
    store::PointInTime,
};

/// The snapshots of a database: [`Database::snapshots`](crate::Database::snapshots).
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{OpenOptions, Storage};
///
/// let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
/// db.exec("CREATE TABLE notes(body); INSERT INTO notes VALUES ('tea')").await?;
/// let before = db.snapshots().create(Some("before the cleanup")).await?;
/// db.exec("DELETE FROM notes").await?;
/// db.snapshots().restore(&before.id, false).await?;
/// assert_eq!(db.query_as::<String>("SELECT body FROM notes", ()).await?, ["tea"]);
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Snapshots {
    engine: Arc<EngineHandle>,
    caller: Caller,
}

impl Snapshots {
    pub(super) fn new(engine: &Arc<EngineHandle>, caller: Caller) -> Self {
        Self { engine: engine.clone(), caller }
    }

    /// Takes a snapshot now. One with a label stays until it is deleted.
    pub async fn create(&self, label: Option<&str>) -> Result<SnapshotInfo> {
        let label = label.map(str::to_owned);
        let create = async move |session: Rc<ThreadState>, limit: Limit| {
            limit.run(session.core()?.snapshots().create(label, Reason::Manual)).await
        };
        self.engine.ask(self.caller, create).await
    }

    /// Returns all snapshots, newest first.
    pub async fn list(&self) -> Result<Vec<SnapshotInfo>> {
        let list = async |session: Rc<ThreadState>, _limit| Ok(session.open_core()?.snapshots().list());
        self.engine.ask(self.caller, list).await
    }

    /// Reads a snapshot back, and checks its hashes and its contents. Fails with `snapshot_not_found`.
    pub async fn verify(&self, id: &str) -> Result<Verification> {
        let id = id.to_owned();
        let verify = async move |session: Rc<ThreadState>, limit: Limit| {
            limit.run(session.core()?.snapshots().verify(&id)).await
        };
        self.engine.ask(self.caller, verify).await
    }

    /// Deletes a snapshot. Fails with `snapshot_not_found`.
    pub async fn delete(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        let delete = async move |session: Rc<ThreadState>, _limit| session.core()?.snapshots().delete(&id).await;
        self.engine.ask(self.caller, delete).await
    }

    /// Deletes the snapshots that the options don't keep.
    pub async fn prune(&self) -> Result<()> {
        let prune = async |session: Rc<ThreadState>, _limit| session.core()?.snapshots().prune().await;
        self.engine.ask(self.caller, prune).await
    }

    /// Replaces the contents with those of a snapshot. It is checked first, what was there becomes a safety snapshot,
    /// and pending migrations run. The database stays open; live queries run again.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `snapshot_incompatible`, `timeout`, and `unpushed_changes`
    /// unless `force`; the contents are unchanged then.
    pub async fn restore(&self, id: &str, force: bool) -> Result<()> {
        let id = id.to_owned();
        let prepare = async move |session: Rc<ThreadState>| session.core()?.prepare_restore(&id, force, None).await;
        self.engine.replacing(self.caller, prepare).await
    }

    /// Restores the newest stored commit that is not later than a time, as [`restore`](Self::restore) does.
    ///
    /// Fails with `snapshot_not_found` for a time before the log (`details.oldest`). When the clock of the machine was
    /// set back, several states may match: `invalid_argument`, and `details.candidates` lists the `lsn` and `at` of
    /// each. Pass one of them as a [`PointInTime`].
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use tidelock::{OpenOptions, PointInTime, Storage};
    ///
    /// # let folder = std::env::temp_dir().join(format!("tidelock-doc-history-{}.tidelock", std::process::id()));
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::File).path(&folder)).await?;
    /// db.exec("CREATE TABLE notes(body); INSERT INTO notes VALUES ('tea')").await?;
    /// let history = db.snapshots().history(10).await?; // The newest commits, oldest first.
    /// let last = history.points.last().unwrap();
    /// db.exec("DELETE FROM notes").await?;
    /// // Or a time: Timestamp::parse("2026-11-20T07:19:57Z")
    /// db.snapshots().restore_at(PointInTime { at: last.at, lsn: Some(last.lsn) }, false).await?;
    /// assert_eq!(db.query_as::<String>("SELECT body FROM notes", ()).await?, ["tea"]);
    /// # db.close().await?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn restore_at(&self, point: impl Into<PointInTime>, force: bool) -> Result<()> {
        let point = point.into();
        let prepare =
            async move |session: Rc<ThreadState>| session.core()?.prepare_restore_at(point, force, None).await;
        self.engine.replacing(self.caller, prepare).await
    }

    /// Returns a snapshot as the bytes of a `.sqlite` file. Fails with `snapshot_not_found` and `snapshot_corrupt`.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE notes(body)").await?;
    /// let snapshot = db.snapshots().create(None).await?;
    /// let file = db.snapshots().export(&snapshot.id).await?; // std::fs::write("backup.sqlite", file)
    /// assert!(file.starts_with(b"SQLite format 3"));
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn export(&self, id: &str) -> Result<Vec<u8>> {
        self.written(id, false).await
    }

    /// Returns a snapshot as SQL text, in the form of SQLite's `.dump`. Fails as [`export`](Self::export) does.
    pub async fn export_sql(&self, id: &str) -> Result<Vec<u8>> {
        self.written(id, true).await
    }

    /// Returns the state of the database at a time as the bytes of a `.sqlite` file. Stores pending commits first. Fails as
    /// [`restore_at`](Self::restore_at) does for that time.
    pub async fn export_at(&self, point: impl Into<PointInTime>) -> Result<Vec<u8>> {
        let point = point.into();
        let export = async move |session: Rc<ThreadState>, limit: Limit| {
            let mut bytes = Vec::new();
            let sink = &mut |piece: &[u8]| {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            limit.run(session.core()?.export_at(point, false, sink)).await?;
            Ok(bytes)
        };
        self.engine.ask(self.caller, export).await
    }

    /// Returns what can be restored: the stored commits of the page log, at most `limit` of the newest, and the snapshots.
    pub async fn history(&self, limit: usize) -> Result<SnapshotHistory> {
        let history = async move |session: Rc<ThreadState>, limited: Limit| {
            limited.run(session.open_core()?.snapshots().history(limit)).await
        };
        self.engine.ask(self.caller, history).await
    }

    async fn written(&self, id: &str, sql: bool) -> Result<Vec<u8>> {
        let id = id.to_owned();
        let export = async move |session: Rc<ThreadState>, limit: Limit| {
            let mut bytes = Vec::new();
            let sink = &mut |piece: &[u8]| {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            limit.run(session.core()?.snapshot_export(&id, sql, sink)).await?;
            Ok(bytes)
        };
        self.engine.ask(self.caller, export).await
    }

    /// Stores a `.sqlite` file or SQL text as a snapshot, without changing the contents. It has a label, by default
    /// `imported`, and stays until it is deleted. Fails with `snapshot_corrupt` and `snapshot_incompatible`.
    pub async fn import(&self, file: impl Into<Vec<u8>>, label: Option<&str>) -> Result<SnapshotInfo> {
        let (file, label) = (file.into(), label.map(str::to_owned));
        let import = async move |session: Rc<ThreadState>, limit: Limit| {
            let image = Image::from_bytes(&file);
            drop(file);
            limit.run(session.core()?.snapshot_import(image, label)).await
        };
        self.engine.ask(self.caller, import).await
    }

    /// Returns the status of the periodic snapshots.
    pub async fn status(&self) -> Result<SnapshotHealth> {
        let status = async |session: Rc<ThreadState>, _limit| Ok(session.open_core()?.snapshots().status());
        self.engine.ask(self.caller, status).await
    }
}
