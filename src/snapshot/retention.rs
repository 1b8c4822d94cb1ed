//! What may go: generations and the front of the log.

use super::SnapshotOptions;
use crate::{
    collections::Set,
    ports::{Manifest, ManifestKind, Truncation},
    time::Timestamp,
};

/// How long a snapshot that was taken for safety stays.
const SAFETY_MS: i64 = 7 * 86_400_000;

/// What to delete, in that order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Generations.
    pub delete: Vec<u64>,
    /// The front of the log.
    pub truncate: Option<Truncation>,
}

/// The generations that a damaged newest one would be replaced by: the newest two usable ones, and the newest that was
/// verified. They stay, whatever else is asked.
pub fn still_needed(manifests: &[Manifest], damaged: &Set<u64>) -> Set<u64> {
    let usable = || manifests.iter().rev().filter(|manifest| !damaged.contains(&manifest.generation));
    let newest = usable().take(2);
    let verified = usable().find(|manifest| manifest.verified);
    newest.chain(verified).map(|manifest| manifest.generation).collect()
}

/// What the options let go of after a success. `manifests` oldest first; `logged` is where the log ends.
pub fn prune(
    manifests: &[Manifest],
    damaged: &Set<u64>,
    options: &SnapshotOptions,
    logged: u64,
    now: Timestamp,
) -> Plan {
    let needed = still_needed(manifests, damaged);
    let verified: Vec<&Manifest> =
        manifests.iter().filter(|manifest| manifest.verified && !damaged.contains(&manifest.generation)).collect();
    let Some(newest_good) = verified.last() else { return Plan::default() };

    let newest_of = |reason: &str| manifests.iter().rfind(|m| m.reason == reason).map(|m| m.generation);
    let (newest_hidden, newest_safety) = (newest_of("hidden"), newest_of("safety"));
    let mut counted = 0;
    let mut delete: Vec<u64> = manifests
        .iter()
        .rev()
        .filter(|manifest| {
            let generation = manifest.generation;
            let stays = match (manifest.kind, &manifest.label, manifest.reason.as_str()) {
                (ManifestKind::Checkpoint, ..) => false,
                (_, Some(_), _) => true,
                _ if damaged.contains(&generation) => false,
                (.., "hidden") => newest_hidden == Some(generation),
                (.., "safety") => newest_safety == Some(generation) || now.since(manifest.created_at) < SAFETY_MS,
                _ => {
                    counted += 1;
                    counted <= options.keep
                }
            };
            !stays && !needed.contains(&generation)
        })
        .map(|manifest| manifest.generation)
        .collect();
    // What can't even be read as a manifest keeps the sweep from working; something newer and good makes it worthless.
    let readable = |generation: &u64| manifests.iter().any(|manifest| manifest.generation == *generation);
    delete.extend(damaged.iter().filter(|generation| !readable(generation)));
    delete.retain(|generation| *generation < newest_good.generation);
    delete.sort_unstable();
    delete.dedup();

    // Two verified generations, so that the log between them still stands in for the newer one.
    let fallback = verified.iter().rev().nth(1);
    let truncate = fallback.map(|fallback| {
        let from = reach(manifests, &delete, damaged, options, logged, now).unwrap_or(fallback);
        let from = if from.lsn < fallback.lsn { from } else { fallback };
        Truncation { lsn: from.lsn, logged: from.logged }
    });
    Plan { delete, truncate }
}

/// The snapshot from which the log is kept for going back in time.
fn reach<'m>(
    manifests: &'m [Manifest],
    delete: &[u64],
    damaged: &Set<u64>,
    options: &SnapshotOptions,
    logged: u64,
    now: Timestamp,
) -> Option<&'m Manifest> {
    let newest = manifests.last()?;
    let limit = options.log_limit(newest.db_bytes);
    let retention = i64::try_from(options.log_retention_ms).unwrap_or(i64::MAX);
    let mut starts = manifests
        .iter()
        .filter(|manifest| {
            manifest.kind == ManifestKind::Snapshot
                && manifest.label.is_none()
                && matches!(manifest.reason.as_str(), "scheduled" | "manual")
                && !delete.contains(&manifest.generation)
                && !damaged.contains(&manifest.generation)
                && logged - manifest.logged <= limit
        })
        .peekable();
    // The newest one before the retained time is where its first moments are reached from.
    while let Some(start) = starts.next() {
        if starts.peek().is_none_or(|next| now.since(next.created_at) < retention) {
            return Some(start);
        }
    }
    None
}

/// What to let go of when the disk is full: first the unlabelled snapshots beyond one, then the log before the newest
/// verified generation and what only it needed. Call again while it gives something and the disk is still full.
pub fn relieve(manifests: &[Manifest], damaged: &Set<u64>, truncated: Truncation) -> Plan {
    let good = |manifest: &&Manifest| manifest.verified && !damaged.contains(&manifest.generation);
    let Some(newest_good) = manifests.iter().rfind(good) else { return Plan::default() };
    let needed = still_needed(manifests, damaged);
    let unlabelled = |m: &&Manifest| m.kind == ManifestKind::Snapshot && m.label.is_none() && m.reason != "safety";
    let newest = manifests.iter().rfind(unlabelled).map(|manifest| manifest.generation);
    let delete: Vec<u64> = manifests
        .iter()
        .filter(unlabelled)
        .map(|manifest| manifest.generation)
        .filter(|generation| Some(*generation) != newest && !needed.contains(generation))
        .collect();
    if !delete.is_empty() {
        return Plan { delete, truncate: None };
    }
    let delete = manifests
        .iter()
        .filter(|m| m.kind == ManifestKind::Checkpoint && m.generation < newest_good.generation)
        .map(|manifest| manifest.generation)
        .collect();
    let to = Truncation { lsn: newest_good.lsn, logged: newest_good.logged };
    Plan { delete, truncate: (to.lsn > truncated.lsn).then_some(to) }
}
