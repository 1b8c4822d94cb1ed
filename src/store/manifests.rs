//! Which manifests are places of the log.

use crate::format::{Manifest, ManifestKind};

/// Parts what is stored into places of the log and what was imported.
pub(super) fn part(manifests: Vec<Manifest>) -> (Vec<Manifest>, Vec<Manifest>) {
    manifests.into_iter().partition(|manifest| manifest.kind != ManifestKind::Imported)
}
