//! Exports snapshots as `.sqlite` files or SQL text, and imports them again.

use super::import::check_size;
use crate::{
    engine::{Database, connection::fts5},
    error::{Error, ErrorCode, Result},
    memory::no_memory,
    snapshot::SnapshotInfo,
    sqlite::{Connection, Image, PageFile, Sink},
    store::PointInTime,
};

/// The label of snapshots that are imported without one.
const LABEL: &str = "imported";

impl Database {
    /// Writes the contents of a snapshot to `sink`, piece by piece: the bytes of a `.sqlite` file, or SQL text.
    /// Verifies the hash of every chunk.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `out_of_memory`, and the storage's errors.
    pub async fn snapshot_export(&self, id: &str, sql: bool, sink: &mut Sink<'_>) -> Result<SnapshotInfo> {
        let snapshots = &self.inner.snapshots;
        self.write_file(&snapshots.load(id).await?, sql, sink).await?;
        let info = snapshots.list().into_iter().find(|snapshot| snapshot.id == id);
        info.ok_or_else(|| {
            Error::new(ErrorCode::SnapshotNotFound, "The snapshot was deleted meanwhile")
                .hint("snapshots.list() shows which exist")
                .detail("snapshotId", id)
        })
    }

    /// Writes the contents after the newest stored commit that is not later than `point`, as
    /// [`snapshot_export`](Self::snapshot_export) does. Stores pending commits first.
    ///
    /// Fails as [`restore_at`](Self::restore_at) does for that time, with `out_of_memory`, and the storage's errors.
    pub async fn export_at(&self, point: PointInTime, sql: bool, sink: &mut Sink<'_>) -> Result<()> {
        self.flush_first().await?;
        let file = self.inner.snapshots.load_at(point).await?;
        self.write_file(&file, sql, sink).await
    }

    async fn write_file(&self, file: &PageFile, sql: bool, sink: &mut Sink<'_>) -> Result<()> {
        if sql {
            let scratch = Connection::open(file)?;
            fts5::load_if_used(&self.inner.ports.platform, &scratch).await?;
            return scratch.dump(sink);
        }
        let contents = file.pin();
        (0..contents.chunk_count()).try_for_each(|index| contents.with_chunk(index, &mut *sink)?)
    }

    /// Stores a file as a snapshot, without changing the database's contents: a `.sqlite` file or SQL text, recognised
    /// by its first bytes. Both get the checks of [`import`](Self::import). The snapshot has a label, so retention
    /// keeps it until it is deleted.
    ///
    /// Fails with `snapshot_corrupt` (damaged, or neither of the two; `cause` has the reason), `invalid_argument` (an
    /// unsupported schema), `snapshot_incompatible`, `database_too_large`, `out_of_memory`, and the storage's errors.
    pub async fn snapshot_import(&self, image: Image, label: Option<String>) -> Result<SnapshotInfo> {
        let inner = &*self.inner;
        inner.connection()?;
        let limit = inner.file.max_bytes();
        let platform = &inner.ports.platform;
        let foreign = if image.page_size > 0 {
            check_size(&image, limit)?;
            let deadline = inner.check_deadline(image.len());
            Connection::open_external(image, Some(deadline))
        } else {
            let text = text_of(image).map_err(as_snapshot_error)?;
            fts5::load_if_named(platform, &text).await?;
            Connection::open_sql(&text, limit, Some(inner.check_deadline(text.len() as u64)))
        };
        let foreign = foreign.map_err(as_snapshot_error)?;
        let (scratch, file) = inner.check_file(foreign).await.map_err(as_snapshot_error)?;
        let schema_version = inner.migrations.newest_in(&scratch);
        drop(scratch);
        inner.snapshots.import(&file.pin(), label.unwrap_or_else(|| LABEL.to_owned()), schema_version).await
    }
}

fn text_of(image: Image) -> Result<String> {
    let not_text = || Error::new(ErrorCode::DatabaseCorrupt, "it is neither a SQLite database nor a text");
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(image.len() as usize).map_err(|_| no_memory("for the SQL text"))?;
    for chunk in image.chunks {
        bytes.extend_from_slice(&chunk);
    }
    // SQLite reads text only up to the first NUL, so a file of zeros would count as an empty script.
    if bytes.contains(&0) {
        return Err(not_text());
    }
    String::from_utf8(bytes).map_err(|_| not_text())
}

/// Converts the error of a damaged file, or of text that SQLite can't run, to `snapshot_corrupt`.
fn as_snapshot_error(error: Error) -> Error {
    match error.code {
        ErrorCode::SqliteError if error.details.contains_key("function") => error,
        ErrorCode::DatabaseCorrupt | ErrorCode::SqliteError | ErrorCode::SqliteConstraint => {
            let details = error.details.clone();
            let mut corrupt = Error::new(ErrorCode::SnapshotCorrupt, "The file can't be used as a snapshot")
                .hint("Check where it comes from; nothing has changed")
                .cause(&error.message);
            corrupt.details = details;
            corrupt
        }
        _ => error,
    }
}
