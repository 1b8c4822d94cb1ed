//! Separates the manifests of log positions from imported ones.

use crate::format::{Manifest, ManifestKind};

/// Splits the manifests into those with a position in the log, and imported ones.
pub(super) fn part(manifests: Vec<Manifest>) -> (Vec<Manifest>, Vec<Manifest>) {
    manifests.into_iter().partition(|manifest| manifest.kind != ManifestKind::Imported)
}
