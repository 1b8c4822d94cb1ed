//! Live queries: which of them a commit makes run again.

use std::{collections::BTreeSet, mem};

/// What a commit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Rows of these tables.
    Tables(BTreeSet<String>),
    /// More than can be told: a restored image, a changed schema.
    Everything,
}

struct Watch {
    id: u32,
    /// In lower case: SQLite's names are case-insensitive (in ASCII).
    tables: Vec<String>,
}

/// The live queries of a database, by the tables that they read.
#[derive(Default)]
pub struct Registry {
    watches: Vec<Watch>,
    last_id: u32,
}

impl Registry {
    /// Watches these tables; the id that [`Registry::committed`] will name. Ids grow and are never used again.
    pub fn watch<T: AsRef<str>>(&mut self, tables: impl IntoIterator<Item = T>) -> u32 {
        self.last_id += 1;
        let tables = tables.into_iter().map(|table| table.as_ref().to_ascii_lowercase()).collect();
        self.watches.push(Watch { id: self.last_id, tables });
        self.last_id
    }

    /// Ends a watch. An unknown id is none already.
    pub fn unwatch(&mut self, id: u32) {
        self.watches.retain(|watch| watch.id != id);
    }

    /// Whether nobody watches: then what commits change needn't be gathered.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// The ids of the queries to run again after a commit, each once, in the order in which they were registered.
    pub fn committed(&self, changed: &Changed) -> Vec<u32> {
        let changed = match changed {
            Changed::Everything => return self.watches.iter().map(|watch| watch.id).collect(),
            Changed::Tables(tables) => tables.iter().map(|table| table.to_ascii_lowercase()).collect::<BTreeSet<_>>(),
        };
        let is_hit = |watch: &&Watch| watch.tables.iter().any(|table| changed.contains(table));
        self.watches.iter().filter(is_hit).map(|watch| watch.id).collect()
    }
}

impl Changed {
    /// Nothing yet.
    pub fn none() -> Self {
        Changed::Tables(BTreeSet::new())
    }

    /// Adds tables that a statement wrote to.
    pub fn add<T: AsRef<str>>(&mut self, tables: impl IntoIterator<Item = T>) {
        if let Changed::Tables(known) = self {
            known.extend(tables.into_iter().map(|table| table.as_ref().to_owned()));
        }
    }

    /// What was gathered, beginning anew: to be called at each commit, and with the result thrown away at a rollback.
    #[must_use]
    pub fn take(&mut self) -> Self {
        mem::replace(self, Changed::none())
    }

    /// Whether no table was changed.
    pub fn is_none(&self) -> bool {
        matches!(self, Changed::Tables(tables) if tables.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{Changed, Registry};

    fn changed(tables: &[&str]) -> Changed {
        let mut changed = Changed::none();
        changed.add(tables);
        changed
    }

    #[test]
    fn a_query_runs_again_when_one_of_its_tables_changed_and_once_a_commit() {
        let mut registry = Registry::default();
        let orders = registry.watch(["Orders", "customers"]);
        let all = registry.watch(["orders"]);
        let other = registry.watch(["products"]);
        assert_eq!(registry.committed(&changed(&["ORDERS", "customers"])), [orders, all]);
        assert_eq!(registry.committed(&changed(&["Customers"])), [orders]);
        assert_eq!(registry.committed(&changed(&["suppliers"])), [0; 0]);
        assert_eq!(registry.committed(&Changed::Everything), [orders, all, other]);
    }

    #[test]
    fn an_ended_watch_is_not_named_and_its_id_not_given_again() {
        let mut registry = Registry::default();
        let first = registry.watch(["t"]);
        registry.unwatch(first);
        registry.unwatch(99);
        assert!(registry.is_empty());
        let second = registry.watch(["t"]);
        assert_ne!(first, second);
        assert_eq!(registry.committed(&changed(&["t"])), [second]);
    }

    #[test]
    fn a_query_without_tables_runs_again_only_after_everything_changed() {
        let mut registry = Registry::default();
        let id = registry.watch([""; 0]);
        assert_eq!(registry.committed(&changed(&["t"])), [0; 0]);
        assert_eq!(registry.committed(&Changed::Everything), [id]);
    }

    #[test]
    fn what_was_gathered_is_taken_once() {
        let mut gathered = changed(&["a"]);
        gathered.add(["b"]);
        assert_eq!(gathered.take(), changed(&["b", "a"]));
        assert!(gathered.is_none());
        let mut everything = Changed::Everything;
        everything.add(["a"]);
        assert_eq!(everything.take(), Changed::Everything);
        assert!(everything.is_none() && !Changed::Everything.is_none());
    }
}
