//! The model of the helpers of `sqlHelpers`: rows stamped with their transaction id, and tombstones.

use std::collections::BTreeSet;

use super::{Row, values::string};

/// The column with the id of the transaction that wrote the row.
const STAMP: &str = "_xid";

#[derive(Default)]
pub(crate) struct Helped {
    tables: BTreeSet<String>,
    /// The running transactions.
    open: BTreeSet<u64>,
    last: u64,
    tombstones: Vec<(String, String, u64)>,
}

impl Helped {
    /// Runs the helpers' SQL for a table: its rows get a stamp.
    pub(crate) fn install(&mut self, table: &str, rows: &mut [Row]) {
        let number = self.begin();
        self.tables.insert(table.to_owned());
        rows.iter_mut().for_each(|row| _ = row.insert(STAMP.to_owned(), number.to_string()));
        self.end(number);
    }

    /// Returns whether the helpers are installed.
    pub(crate) fn any(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Begins a transaction. Returns its id.
    pub(crate) fn begin(&mut self) -> u64 {
        self.last += 1;
        self.open.insert(self.last);
        self.last
    }

    pub(crate) fn end(&mut self, transaction: u64) {
        self.open.remove(&transaction);
    }

    /// Rolls back a transaction, which restores the rows that it deleted.
    pub(crate) fn roll_back(&mut self, transaction: u64) {
        self.tombstones.retain(|(.., number)| *number != transaction);
    }

    /// Stamps a row that a transaction writes.
    pub(crate) fn stamp(&self, table: &str, row: &mut Row, transaction: u64) {
        if self.tables.contains(table) {
            row.insert(STAMP.to_owned(), transaction.to_string());
        }
    }

    /// Records the tombstone of a row that a transaction deletes.
    pub(crate) fn bury(&mut self, table: &str, key: &[String], row: &Row, transaction: u64) {
        if self.tables.contains(table) {
            let key: Vec<String> = key.iter().map(|column| format!("{}:{}", string(column), row[column])).collect();
            self.tombstones.push((table.to_owned(), format!("{{{}}}", key.join(",")), transaction));
        }
    }

    pub(crate) fn with_stamp(&self, table: &str, mut columns: Vec<String>) -> Vec<String> {
        if self.tables.contains(table) && !columns.is_empty() {
            columns.push(STAMP.to_owned());
        }
        columns
    }

    /// Returns the answer of `tidelock_state`; `None` without the function.
    pub(crate) fn answer(&self, call: &str) -> Option<String> {
        if self.tables.is_empty() {
            return None;
        }
        let argument = |name: &str| {
            let pairs = call.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(known, _)| *known == name).find_map(|(_, value)| value.parse::<u64>().ok())
        };
        let (since, after) = (argument("since"), argument("after").unwrap_or(0));
        let ceiling = self.open.first().copied().unwrap_or(self.last + 1);
        let tables: Vec<String> =
            self.tables.iter().map(|table| format!(r#""{table}":{{"xid":true,"tombstones":true}}"#)).collect();
        let numbered = (1_u64..).zip(&self.tombstones);
        let gone: Vec<String> = numbered
            .filter(|(id, (.., xid))| since.is_some_and(|since| *xid >= since) && *id > after)
            .take(1000)
            .map(|(id, (table, key, xid))| format!(r#"["{id}","{table}",{key},"{xid}"]"#))
            .collect();
        Some(format!(
            r#"{{"version":1,"cluster":"model","ceiling":"{ceiling}","tables":{{{}}},"gone":[{}]}}"#,
            tables.join(","),
            gone.join(",")
        ))
    }
}
