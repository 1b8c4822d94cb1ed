//! Live queries: which of them to run again after a commit.

use std::rc::Rc;

use crate::collections::Set;

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
    /// Registers a query that reads these tables. Returns its id, which [`committed`](Self::committed) will report. Ids are never reused.
    pub fn watch<T: AsRef<str>>(&mut self, tables: impl IntoIterator<Item = T>) -> u32 {
        self.last_id += 1;
        let tables = tables.into_iter().map(|table| table.as_ref().to_ascii_lowercase()).collect();
        self.watches.push(Watch { id: self.last_id, tables });
        self.last_id
    }

    /// Ends a watch. An unknown id is ignored.
    pub fn unwatch(&mut self, id: u32) {
        self.watches.retain(|watch| watch.id != id);
    }

    /// Returns whether there are no watches: then changed tables needn't be collected.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Returns the queries to run again after a commit that changed rows of these tables: each once, in the order of their ids.
    pub fn committed(&self, tables: &Set<Rc<str>>) -> Vec<u32> {
        let changed: Set<_> = tables.iter().map(|table| table.to_ascii_lowercase()).collect();
        self.ids(|watch| watch.tables.iter().any(|table| changed.contains(table)))
    }

    /// Returns the queries to run again when the changed tables are unknown, for instance after a restore: all.
    pub fn everything_changed(&self) -> Vec<u32> {
        self.ids(|_| true)
    }

    fn ids(&self, which: impl Fn(&Watch) -> bool) -> Vec<u32> {
        self.watches.iter().filter(|watch| which(watch)).map(|watch| watch.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Registry;

    fn tables(names: &[&str]) -> crate::collections::Set<std::rc::Rc<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn a_query_runs_again_when_one_of_its_tables_changed_and_once_a_commit() {
        let mut registry = Registry::default();
        let orders = registry.watch(["Orders", "customers"]);
        let all = registry.watch(["orders"]);
        let other = registry.watch(["products"]);
        assert_eq!(registry.committed(&tables(&["ORDERS", "customers"])), [orders, all]);
        assert_eq!(registry.committed(&tables(&["Customers"])), [orders]);
        assert_eq!(registry.committed(&tables(&["suppliers"])), [0; 0]);
        assert_eq!(registry.committed(&tables(&[])), [0; 0]);
        assert_eq!(registry.everything_changed(), [orders, all, other]);
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
        assert_eq!(registry.committed(&tables(&["t"])), [second]);
    }

    #[test]
    fn a_query_without_tables_runs_again_only_after_everything_changed() {
        let mut registry = Registry::default();
        let id = registry.watch([""; 0]);
        assert_eq!(registry.committed(&tables(&["t"])), [0; 0]);
        assert_eq!(registry.everything_changed(), [id]);
    }
}
