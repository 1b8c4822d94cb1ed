//! Snapshots as files to keep: out as `.sqlite` or SQL text, and back.

use super::import::check_size;
use crate::{
    engine::{Database, connection::fts5},
    error::{Error, ErrorCode, Result},
    memory::no_memory,
    snapshot::SnapshotInfo,
    sqlite::{Connection, Image, PageFile, Sink},
};

/// A label of snapshots that were brought along without one.
const LABEL: &str = "imported";

impl Database {
    /// The contents of a snapshot, every chunk hashed, piece by piece into `sink`: the bytes of a `.sqlite` file, or SQL text.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `out_of_memory`, and what the storage fails with.
    pub async fn snapshot_export(&self, id: &str, sql: bool, sink: &mut Sink<'_>) -> Result<SnapshotInfo> {
        let snapshots = &self.inner.snapshots;
        let image = snapshots.load(id).await?;
        if sql {
            let scratch = Connection::open(&PageFile::new(image))?;
            fts5::load_if_used(&self.inner.ports.platform, &scratch).await?;
            scratch.dump(sink)?;
        } else {
            image.chunks.iter().try_for_each(|chunk| sink(chunk))?;
        }
        let info = snapshots.list().into_iter().find(|snapshot| snapshot.id == id);
        info.ok_or_else(|| {
            Error::new(ErrorCode::SnapshotNotFound, "The snapshot was deleted meanwhile")
                .hint("snapshots.list() tells which there are")
                .detail("snapshotId", id)
        })
    }

    /// Keeps a file as a snapshot, without changing the contents: a `.sqlite` file, as it is, or SQL text, told apart by
    /// how they begin. Both are checked as a file for [`import`](Self::import) is. It has a label, so that it stays until it
    /// is deleted.
    ///
    /// Fails with `snapshot_corrupt` (damaged, or no such file; `cause` tells more), `invalid_argument` (a schema that
    /// can't be used here), `snapshot_incompatible`, `database_too_large`, `out_of_memory`, and what the storage fails with.
    pub async fn snapshot_import(&self, image: Image, label: Option<String>) -> Result<SnapshotInfo> {
        let inner = &*self.inner;
        inner.connection()?;
        let limit = inner.options.max_bytes;
        let platform = &inner.ports.platform;
        let foreign = if image.page_size > 0 {
            check_size(&image, limit)?;
            Connection::open_foreign(image)
        } else {
            let text = text_of(image).map_err(refused)?;
            fts5::load_if_named(platform, &text).await?;
            Connection::open_sql(&text, limit, Some(inner.check_deadline(text.len() as u64)))
        };
        let foreign = foreign.map_err(refused)?;
        let (scratch, file) = inner.check_file(foreign).await.map_err(refused)?;
        let schema_version = inner.migrations.newest_in(&scratch);
        drop(scratch);
        inner.snapshots.import(&file.pin(), label.unwrap_or_else(|| LABEL.to_owned()), schema_version).await
    }
}

fn text_of(image: Image) -> Result<String> {
    let no_text = || Error::new(ErrorCode::DatabaseCorrupt, "it is neither a SQLite database nor a text");
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(image.len() as usize).map_err(|_| no_memory("for the SQL text"))?;
    for chunk in image.chunks {
        bytes.extend_from_slice(&chunk);
    }
    // SQLite would read up to the first NUL, and call a file of zeros an empty database.
    if bytes.contains(&0) {
        return Err(no_text());
    }
    String::from_utf8(bytes).map_err(|_| no_text())
}

/// A damaged file is here a damaged snapshot; so is a text that SQLite can't run.
fn refused(error: Error) -> Error {
    match error.code {
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
