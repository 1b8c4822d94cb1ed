//! Snapshots that were imported as files. They have no position in the log, so opening, point-in-time restores and
//! retention ignore them. They stay until they are deleted.

use super::{ChunkSource, Position, Storage, Tag};
use crate::{
    error::Result,
    format::{Manifest, ManifestKind},
};

impl Storage {
    /// Stores external contents and their manifest, and verifies them by reading them back. Must not run concurrently
    /// with snapshots, prunes and sweeps.
    ///
    /// Fails like [`stage`](Self::stage) and [`publish`](Self::publish).
    pub async fn import(&self, source: &dyn ChunkSource, tag: Tag, compress: bool) -> Result<Manifest> {
        let staged = self.stage_onto(None, source, Position::default(), compress, true).await?;
        self.publish(staged, Tag { kind: ManifestKind::Imported, barrier: false, ..tag }).await
    }

    /// Returns the manifests of imported snapshots, oldest first.
    pub fn imported(&self) -> Vec<Manifest> {
        self.0.imported.borrow().clone()
    }
}
