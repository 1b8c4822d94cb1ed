//! Syncs until nothing changes any more, then checks the promises.

use std::collections::BTreeSet;

use super::{
    configuration::{Column, Deleted, Holds, Table},
    history::{Call, Scene},
    ledger::{Cells, Key, Rows, Side, is_synced, is_wanted, key_of, local_keys, local_rows, read_local, remote_rows},
};
use crate::sync::model::Row;
use tidelock::{
    ErrorCode,
    sync::{outbox::entries, report},
};

/// Rounds of a push and a pull after which it must be at rest.
const ROUNDS: usize = 12;

impl Scene {
    /// Pushes and pulls until nothing changes any more. While rows break on the server, pushes may say so.
    pub fn come_to_rest(&mut self, breaking: bool) {
        // New columns of the remote are found when the database is opened, or by changes that wait for them.
        self.world.reopen(&self.configuration.remote());
        let mut before = None;
        for round in 0.. {
            assert!(round < ROUNDS, "it never comes to rest: {:?}", self.world.outbox());
            self.world.sim.advance(70_000);
            let pushed = self.call(&Call::Push, vec![], None);
            let pulled = self.call(&Call::Pull(r#"{"allowEmpty":true}"#.to_owned()), vec![], None);
            for (result, may_fail) in [(pushed, breaking), (pulled, false)] {
                let result = result.expect("nobody aborts");
                let broken = |error: &tidelock::Error| may_fail && error.is(ErrorCode::SyncServer);
                assert!(result.is_ok() || result.as_ref().is_err_and(broken), "at rest: {result:?}");
            }
            let now = Some((self.local(), self.remote(), self.world.outbox()));
            if before == now && round > 1 {
                return;
            }
            before = now;
        }
    }

    pub fn local(&self) -> Vec<Rows> {
        self.configuration.tables.iter().map(|table| local_rows(&self.world, table)).collect()
    }

    pub fn remote(&self) -> Vec<Rows> {
        self.configuration.tables.iter().map(|table| remote_rows(&self.world, table)).collect()
    }

    /// Returns the rows that are reported to users: pending, rejected and unapplied.
    pub fn entries(&self) -> BTreeSet<(usize, Key)> {
        let connection = &self.world.host.connection;
        let all = entries::pending(connection).unwrap().into_iter().chain(entries::rejected(connection).unwrap());
        all.map(|change| self.row_of(&change.table, &change.key)).collect()
    }

    pub fn row_of(&self, table: &str, key: &report::Cells) -> (usize, Key) {
        let at = self.configuration.tables.iter().position(|known| known.name == table).unwrap();
        let value = |name: &str| key.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        (at, key_of(&self.configuration.tables[at], value))
    }

    /// Checks that while the server fails at some rows, only these rows wait, rows that refer to them, and rows changed after their
    /// refusal.
    pub fn only_broken_rows_wait(&self) {
        let (local, remote, entries) = (self.local(), self.remote(), self.entries());
        let rejected = entries::rejected(&self.world.host.connection).unwrap();
        let refused: BTreeSet<_> = rejected.iter().map(|change| self.row_of(&change.table, &change.key)).collect();
        for change in entries::pending(&self.world.host.connection).unwrap() {
            let (at, key) = self.row_of(&change.table, &change.key);
            let cells = local[at].get(&key);
            // The remote's row may wait, since it refers to a different parent than the local row.
            let there = remote[at].get(&key);
            let broken = cells
                .and_then(|cells| cells["a"].as_deref())
                .is_some_and(|a| ["break", "block"].iter().any(|word| a.contains(word)));
            let waits = |parent: usize, key: &Option<Key>| {
                key.as_ref().is_some_and(|key| entries.contains(&(parent, key.clone())))
            };
            // Nor is the parent of such a row surely here: a filter may leave it out.
            let is_held = change.reason.map(|reason| reason.as_str()) == Some("held_back");
            // In a push-only table the parent keeps the app's spelling of its key.
            let keeps_spelling = |table: &Table| table.direction == "push" && table.respelled;
            let tables = &self.configuration.tables;
            let hidden = |parent: usize, key: &Key| {
                is_held && (!local[parent].contains_key(key) || keeps_spelling(&tables[parent]))
            };
            let refers = |(name, holds): (&String, Holds)| match holds {
                Holds::Parent(parent, _) => {
                    let of = |cells: &Cells| cells.get(name).cloned().flatten();
                    cells.into_iter().chain(there).any(|cells| waits(parent, &of(cells)))
                        || there.and_then(of).is_some_and(|key| hidden(parent, &key))
                }
                _ => false,
            };
            let columns = &self.configuration.tables[at].columns;
            let held = columns.iter().any(|column| refers((&column.name, column.holds))) || self.is_parent(at, &key);
            let deleted = cells.is_none();
            let behind = refused.contains(&(at, key.clone()));
            // Of two rows that are one to the server, only one is looked at here.
            let keys = local_keys(&self.world, &self.configuration.tables[at]);
            let twice = keys.iter().filter(|known| **known == key).count() > 1;
            // Nor can a row get a unique value that the remote's row of a waiting change has.
            let holds = |row: &Cells, column: &Column| {
                let value = row.get(&column.name).filter(|value| value.is_some());
                value.is_some() && cells.and_then(|cells| cells.get(&column.name)) == value
            };
            let taken = entries
                .iter()
                .filter_map(|(table, other)| remote[at].get(other).filter(|_| *table == at))
                .any(|row| columns.iter().any(|column| column.holds == Holds::Unique && holds(row, column)));
            let lacks = change.reason.map(|reason| reason.as_str()) == Some("remote_column_missing");
            assert!(
                broken || held || taken || deleted || behind || lacks || twice,
                "{} {key} waits for rows that it has nothing to do with",
                change.table
            );
        }
    }

    /// Checks the promises once nothing changes any more.
    pub fn check(&mut self) {
        let (local, remote, entries) = (self.local(), self.remote(), self.entries());
        let conflicts = entries::conflicts(&self.world.host.connection, 1000).unwrap();
        let decided: BTreeSet<(usize, Key)> =
            conflicts.iter().map(|conflict| self.row_of(&conflict.table, &conflict.key)).collect();
        for (at, table) in self.configuration.tables.iter().enumerate() {
            let mut keys = local_keys(&self.world, table);
            keys.sort();
            for twice in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
                let told = entries.contains(&(at, twice[0].clone()));
                assert!(told, "{} {} is here twice", table.name, twice[0]);
            }
            self.both_are_equal(at, &local, &remote[at], &entries);
        }
        let accounted =
            |at: usize, key: &Key| entries.contains(&(at, key.clone())) || decided.contains(&(at, key.clone()));
        self.ledger.nothing_is_lost(&self.configuration, &remote, &accounted);
        self.ledger.nothing_is_made_up(&self.configuration, &remote, &accounted);
        self.refusals_are_the_servers();
        self.again_changes_nothing();
    }

    fn both_are_equal(&self, at: usize, all: &[Rows], remote: &Rows, entries: &BTreeSet<(usize, Key)>) {
        let (table, local) = (&self.configuration.tables[at], &all[at]);
        // For a row that was deleted with its parent, nothing shows whether the parent was only hidden.
        let went = |cells: &Cells| {
            let lacks = |column: &Column| match column.holds {
                Holds::Parent(parent, _) => {
                    cells[&column.name].as_ref().is_some_and(|key| !all[parent].contains_key(key))
                }
                _ => false,
            };
            table.cascade && table.deleted != Deleted::Compare && !table.helped && table.columns.iter().any(lacks)
        };
        // Local changes of pull-only tables are not synced.
        let own = |key: &Key| table.direction == "pull" && self.ledger.wrote_since(Side::App, at, key, 0);
        let told = |key: &Key| entries.contains(&(at, key.clone())) || own(key);
        if table.direction == "push" {
            return;
        }
        for (key, cells) in remote.iter().filter(|(key, cells)| is_wanted(table, cells) && !told(key)) {
            if !local.contains_key(key) && went(cells) {
                continue;
            }
            let here = local.get(key).unwrap_or_else(|| panic!("{} {key} isn't here: {cells:?}", table.name));
            // A column that is dropped and added again between two pulls moves no cursor.
            let known = |name: &str| !(table.cursor && self.ledger.is_anew(at, name));
            for (name, value) in cells.iter().filter(|(name, _)| is_synced(table, name) && known(name)) {
                assert_eq!(here[name], *value, "{} {key} {name}: here and there", table.name);
            }
        }
        for key in local.keys().filter(|key| !told(key)) {
            let wanted = remote.get(key).is_some_and(|cells| is_wanted(table, cells));
            // A row that was hidden before the table got a filter was never known.
            let hidden = |cells: &Cells| cells.get("seen").is_some_and(|seen| seen.as_deref() == Some("false"));
            let unknown = table.filter.is_none() && remote.contains_key(key)
                || table.was_unfiltered && remote.get(key).is_some_and(hidden);
            let stays = self.configuration.keeps_deleted(at) && self.ledger.other_ever(at, key)
                || table.deleted != Deleted::Compare && unknown
                || self.is_parent(at, key);
            assert!(wanted || stays, "{} {key} is here, and not there: {:?}", table.name, remote.get(key));
        }
    }

    /// Whether a local row refers to this one; of two rows that are one to the server, either may.
    pub fn is_parent(&self, at: usize, key: &Key) -> bool {
        self.configuration.tables.iter().any(|child| {
            let refers = |column: &&Column| matches!(column.holds, Holds::Parent(parent, _) if parent == at);
            let columns: Vec<&Column> = child.columns.iter().filter(refers).collect();
            let holds = |cells: &Cells| {
                columns.iter().any(|column| cells.get(&column.name).is_some_and(|cell| cell.as_ref() == Some(key)))
            };
            !columns.is_empty() && read_local(&self.world, child).iter().any(|(_, cells)| holds(cells))
        })
    }

    /// Checks that only errors of the database reject rows.
    fn refusals_are_the_servers(&self) {
        for change in entries::rejected(&self.world.host.connection).unwrap() {
            let error = change.error.as_deref().unwrap_or_default();
            let bare = error.starts_with("The remote answered") && !error.contains(": ");
            assert!(
                change.reason.map(|reason| reason.as_str()) != Some("refused") || !bare,
                "{} was refused by no database: {error}",
                change.table
            );
        }
    }

    fn again_changes_nothing(&mut self) {
        let before = (self.local(), self.remote(), self.world.outbox());
        self.world.server.take_requests();
        let pushed = self.call(&Call::Push, vec![], None);
        let sent = self.world.server.take_requests().len();
        assert!(pushed.is_some_and(|pushed| pushed.is_ok()));
        if entries::pending(&self.world.host.connection).unwrap().is_empty() {
            assert_eq!(sent, 0, "a push without changes sends nothing");
        }
        let report = self.world.pull(r#"{"allowEmpty":true}"#).unwrap();
        let changed = |report: &tidelock::sync::report::TableReport| report.inserted + report.updated + report.deleted;
        assert!(report.tables.iter().all(|table| changed(table) == 0), "the second pull: {:?}", report.tables);
        assert!(before == (self.local(), self.remote(), self.world.outbox()), "the second pull changed something");
    }
}

/// For messages: a row without its key.
pub fn show(row: &Row) -> String {
    row.iter().map(|(name, json)| format!("{name}={json}")).collect::<Vec<_>>().join(" ")
}
