//! Retention: which generations to delete, how much of the log's front to truncate, and how far back restores reach.

use super::SnapshotOptions;
use crate::{
    collections::Set,
    format::{Manifest, ManifestKind, RECOVERY, Truncation},
    time::{DAY_MS, Timestamp},
};

/// How long a safety snapshot is kept, and the log that a recovery quarantined.
const SAFETY_MS: i64 = 7 * DAY_MS;

/// The stored manifests and log.
#[derive(Clone, Copy, Debug)]
pub struct StoredState<'a> {
    /// All readable manifests, oldest first.
    pub manifests: &'a [Manifest],
    /// The unusable generations.
    pub damaged: &'a Set<u64>,
    /// Where the log begins.
    pub truncated: Truncation,
    /// Bytes of pages logged up to its end.
    pub logged: u64,
    /// Whether the options ask for no verification: then unverified generations replace older ones, too.
    pub accepts_unverified: bool,
}

/// The steps to free space, in that order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// Generations to delete.
    pub delete: Vec<u64>,
    /// Snapshots that are no longer listed, but still needed for recovery: they become checkpoints.
    pub demote: Vec<u64>,
    /// How far to truncate the log.
    pub truncate: Option<Truncation>,
}

impl StoredState<'_> {
    fn usable(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.manifests.iter().filter(|manifest| !self.damaged.contains(&manifest.generation))
    }

    fn verified(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.usable().filter(|manifest| manifest.verified)
    }

    /// The generations that may replace older ones.
    fn good(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.usable().filter(|manifest| manifest.verified || self.accepts_unverified)
    }

    /// Returns the generations that could replace a damaged newest one: the newest two usable ones, and the newest
    /// verified one. No option deletes them.
    pub fn still_needed(&self) -> Set<u64> {
        let newest = self.usable().rev().take(2);
        newest.chain(self.verified().next_back()).map(|manifest| manifest.generation).collect()
    }

    /// Returns what the options allow to delete after a successful snapshot.
    pub fn prune(&self, options: &SnapshotOptions, now: Timestamp) -> RetentionPlan {
        let Some(newest_good) = self.good().next_back() else { return RetentionPlan::default() };
        let needed = self.still_needed();
        let stays = self.staying(options, now);
        let (mut delete, mut demote) = (Vec::new(), Vec::new());
        for manifest in self.manifests.iter().filter(|manifest| manifest.generation < newest_good.generation) {
            match (stays.contains(&manifest.generation), needed.contains(&manifest.generation), manifest.kind) {
                (true, ..) | (_, true, ManifestKind::Checkpoint) | (.., ManifestKind::Imported) => {}
                (_, true, ManifestKind::Snapshot) => demote.push(manifest.generation),
                _ => delete.push(manifest.generation),
            }
        }
        // An unreadable manifest blocks the sweep; a newer good one makes it worthless.
        let readable = |generation: &u64| self.manifests.iter().any(|manifest| manifest.generation == *generation);
        let worthless = |generation: &&u64| !readable(generation) && **generation < newest_good.generation;
        delete.extend(self.damaged.iter().filter(worthless));
        delete.sort_unstable();
        let truncate = self.truncation(options, &delete, &demote, now);
        RetentionPlan { delete, demote, truncate }
    }

    /// Returns the generations that the options keep.
    fn staying(&self, options: &SnapshotOptions, now: Timestamp) -> Set<u64> {
        let newest_of = |reason: &str| self.usable().rfind(|m| m.reason == reason).map(|m| m.generation);
        let (newest_hidden, newest_safety) = (newest_of("hidden"), newest_of("safety"));
        let days = options.retention_days.unwrap_or(f64::INFINITY);
        let expired = |manifest: &Manifest| now.since(manifest.created_at) as f64 > days * 86_400_000.0;
        let young = |manifest: &Manifest| now.since(manifest.created_at) < SAFETY_MS;
        let mut counted = 0;
        let kept = self.manifests.iter().rev().filter(|manifest| {
            let generation = manifest.generation;
            match (manifest.kind, &manifest.label, manifest.reason.as_str()) {
                (ManifestKind::Checkpoint, _, reason) => reason == RECOVERY && young(manifest),
                (_, Some(_), _) => true,
                _ if self.damaged.contains(&generation) => false,
                (.., "hidden") => newest_hidden == Some(generation) && !expired(manifest),
                (.., "safety") => newest_safety == Some(generation) || young(manifest),
                _ => {
                    counted += 1;
                    // The last good one is kept at any age.
                    counted == 1 || counted <= options.keep && !expired(manifest)
                }
            }
        });
        kept.map(|manifest| manifest.generation).collect()
    }

    /// Returns how far the log may be truncated.
    fn truncation(
        &self,
        options: &SnapshotOptions,
        delete: &[u64],
        demote: &[u64],
        now: Timestamp,
    ) -> Option<Truncation> {
        // Two good generations: the log from the older one can replace the newer one.
        let fallback = self.good().nth_back(1)?;
        let place = |manifest: &Manifest| Truncation { lsn: manifest.lsn, logged: manifest.logged };
        let there = |manifest: &&Manifest| !delete.contains(&manifest.generation);
        let counted: Vec<&Manifest> = self
            .usable()
            .filter(|manifest| is_counted(manifest) && there(manifest) && !demote.contains(&manifest.generation))
            .collect();
        // While `keep` has nothing to delete, the start of the log counts as the oldest snapshot.
        let full = counted.len() >= options.keep
            || self.usable().any(|m| is_counted(m) && (!there(&m) || demote.contains(&m.generation)));
        let oldest = counted.first().filter(|_| full).map_or(self.truncated, |oldest| place(oldest));

        let limit = options.log_limit(self.manifests.last().map_or(0, |newest| newest.db_bytes));
        let retention = i64::try_from(options.log_retention_ms).unwrap_or(i64::MAX);
        let starts = std::iter::once((self.truncated, None))
            .chain(self.usable().filter(there).map(|manifest| (place(manifest), Some(manifest.created_at))));
        // A fenced-out holder may see manifests beyond its own end of the log; the store refuses its plan anyway.
        let near = |to: &Truncation| self.logged.saturating_sub(to.logged) <= limit;
        let mut starts = starts.filter(|(to, _)| to.lsn >= oldest.lsn && near(to)).peekable();
        let mut start = place(fallback);
        // Restores to the first retained times start from the newest manifest before them.
        while let Some((to, _)) = starts.next() {
            let next = starts.peek().and_then(|(_, created_at)| *created_at);
            if next.is_none_or(|next| now.since(next) < retention) {
                start = to;
                break;
            }
        }
        let mut from = if start.lsn < fallback.lsn { start } else { place(fallback) };
        // The log quarantined by a recovery lies between its checkpoint and the previous manifest.
        let recovery = |m: &&Manifest| m.reason == RECOVERY && there(m) && now.since(m.created_at) < SAFETY_MS;
        if let Some(recovery) = self.usable().find(recovery) {
            let before =
                self.usable().rfind(|m| m.generation < recovery.generation && there(m) && m.lsn < recovery.lsn);
            let before = before.map_or(self.truncated, place);
            from = if before.lsn < from.lsn { before } else { from };
        }
        (from.lsn > self.truncated.lsn).then_some(from)
    }

    /// Returns the first lsn and the earliest time that the options allow a restore to. The log may reach less far.
    pub fn reach(&self, options: &SnapshotOptions, now: Timestamp) -> (u64, Timestamp) {
        let retained = now.plus_ms(-i64::try_from(options.log_retention_ms).unwrap_or(i64::MAX));
        let mut counted = self.usable().filter(|manifest| is_counted(manifest));
        let oldest = counted.next().map(|oldest| oldest.lsn);
        // As in `truncation`: with fewer than `keep`, the start of the log counts as the oldest snapshot.
        let full = 1 + counted.count() >= options.keep && self.truncated.lsn > 0;
        (oldest.filter(|_| full).unwrap_or_default(), retained)
    }

    /// Returns what to delete when the disk is full: first the unlabelled snapshots but one, except those that could replace the
    /// newest good generation; then these, too, with the log before that generation and the manifests that needed it. Call it
    /// again while it returns something and the disk is still full.
    pub fn plan_for_space(&self) -> RetentionPlan {
        let Some(newest_good) = self.good().next_back() else { return RetentionPlan::default() };
        let needed = self.still_needed();
        let unlabelled = |m: &&Manifest| m.kind == ManifestKind::Snapshot && m.label.is_none() && m.reason != "safety";
        let newest = self.manifests.iter().rfind(unlabelled).map(|manifest| manifest.generation);
        let is_surplus = |m: &&Manifest| unlabelled(m) && Some(m.generation) != newest;
        let surplus = self.manifests.iter().filter(is_surplus).map(|manifest| manifest.generation);
        let delete: Vec<u64> = surplus.filter(|generation| !needed.contains(generation)).collect();
        if !delete.is_empty() {
            return RetentionPlan { delete, ..RetentionPlan::default() };
        }
        let older = |m: &&Manifest| {
            m.generation < newest_good.generation && (m.kind == ManifestKind::Checkpoint || is_surplus(m))
        };
        let delete = self.manifests.iter().filter(older).map(|manifest| manifest.generation).collect();
        let to = Truncation { lsn: newest_good.lsn, logged: newest_good.logged };
        RetentionPlan { delete, truncate: (to.lsn > self.truncated.lsn).then_some(to), ..RetentionPlan::default() }
    }
}

/// Returns whether `keep` counts the manifest.
fn is_counted(manifest: &Manifest) -> bool {
    manifest.kind == ManifestKind::Snapshot
        && manifest.label.is_none()
        && matches!(manifest.reason.as_str(), "scheduled" | "manual")
}
