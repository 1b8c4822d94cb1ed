//! Contents that were brought along as a file: kept as a snapshot, but no place of this database's log. Opening, going back
//! in time and retention never see them; they stay until they are deleted.

use super::{ChunkSource, Position, Storage, Tag};
use crate::{
    error::Result,
    format::{Manifest, ManifestKind},
};

impl Storage {
    /// Stores contents from outside and their manifest, read back and compared. One at a time with snapshots, prunes and
    /// sweeps.
    ///
    /// Fails as [`stage`](Self::stage) and [`publish`](Self::publish) do.
    pub async fn import(&self, source: &dyn ChunkSource, tag: Tag, compress: bool) -> Result<Manifest> {
        let staged = self.stage_onto(None, source, Position::default(), compress, true).await?;
        self.publish(staged, Tag { kind: ManifestKind::Imported, barrier: false, ..tag }).await
    }

    /// The manifests of such contents, oldest first.
    pub fn imported(&self) -> Vec<Manifest> {
        self.0.imported.borrow().clone()
    }
}
