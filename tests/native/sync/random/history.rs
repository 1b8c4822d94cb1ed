//! Random histories: what the app, other clients, the network and deployments do, one step after the other.

use std::{collections::BTreeSet, rc::Rc};

use futures_util::future::{Either, select};
use tidelock::{
    Result, Value,
    collections::Map,
    ports::sim::Sim,
    sync::{
        outbox::entries,
        report::{Cells, Conflict},
    },
};

use super::{
    chance::Chance,
    check::show,
    configuration::{CURSOR, Column, Configuration, Deleted, Holds, KEYS, MARK, STATE, Table},
    features::Features,
    ledger::{Key, Ledger, Rows, Side, local_keys, local_rows, remote_rows},
};
use crate::{
    sync::host::World,
    sync::model::{
        Fault, Row,
        values::{plain, string},
    },
    sync::model_writes::Transaction,
};

/// A call of the sync that takes longer than this never ends.
const FOREVER_MS: u64 = 24 * 3_600_000;
/// Codes of errors that a sync may end with.
const CODES: &[&str] = &["unpushed_changes", "remote_empty"];

pub enum Call {
    Push,
    /// With these options.
    Pull(String),
}

/// A configuration, its history so far, and the ledger of expected values.
pub struct Scene {
    pub seed: u64,
    pub chance: Chance,
    pub features: Features,
    pub configuration: Configuration,
    pub world: World,
    pub ledger: Ledger,
    pub log: Vec<String>,
    late: Vec<Transaction>,
    values: usize,
    /// The rows of tables with respelled keys that the present transaction of the app has made.
    fresh: BTreeSet<(usize, usize)>,
    /// Rows that the app has surely pulled.
    pulled: BTreeSet<(usize, Key)>,
    /// The table that the server fails at for a while.
    trouble: Option<String>,
    /// Rows that the app changed while the server may still have executed an earlier push.
    abandoned: BTreeSet<(usize, Key)>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var("TIDELOCK_SEED").is_ok() {
            eprintln!("---- seed {}\n{}{}\n----", self.seed, self.configuration, self.log.join("\n"));
        }
    }
}

/// A function of the app that decides conflicts by their keys: for the local row, for the remote's, for the one that is there.
fn decide(Conflict { key, local, remote, .. }: Conflict) -> Option<Cells> {
    match format!("{key:?}").bytes().map(usize::from).sum::<usize>() % 3 {
        0 => local,
        1 => remote,
        _ => local.or(remote),
    }
}

impl Scene {
    pub fn new(seed: u64, features: &Features) -> Self {
        let chance = Chance::new(seed);
        let configuration = Configuration::draw(&chance, features);
        let sim = Sim::new(seed);
        let server = configuration.server(sim.platform().clock);
        if features.has("helper_faults") {
            server.helpers_may_fail();
        }
        let world = World::on(sim, server, &configuration.schema(), &configuration.remote());
        *world.host.decide.borrow_mut() = Some(Rc::new(decide));
        let scene = Self {
            seed,
            chance,
            features: features.clone(),
            configuration,
            world,
            ledger: Ledger::default(),
            log: Vec::new(),
            late: Vec::new(),
            values: 0,
            fresh: BTreeSet::new(),
            pulled: BTreeSet::new(),
            trouble: None,
            abandoned: BTreeSet::new(),
        };
        scene.tell_filters();
        scene
    }

    pub fn play(&mut self) {
        for _ in 0..self.chance.between(20, 60) {
            match self.chance.below(20) {
                0..=5 => self.app_writes(),
                6..=9 => self.other_writes(),
                10 => self.begin_late(),
                11 => self.wait(),
                12 if self.features.has("reopen") => self.reopen(),
                13 if self.features.has("decisions") => self.decide(),
                14 => self.deploy(),
                15 if self.features.has("table_faults") => self.trouble(),
                16 if self.features.has("late_requests") => self.abandon(),
                _ => self.sync(),
            }
        }
        self.end_trouble();
        self.world.server.execute_late(true);
        while let Some(transaction) = self.late.pop() {
            self.world.server.end(transaction);
        }
        // Pulls ask once a session which columns the remote lacks.
        if self.ledger.any_deployed() {
            self.world.reopen(&self.configuration.remote());
        }
    }

    /// The trigger that broke and the firewall are repaired.
    pub fn repair(&mut self) {
        self.log.push("the trigger and the firewall are repaired".to_owned());
        for table in &self.configuration.tables {
            self.world.server.alter(&table.remote, |rules, _| (rules.breaks, rules.blocks) = (None, None));
        }
    }

    fn value(&mut self, holds: Holds) -> Option<String> {
        self.values += 1;
        let number = self.values;
        Some(match holds {
            Holds::Integer => number.to_string(),
            Holds::Lowered => format!("V{number}"),
            Holds::Trimmed => format!(" v{number} "),
            Holds::Rounded if self.features.has("rewrites") => format!("{number}.125"),
            Holds::Rounded => format!("{number}.25"),
            Holds::State if self.features.has("changing_filter") && self.chance.one_in(4) => "done".to_owned(),
            Holds::State => "open".to_owned(),
            Holds::Visible => "true".to_owned(),
            Holds::Text if self.configuration.breaking && self.chance.one_in(12) => {
                let what = if number.is_multiple_of(2) { "break" } else { "block" };
                format!("{what}{number}")
            }
            _ => format!("v{number}"),
        })
    }

    fn app_writes(&mut self) {
        let before: Vec<_> = self.local();
        let twice = self.here_twice();
        self.fresh.clear();
        let mut statements = Vec::new();
        for _ in 0..self.chance.between(1, 4) {
            let at = self.chance.below(self.configuration.tables.len());
            if self.configuration.tables[at].direction != "pull" {
                statements.extend(self.app_statement(at));
            }
        }
        self.app_runs(&before, &twice, &statements);
    }

    /// Runs statements of the app in a transaction, and records their changes.
    fn app_runs(&mut self, before: &[Rows], twice: &BTreeSet<(usize, Key)>, statements: &[String]) {
        let script = format!("BEGIN; {} COMMIT", statements.iter().map(|one| format!("{one}; ")).collect::<String>());
        let connection = self.world.host.connection.clone();
        let done = connection.exec(&script);
        self.log.push(format!(
            "app: {script}{}",
            done.as_ref().err().map(|error| format!(" -- {error}")).unwrap_or_default()
        ));
        if done.is_err() {
            if connection.in_transaction() {
                connection.exec("ROLLBACK").unwrap();
            }
            return;
        }
        for (at, after) in self.local().iter().enumerate() {
            self.ledger.note(at, Side::App, &before[at], after);
            // A row that was inserted and deleted before any push is no deletion.
            for key in before[at].keys().filter(|key| !after.contains_key(*key)) {
                if !self.entries().contains(&(at, key.clone())) {
                    self.ledger.give_up(at, key.clone());
                }
            }
        }
        // A cascade deleted one of two spellings; only the spelling of the remaining row shows whose values it has.
        for (at, key) in twice.difference(&self.here_twice()) {
            self.ledger.give_up(*at, key.clone());
        }
    }

    /// The rows that are here under two spellings of one key.
    fn here_twice(&self) -> BTreeSet<(usize, Key)> {
        let mut seen = BTreeSet::new();
        let tables = self.configuration.tables.iter().enumerate();
        let all = tables.flat_map(|(at, table)| local_keys(&self.world, table).into_iter().map(move |key| (at, key)));
        all.filter(|row| !seen.insert(row.clone())).collect()
    }

    fn app_statement(&mut self, at: usize) -> Option<String> {
        let table = self.configuration.tables[at].clone();
        let by_id = format!("SELECT rowid FROM {} ORDER BY rowid", table.name);
        let mut rows = self.world.host.connection.rows(&by_id, &[]).unwrap();
        if table.respelled {
            // Of a row that exists twice locally until its push, it is undefined which value was written last.
            let keys = local_keys(&self.world, &table);
            let mut of_row = keys.iter();
            rows.retain(|_| of_row.next().is_some_and(|key| keys.iter().filter(|other| *other == key).count() == 1));
        }
        let row = self.chance.pick(&rows).and_then(|row| row[0].as_integer());
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let made_here = |column: &Column| column.holds == Holds::Generated { here: true };
        let writable = |column: &&Column| {
            column.local && !matches!(column.holds, Holds::State | Holds::Visible) && !made_here(column)
        };
        match (self.chance.below(12), row) {
            (11, Some(_)) if self.features.has("many_updates") => {
                self.values += 1;
                let ids: Vec<String> =
                    rows.iter().filter_map(|row| row[0].as_integer()).map(|row| row.to_string()).collect();
                let (name, number, ids) = (&table.name, self.values, ids.join(", "));
                Some(format!("UPDATE {name} SET a = 'm{number} ' || rowid WHERE rowid IN ({ids})"))
            }
            (0..=3, Some(row)) => {
                let columns: Vec<&Column> = table.columns.iter().filter(writable).collect();
                let mut sets = Vec::new();
                for _ in 0..self.chance.between(1, 2) {
                    let column = *self.chance.pick(&columns)?;
                    sets.push(format!("{} = {}", quote(&column.name), self.app_value(column)));
                }
                if table.client_clock && table.cursor && self.chance.one_in(2) {
                    sets.push(format!("{CURSOR} = '2025-01-01T00:00:00Z'"));
                }
                Some(format!("UPDATE {} SET {} WHERE rowid = {row}", table.name, sets.join(", ")))
            }
            (4..=5, Some(row)) => Some(format!("DELETE FROM {} WHERE rowid = {row}", table.name)),
            (6, Some(_))
                if self.features.has("swapped_unique")
                    && rows.len() > 1
                    && table.columns.iter().any(|column| column.holds == Holds::Unique) =>
            {
                let (a, b) = (rows[0][0].as_integer()?, rows[1][0].as_integer()?);
                let of = |row: i64| format!("(SELECT u FROM {} WHERE rowid = {row})", table.name);
                let name = &table.name;
                Some(format!(
                    "CREATE TEMP TABLE swap AS SELECT {} a, {} b; UPDATE {name} SET u = NULL WHERE rowid = {a}; \
                     UPDATE {name} SET u = (SELECT a FROM swap) WHERE rowid = {b}; UPDATE {name} SET u = (SELECT b FROM swap) WHERE rowid = {a}; DROP TABLE swap",
                    of(a),
                    of(b)
                ))
            }
            (action, _) => {
                let number = self.chance.below(KEYS);
                let respelled = table.respelled && self.chance.one_in(2);
                let key = table.spell(number, respelled);
                let literal = |json: &String| {
                    if json.starts_with('"') { format!("'{}'", plain(json).replace('\'', "''")) } else { json.clone() }
                };
                let mut cells: Vec<(String, String)> =
                    key.iter().map(|(name, json)| (quote(name), literal(json))).collect();
                let known = local_rows(&self.world, &table)
                    .contains_key(&super::ledger::remote_key(&table, &table.key_row(number)));
                let same: Vec<String> = cells.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                let same = format!("SELECT 1 FROM {} WHERE {}", table.name, same.join(" AND "));
                // Apps don't create two rows that have the same key for the server.
                let name = super::ledger::remote_key(&table, &table.key_row(number));
                let deleted = !known && self.entries().contains(&(at, name));
                let again = table.respelled && (!self.fresh.insert((at, number)) || deleted);
                if again || known && self.world.host.connection.value(&same, &[]).unwrap().is_none() {
                    return None;
                }
                if action == 7 && !respelled && !known && self.features.has("moved_keys") {
                    let row = row?;
                    let sets: Vec<String> = cells.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                    return Some(format!("UPDATE {} SET {} WHERE rowid = {row}", table.name, sets.join(", ")));
                }
                for column in table.columns.iter().filter(|column| column.local && !made_here(column)) {
                    let needed = matches!(column.holds, Holds::State | Holds::Visible | Holds::Parent(_, true));
                    if needed || self.chance.below(4) > 0 {
                        cells.push((quote(&column.name), self.app_value(column)));
                    }
                }
                let or = if action == 8 && !respelled { " OR REPLACE" } else { "" };
                let (names, values): (Vec<String>, Vec<String>) = cells.into_iter().unzip();
                Some(format!("INSERT{or} INTO {}({}) VALUES ({})", table.name, names.join(", "), values.join(", ")))
            }
        }
    }

    /// A value as SQL.
    fn app_value(&mut self, column: &Column) -> String {
        if let Holds::Parent(parent, required) = column.holds {
            let parent = &self.configuration.tables[parent];
            let keys = self
                .world
                .host
                .connection
                .rows(&format!("SELECT \"{}\" FROM {}", parent.key[0].0.replace('"', "\"\""), parent.name), &[])
                .unwrap();
            let key = self.chance.pick(&keys).filter(|_| required || !self.chance.one_in(4));
            return match key.map(|row| &row[0]) {
                Some(Value::Integer(key)) => key.to_string(),
                Some(Value::Text(key)) => format!("'{}'", key.replace('\'', "''")),
                _ => "NULL".to_owned(),
            };
        }
        if column.holds == Holds::Visible {
            return "1".to_owned();
        }
        if column.holds != Holds::State && self.chance.one_in(8) {
            return "NULL".to_owned();
        }
        self.value(column.holds).map_or("NULL".to_owned(), |text| format!("'{text}'"))
    }

    fn begin_late(&mut self) {
        if self.features.has("late_commits") && self.late.len() < 2 {
            self.log.push(format!("{}: another client begins a transaction", self.world.server.now()));
            self.late.push(self.world.server.begin());
        }
    }

    fn other_writes(&mut self) {
        let now = self.world.server.now();
        let transaction = match self.chance.pick(&[true, false]) {
            // Only full reads find transactions that are open for longer than the overlap.
            Some(true) if self.late.last().is_some_and(|late| now.since(late.began()) < 45_000) => {
                self.late.pop().unwrap()
            }
            _ => self.world.server.begin(),
        };
        for _ in 0..self.chance.between(1, 3) {
            let at = self.chance.below(self.configuration.tables.len());
            self.other_write(at, &transaction);
        }
        self.world.server.end(transaction);
    }

    fn other_write(&mut self, at: usize, transaction: &Transaction) {
        let table = self.configuration.tables[at].clone();
        if table.direction == "push" {
            return;
        }
        let before = remote_rows(&self.world, &table);
        let key = table.key_row(self.chance.below(KEYS));
        let known = before.contains_key(&super::ledger::remote_key(&table, &key));
        let mut cells = Row::new();
        let name = super::ledger::remote_key(&table, &key);
        let removes = known
            && self.chance.one_in(3)
            && (self.features.has("early_deletions") || self.pulled.contains(&(at, name.clone())))
            && (self.features.has("deleted_parents") || !self.is_parent(at, &name));
        let done = if removes && !table.soft() {
            self.pulled.remove(&(at, name));
            self.world.server.delete_row(&table.remote, &key, transaction)
        } else {
            let columns: Vec<&Column> = table.columns.iter().filter(|column| column.remote).collect();
            for column in columns {
                if let Some(json) = self.other_value(&table, column).filter(|_| !known || self.chance.one_in(2)) {
                    cells.insert(column.name.clone(), json);
                }
            }
            if let Deleted::Marked { flag } = table.deleted {
                let mark = if flag { "true" } else { "\"2026-01-01T00:00:00+00:00\"" };
                let none = if flag { "false" } else { "null" };
                cells.insert(MARK.to_owned(), if removes { mark } else { none }.to_owned());
            }
            let infinite = !table.stamped && self.features.has("infinite_cursors") && self.chance.one_in(6);
            if infinite {
                cells.insert(CURSOR.to_owned(), string("infinity"));
            }
            let by_hand = (!table.stamped && !infinite).then_some(CURSOR);
            self.world.server.write_row(&table.remote, &key, &cells, by_hand, transaction)
        };
        let what = if done { "" } else { " -- refused" };
        self.log.push(format!(
            "other: {} {} {} {}{what}",
            table.name,
            if removes { "removes" } else { "writes" },
            show(&key),
            show(&cells)
        ));
        self.ledger.note(at, Side::Other, &before, &remote_rows(&self.world, &table));
    }

    fn other_value(&mut self, table: &Table, column: &Column) -> Option<String> {
        match column.holds {
            Holds::Parent(parent, required) => {
                let parent = &self.configuration.tables[parent];
                let rows = self.world.server.rows(&parent.remote);
                let row = self.chance.pick(&rows).filter(|_| required || !self.chance.one_in(4));
                row.map(|row| row[&parent.key[0].0].clone())
            }
            Holds::Generated { .. } => None,
            Holds::Visible => Some(if self.chance.one_in(5) { "false" } else { "true" }.to_owned()),
            Holds::State => {
                // A row that leaves is found where vanished ones are looked for.
                let leaves = table.deleted == Deleted::Compare || self.features.has("leaving_filter");
                let done = leaves && self.chance.one_in(4);
                Some(string(if done { "done" } else { "open" }))
            }
            Holds::Required => self.value(column.holds).map(|text| string(&text)),
            _ if self.chance.one_in(8) => Some("null".to_owned()),
            Holds::Integer | Holds::Rounded => self.value(column.holds),
            Holds::Text => {
                self.values += 1;
                Some(format!("\"r{}\"", self.values))
            }
            _ => self.value(column.holds).map(|text| string(&text)),
        }
    }

    /// The app writes, its push gets no answer in time, and it changes one of these rows again while the server may still
    /// execute the push.
    fn abandon(&mut self) {
        self.app_writes();
        let late = (0..=self.configuration.retries).map(|_| Fault::Late(self.chance.between(1, 6))).collect();
        let _ = self.call(&Call::Push, late, None);
        let (before, twice) = (self.local(), self.here_twice());
        let pending = entries::pending(&self.world.host.connection).unwrap();
        let Some(change) = self.chance.pick(&pending) else { return };
        let at = self.configuration.tables.iter().position(|table| table.name == change.table).unwrap();
        let literal = |value: &Value| match value {
            Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Value::Integer(number) => number.to_string(),
            _ => "NULL".to_owned(),
        };
        let key =
            change.key.iter().map(|(name, value)| format!("\"{}\" = {}", name.replace('"', "\"\""), literal(value)));
        let row = key.collect::<Vec<_>>().join(" AND ");
        self.values += 1;
        let statement = match self.chance.one_in(2) {
            true => format!("DELETE FROM {} WHERE {row}", change.table),
            false => format!("UPDATE {} SET a = 'l{}' WHERE {row}", change.table, self.values),
        };
        self.abandoned.insert(self.row_of(&change.table, &change.key));
        let unclear = twice.iter().any(|(table, _)| *table == at);
        if !unclear {
            self.app_runs(&before, &twice, &[statement]);
        }
        let _ = self.call(&Call::Push, vec![], None);
    }

    fn wait(&mut self) {
        let ms = self.chance.below(90_000) as u64;
        self.log.push(format!("wait {ms} ms"));
        self.world.sim.advance(ms);
    }

    fn reopen(&mut self) {
        if self.chance.one_in(2) {
            self.configuration.page_size = self.chance.between(1, 20);
            let at = self.chance.below(self.configuration.tables.len());
            let table = &mut self.configuration.tables[at];
            if table.deleted == Deleted::Stays && self.features.has("compare_later") {
                table.deleted = Deleted::Compare;
            }
        }
        self.change_filters(false);
        if self.features.has("migrated_types") && self.chance.one_in(2) {
            self.migrate();
        }
        let remote = self.configuration.remote();
        self.log.push(format!("reopen: {remote}"));
        self.world.reopen(&remote);
    }

    /// Changes filters: the results of functions, or the filters of the options.
    fn change_filters(&mut self, by_function: bool) {
        for table in &mut self.configuration.tables {
            let may_change = table.has_state() && table.filter_function == by_function;
            if may_change && self.features.has("changing_filter") && self.chance.one_in(3) {
                table.filter = [None, Some("open"), Some("done")][self.chance.below(3)];
                table.was_unfiltered |= table.filter.is_none();
                self.log.push(format!("{}: the filter is {:?}", table.name, table.filter));
            }
        }
        self.tell_filters();
    }

    /// Sets the results of the filter functions from now on.
    fn tell_filters(&self) {
        let mut filters = self.world.host.filters.borrow_mut();
        for table in self.configuration.tables.iter().filter(|table| table.filter_function) {
            let mut filter = Map::default();
            table.filter.map(|state| filter.insert(STATE.to_owned(), format!("eq.{state}")));
            filters.insert(table.name.clone(), Ok(filter));
        }
    }

    fn decide(&mut self) {
        let rejected = entries::rejected(&self.world.host.connection).unwrap();
        let Some(change) = self.chance.pick(&rejected) else { return };
        if change.reason.map(|reason| reason.as_str()) != Some("unapplied") && self.chance.one_in(2) {
            let at = self.configuration.tables.iter().position(|table| table.name == change.table).unwrap();
            if self.trouble.as_ref() == Some(&self.configuration.tables[at].remote) {
                // Discarding takes the remote's row.
                return;
            }
            let value = |name: &str| change.key.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            let key = super::ledger::key_of(&self.configuration.tables[at], value);
            self.log.push(format!("discard {} {:?}", change.table, change.key));
            self.ledger.give_up(at, key);
            let result = self.world.discard(change.id);
            assert!(result.is_ok(), "discard leads out: {result:?}");
        } else {
            self.log.push(format!("retry {} {:?}", change.table, change.key));
            self.world.retry(change.id);
        }
    }

    fn deploy(&mut self) {
        let at = self.chance.below(self.configuration.tables.len());
        let table = &mut self.configuration.tables[at];
        let named = |name: &str| table.named.as_ref().is_some_and(|named| named.iter().any(|known| known == name));
        let optional: Vec<usize> = (0..table.columns.len())
            .filter(|index| table.columns[*index].holds == Holds::Text && !named(&table.columns[*index].name))
            .collect();
        let Some(index) = self.chance.pick(&optional).copied() else { return };
        let renames = self.chance.one_in(3);
        let Column { name, remote: there, .. } = table.columns[index].clone();
        if !there && self.features.has("added_columns") {
            table.columns[index].remote = true;
            self.world.server.alter(&table.remote, |rules, rows| {
                rules.columns.push(name.clone());
                rows.iter_mut().for_each(|row| _ = row.insert(name.clone(), "null".to_owned()));
            });
            self.log.push(format!("deploy: {}.{name} is there", table.remote));
        } else if there
            && name != "renamed"
            && self.features.has(if renames { "renamed_columns" } else { "dropped_columns" })
        {
            table.columns[index].remote = false;
            let again = renames && table.columns.iter().all(|column| column.name != "renamed");
            if again {
                table.columns.push(Column {
                    name: "renamed".to_owned(),
                    holds: Holds::Text,
                    local: false,
                    remote: true,
                });
            }
            self.world.server.alter(&table.remote, |rules, rows| {
                rules.columns.retain(|column| *column != name);
                rules.columns.extend(again.then(|| "renamed".to_owned()));
                for row in rows {
                    let value = row.remove(&name).unwrap();
                    row.extend(again.then(|| ("renamed".to_owned(), value)));
                }
            });
            self.log.push(format!("deploy: {}.{name} is {}", table.remote, if again { "renamed" } else { "gone" }));
        } else {
            return;
        }
        self.ledger.deploy(at, &name);
    }

    fn faults(&mut self) -> Vec<Fault> {
        if !self.features.has("faults") || self.chance.one_in(2) {
            return vec![];
        }
        (0..self.chance.between(1, 5)).map(|_| self.fault()).collect()
    }

    fn fault(&mut self) -> Fault {
        let html = |status| {
            Fault::Status(status, vec![("content-type", "text/html".to_owned())], "<html>no</html>".to_owned())
        };
        match self.chance.below(16) {
            0 => Fault::Drop,
            1 => Fault::Timeout,
            2 if self.features.has("cut_refusals") => Fault::Cut(0.7),
            2 => Fault::CutRows(0.7),
            3 => Fault::Status(429, vec![("retry-after", "2".to_owned())], String::new()),
            4 => Fault::Status(500, vec![], r#"{"code":"57014","message":"canceling statement"}"#.to_owned()),
            5 => Fault::Status(503, vec![], String::new()),
            6 => Fault::Status(500, vec![], "{}".to_owned()),
            7 if self.features.has("too_large") => Fault::Status(413, vec![], String::new()),
            8 | 9 if self.features.has("lost_answers") => Fault::Lost,
            10 if self.features.has("html_refusals") => {
                html([400, 402, 403, 405, 409, 410, 414, 451][self.chance.below(8)])
            }
            11 if self.features.has("late_requests") => Fault::Late(self.chance.between(1, 8)),
            _ => Fault::None,
        }
    }

    /// The server begins to fail at all requests about a table, or is repaired. A pull is cut between two tables by what is in the way
    /// of all.
    fn trouble(&mut self) {
        if self.trouble.is_some() {
            return self.end_trouble();
        }
        let table = self.configuration.tables[self.chance.below(self.configuration.tables.len())].remote.clone();
        let status = |status, body: &str| Fault::Status(status, vec![], body.to_owned());
        let faults = [
            status(500, r#"{"code":"XX000","message":"a trigger broke"}"#),
            status(500, r#"{"code":"57014","message":"canceling statement"}"#),
            status(404, r#"{"code":"PGRST205","message":"Could not find the table"}"#),
            status(503, ""),
            Fault::Timeout,
            Fault::Drop,
            Fault::Lost,
        ];
        let fault = faults[self.chance.below(faults.len())].clone();
        self.log.push(format!("the server fails at {table}: {fault:?}"));
        self.world.server.trouble(&table, Some(fault));
        self.trouble = Some(table);
    }

    fn end_trouble(&mut self) {
        if let Some(table) = self.trouble.take() {
            self.log.push(format!("the server fails at {table} no more"));
            self.world.server.trouble(&table, None);
        }
    }

    fn sync(&mut self) {
        self.change_filters(true);
        let faults = self.faults();
        let aborted = (self.features.has("kills") && self.chance.one_in(5)).then(|| self.chance.below(400) as u64);
        let call = if self.chance.one_in(2) { Call::Push } else { Call::Pull(self.pull_options()) };
        let _ = self.call(&call, faults, aborted);
    }

    fn pull_options(&mut self) -> String {
        let mut parts = vec![format!(r#""allowEmpty":{}"#, !self.chance.one_in(3))];
        match self.chance.below(8) {
            0 => parts.push(r#""full":true"#.to_owned()),
            1 => {
                let table = &self.configuration.tables[self.chance.below(self.configuration.tables.len())];
                if table.direction != "push" {
                    parts.push(format!(r#""tables":["{}"]"#, table.name));
                }
            }
            2 if self.features.has("replace") => {
                parts.push(r#""mode":"replace""#.to_owned());
                // A row that the server makes meanwhile is there, whatever became of it here.
                self.abandoned.clone().into_iter().for_each(|(at, key)| self.ledger.give_up(at, key));
                if self.chance.one_in(2) {
                    parts.push(r#""discardUnpushed":true"#.to_owned());
                    let entries: BTreeSet<_> = self.entries();
                    entries.into_iter().for_each(|(at, key)| self.ledger.give_up(at, key));
                }
            }
            _ => {}
        }
        format!("{{{}}}", parts.join(","))
    }

    /// Calls the sync; `None` if it was aborted. In every case it must leave a consistent state.
    pub fn call(&mut self, call: &Call, faults: Vec<Fault>, aborted: Option<u64>) -> Option<Result<()>> {
        // Each page or change of the table may be tried in vain.
        let in_vain = if self.trouble.is_some() { 4 * (self.configuration.retries + 1) } else { 0 };
        let ceiling = self.ceiling(call, faults.len() + in_vain);
        let kinds: Vec<String> = faults.iter().map(|fault| format!("{fault:?}")).collect();
        faults.into_iter().for_each(|fault| self.world.server.fault(fault));
        self.world.server.take_requests();
        let (sync, host, clock) = (self.world.sync.clone(), self.world.host.clone(), self.world.sim.platform().clock);
        let options = match call {
            Call::Push => None,
            Call::Pull(options) => Some(options.clone()),
        };
        let limit = clock.sleep(aborted.unwrap_or(FOREVER_MS));
        let result = self.world.sim.run(async move {
            let work = async move {
                match options {
                    None => sync.push(&*host, None).await.map(|_| ()),
                    Some(options) => sync.pull(&*host, serde_json::from_str(&options).unwrap(), None).await.map(|_| ()),
                }
            };
            match select(Box::pin(work), limit).await {
                Either::Left((result, _)) => Some(result),
                Either::Right(_) => None,
            }
        });
        if let (Call::Pull(options), Some(Ok(()))) = (call, &result)
            && !options.contains("tables")
        {
            let all = self.remote().into_iter().enumerate();
            self.pulled.extend(all.flat_map(|(at, rows)| rows.into_keys().map(move |key| (at, key))));
        }
        let sent = self.world.server.take_requests().len();
        let name = match call {
            Call::Push => "push",
            Call::Pull(options) => &format!("pull {options}"),
        };
        let shown = match &result {
            None => "aborted".to_owned(),
            Some(Ok(())) => "done".to_owned(),
            Some(Err(error)) => format!("{}: {}", error.code, error.message),
        };
        self.log.push(format!("{}: {name} {} -> {shown} ({sent} requests)", self.world.server.now(), kinds.join(" ")));
        self.log.extend(self.world.outbox().into_iter().map(|entry| format!("    {entry}")));
        self.world.server.clear_faults();
        assert!(aborted.is_some() || result.is_some(), "it never ends");
        assert!(sent <= ceiling, "{sent} requests, {ceiling} at most");
        assert!(!self.world.host.connection.in_transaction());
        assert!(self.world.host.connection.foreign_key_check(usize::MAX).unwrap().is_empty());
        if let Some(Err(error)) = &result {
            let code = error.code.to_string();
            // A replace is all or nothing: rows whose parents the server doesn't show refuse it.
            let whole = matches!(call, Call::Pull(options) if options.contains("replace"));
            let known = CODES.contains(&code.as_str()) || whole && code == "sqlite_constraint";
            assert!(known || code.starts_with("sync_"), "an error of the sync: {error:?}");
        }
        result
    }

    /// So many requests do for a call: a few for each table, page, change and fault.
    fn ceiling(&self, call: &Call, faults: usize) -> usize {
        let page = self.configuration.page_size.min(self.configuration.max_rows);
        let tables = self.configuration.tables.len();
        let rows: usize =
            self.configuration.tables.iter().map(|table| self.world.server.rows(&table.remote).len()).sum();
        let pages = if faults == 0 { rows / page } else { rows };
        let changes = self.world.outbox().len();
        3 * match call {
            Call::Push => 4 + 6 * tables + 8 * changes + 4 * faults,
            Call::Pull(_) => 4 + 16 * tables + 4 * pages + 4 * changes + 4 * faults,
        }
    }
}
