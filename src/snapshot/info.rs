//! Snapshots as users see them.

use serde::Serialize;

use super::Reason;
use crate::{
    format::{Manifest, ManifestKind},
    time::Timestamp,
};

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SnapshotInfo {
    /// Its generation, as text.
    pub id: String,
    /// When it was taken.
    pub created_at: Timestamp,
    /// The database's size in bytes.
    pub bytes: u64,
    /// The bytes that it added to the storage, without the copy of its first 64 KiB; unchanged chunks are shared.
    pub stored_bytes: u64,
    /// SHA-256 over the chunks' SHA-256 in order, 64 hex digits.
    pub sha256: String,
    /// The user's label.
    pub label: Option<String>,
    /// Why it was taken.
    pub reason: Reason,
    /// Whether the stored data was read back and compared.
    pub verified: bool,
    /// The newest migration applied in it.
    pub schema_version: Option<String>,
}

impl SnapshotInfo {
    /// Returns the snapshot that a manifest describes; `None` for a checkpoint.
    pub(crate) fn of(manifest: &Manifest) -> Option<Self> {
        (manifest.kind != ManifestKind::Checkpoint).then(|| Self {
            id: manifest.generation.to_string(),
            created_at: manifest.created_at,
            bytes: manifest.db_bytes,
            stored_bytes: manifest.stored_bytes,
            sha256: manifest.sha256.clone(),
            label: manifest.label.clone(),
            reason: Reason::from_name(&manifest.reason),
            verified: manifest.verified,
            schema_version: manifest.schema_version.clone(),
        })
    }
}

/// The result of `verify(id)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "SnapshotVerification"))]
pub struct Verification {
    /// Whether there are no errors.
    pub ok: bool,
    /// Descriptions of the errors.
    pub errors: Vec<String>,
}
