//! The features of configurations and histories. Each can be switched off by its name.

use std::collections::BTreeSet;

/// Everything that is drawn.
const FEATURES: &[&str] = &[
    "tables",
    "uuid_keys",
    "text_keys",
    "date_keys",
    "composite_keys",
    "odd_names",
    "respelled_keys",
    "cursor",
    "compare",
    "soft_delete",
    "push_only",
    "marks_of_push_only",
    "pull_only",
    "insert_only",
    "read_only",
    "hidden",
    "filter",
    "leaving_filter",
    "pushed_filter",
    "changing_filter",
    "filter_function",
    "columns",
    "conflict_policies",
    "conflict_functions",
    "functions_of_marked",
    "foreign_keys",
    "cycles",
    "deferred_keys",
    "unique",
    "swapped_unique",
    "required",
    "rewrites",
    "alterations",
    "numeric",
    "generated",
    "small_caps",
    "small_pages",
    "unstamped",
    "infinite_cursors",
    "zones",
    "client_clock",
    "helpers",
    "bare_root",
    "late_commits",
    "early_deletions",
    "marked_parents",
    "deleted_parents",
    "leaving_parents",
    "push_only_cycles",
    "compare_later",
    "faults",
    "helper_faults",
    "table_faults",
    "lost_answers",
    "late_requests",
    "html_refusals",
    "cut_refusals",
    "too_large",
    "breaking_rows",
    "kills",
    "reopen",
    "replace",
    "decisions",
    "moved_keys",
    "many_updates",
    "added_columns",
    "dropped_columns",
    "renamed_columns",
    "migrated_types",
];

/// Features for which the sync doesn't keep its promises yet, and why.
pub const NOT_YET: &[(&str, &str)] = &[(
    "compare_later",
    "rows that were pulled before a table had `deleted: 'compare'` look like those that exist only locally",
)];

/// The features that a run has.
#[derive(Clone, Debug)]
pub struct Features(BTreeSet<String>);

impl Features {
    /// All features except those of [`NOT_YET`]; `TIDELOCK_WITH=a,b` adds features, `TIDELOCK_WITHOUT=a,b` removes them, and
    /// `TIDELOCK_ONLY=a,b` uses only these.
    pub fn from_environment() -> Self {
        let list = |name: &str| {
            let text = std::env::var(name).ok()?;
            let names: Vec<String> = text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            names.iter().for_each(|name| assert!(FEATURES.contains(&name.as_str()), "there is no feature {name}"));
            Some(names)
        };
        let held = FEATURES.iter().filter(|name| NOT_YET.iter().all(|(not_yet, _)| not_yet != *name));
        let mut features: BTreeSet<String> = match list("TIDELOCK_ONLY") {
            Some(only) => only.into_iter().collect(),
            None => held.map(|name| (*name).to_owned()).collect(),
        };
        features.extend(list("TIDELOCK_WITH").unwrap_or_default());
        list("TIDELOCK_WITHOUT").unwrap_or_default().iter().for_each(|name| _ = features.remove(name));
        Self(features)
    }

    pub fn has(&self, name: &str) -> bool {
        debug_assert!(FEATURES.contains(&name), "there is no feature {name}");
        self.0.contains(name)
    }
}
