//! The ledger of all writes: the rows of both sides, and each value that the app or another client ever wrote.

use std::collections::{BTreeMap, BTreeSet};

use tidelock::Value;

use super::configuration::{Access, CURSOR, Column, Configuration, Holds, MARK, STATE, Table, appended};
use crate::{
    sync::host::World,
    sync::model::{
        Row,
        values::{Kind, plain, string},
    },
};

/// A row's key, as the server spells it.
pub type Key = String;
/// Column and value, as the server spells it; `None` is NULL.
pub type Cells = BTreeMap<String, Option<String>>;
pub type Rows = BTreeMap<Key, Cells>;

/// The value as the server would keep it.
fn kept(table: &Table, name: &str, text: String) -> String {
    let Some(column) = table.columns.iter().find(|column| column.name == name) else { return text };
    match column.holds {
        Holds::Lowered => text.to_lowercase(),
        Holds::Trimmed => text.trim().to_owned(),
        Holds::Appended => appended(&text),
        Holds::Rounded => Kind::Numeric(2).store(&text).unwrap_or(text),
        Holds::Visible => text.replace('1', "true").replace('0', "false"),
        _ => text,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Integer(value) => Some(value.to_string()),
        Value::Real(value) => Some(value.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::Blob(bytes) => Some(format!("{bytes:02x?}")),
    }
}

/// The values of a key, whatever their spelling, as one text.
pub fn key_of<'a>(table: &Table, mut value: impl FnMut(&str) -> Option<&'a Value>) -> Key {
    let parts = table.key.iter().map(|(name, kind)| {
        let text = value(name).and_then(text).unwrap_or_default();
        kind.store(&string(&text)).map_or(text, |json| plain(&json))
    });
    parts.collect::<Vec<_>>().join("|")
}

pub fn remote_key(table: &Table, row: &Row) -> Key {
    table.key.iter().map(|(name, _)| plain(&row[name])).collect::<Vec<_>>().join("|")
}

/// The rows by their keys; one of several that the server takes for the same.
pub fn local_rows(world: &World, table: &Table) -> Rows {
    read_local(world, table).into_iter().collect()
}

/// The keys of all rows.
pub fn local_keys(world: &World, table: &Table) -> Vec<Key> {
    read_local(world, table).into_iter().map(|(key, _)| key).collect()
}

/// Returns the local rows in their order, also two whose keys are one to the server.
pub fn read_local(world: &World, table: &Table) -> Vec<(Key, Cells)> {
    let columns =
        world.host.connection.rows(&format!("SELECT name FROM pragma_table_xinfo('{}')", table.name), &[]).unwrap();
    let columns: Vec<&str> = columns.iter().map(|row| row[0].as_text().unwrap()).collect();
    let rows = world.host.connection.rows(&format!("SELECT * FROM {} ORDER BY rowid", table.name), &[]).unwrap();
    let read = |row: &Vec<Value>| {
        let at = |name: &str| row.get(columns.iter().position(|column| *column == name)?);
        let cells = columns.iter().filter(|name| table.key.iter().all(|(key, _)| key != *name));
        let cells = cells.map(|name| {
            let holds = table.columns.iter().find(|column| column.name == *name).map(|column| column.holds);
            let value = at(name).and_then(text).map(|text| match holds {
                Some(Holds::Parent(..)) => world.server.spelled(&table.remote, name, &text),
                _ => kept(table, name, text),
            });
            ((*name).to_owned(), value)
        });
        (key_of(table, at), cells.collect())
    };
    rows.iter().map(read).collect()
}

pub fn remote_rows(world: &World, table: &Table) -> Rows {
    let rows = world.server.rows(&table.remote);
    let read = |row: &Row| {
        let cells = row.iter().filter(|(name, _)| table.key.iter().all(|(key, _)| key != *name));
        let cells = cells.map(|(name, json)| (name.clone(), (json != "null").then(|| plain(json)))).collect();
        (remote_key(table, row), cells)
    };
    rows.iter().map(read).collect()
}

/// Whether a pull is to bring this remote row.
pub fn is_wanted(table: &Table, cells: &Cells) -> bool {
    let is = |name: &str, value: &str| cells.get(name).is_some_and(|cell| cell.as_deref() == Some(value));
    let marked = table.soft() && cells[MARK].as_deref().is_some_and(|mark| mark != "false");
    let filtered = table.filter.is_some_and(|state| !is(STATE, state));
    !marked && !filtered && !is("seen", "false")
}

/// Whether a column is synced: both sides have it, and the options name it.
pub fn is_synced(table: &Table, name: &str) -> bool {
    if name == CURSOR {
        return table.cursor && !table.client_clock && table.named.is_none();
    }
    let here = |column: &Column| column.holds == Holds::Generated { here: true };
    let named = table.named.as_ref().is_none_or(|named| named.iter().any(|known| known == name));
    named && table.columns.iter().any(|column| column.name == name && column.local && column.remote && !here(column))
}

/// Whether only the server writes a column.
fn is_generated(table: &Table, name: &str) -> bool {
    table.columns.iter().any(|column| column.name == name && matches!(column.holds, Holds::Generated { .. }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    App,
    Other,
}

#[derive(Clone, Debug)]
struct Write {
    at: usize,
    side: Side,
    value: Option<String>,
}

/// Whether the app has undone its change by this write. Then there is no change, and the value of another client stays: one written
/// meanwhile, or one that waits for its parent since the change before was discarded.
fn gives_back(writes: &[Write], row: &[Whole], last: &Write, discarded: Option<&usize>) -> bool {
    let Some(same) = writes.iter().find(|write| write.value == last.value) else { return false };
    let meanwhile = |side: Side, at: usize| side == Side::Other && (same.at..last.at).contains(&at);
    discarded.is_some_and(|at| (same.at..last.at).contains(at))
        || writes.iter().any(|write| meanwhile(write.side, write.at))
        || row.iter().any(|whole| !whole.inserted && meanwhile(whole.side, whole.at))
}

/// The insert or deletion of a whole row.
#[derive(Clone, Debug)]
struct Whole {
    at: usize,
    side: Side,
    inserted: bool,
}

#[derive(Default)]
pub struct Ledger {
    at: usize,
    cells: BTreeMap<(usize, Key, String), Vec<Write>>,
    rows: BTreeMap<(usize, Key), Vec<Whole>>,
    /// Rows whose local changes were discarded on purpose.
    void: BTreeMap<(usize, Key), usize>,
    /// When a column of the remote was dropped or added.
    deployed: BTreeMap<(usize, String), usize>,
    /// Columns that were dropped and added again.
    anew: BTreeSet<(usize, String)>,
}

impl Ledger {
    /// Records the changes between two states of a table.
    pub fn note(&mut self, table: usize, side: Side, before: &Rows, after: &Rows) {
        self.at += 1;
        let at = self.at;
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            self.rows.entry((table, key.clone())).or_default().push(Whole { at, side, inserted: false });
        }
        for (key, cells) in after {
            let known = before.get(key);
            if known.is_none() {
                self.rows.entry((table, key.clone())).or_default().push(Whole { at, side, inserted: true });
            }
            for (name, value) in cells {
                if known.and_then(|known| known.get(name)) != Some(value) {
                    let write = Write { at, side, value: value.clone() };
                    self.cells.entry((table, key.clone(), name.clone())).or_default().push(write);
                }
            }
        }
    }

    pub fn deploy(&mut self, table: usize, column: &str) {
        self.at += 1;
        if self.deployed.insert((table, column.to_owned()), self.at).is_some() {
            self.anew.insert((table, column.to_owned()));
        }
    }

    pub fn any_deployed(&self) -> bool {
        !self.deployed.is_empty()
    }

    /// Whether a column was dropped and added again.
    pub fn is_anew(&self, table: usize, column: &str) -> bool {
        self.anew.contains(&(table, column.to_owned()))
    }

    pub fn give_up(&mut self, table: usize, key: Key) {
        self.at += 1;
        self.void.insert((table, key), self.at);
    }

    /// Whether the app wrote a value that the server alters into a row that it deleted then.
    fn is_altered(&self, table: &Table, at: usize, key: &Key, then: usize) -> bool {
        table.columns.iter().filter(|column| column.holds == Holds::Appended).any(|column| {
            let writes = self.cells.get(&(at, key.clone(), column.name.clone()));
            writes.into_iter().flatten().any(|write| write.at < then && write.value.is_some())
        })
    }

    /// Each change of the app has arrived, waits, was decided upon, or came before a change of another client.
    pub fn nothing_is_lost(
        &self,
        configuration: &Configuration,
        remote: &[Rows],
        accounted: &dyn Fn(usize, &Key) -> bool,
    ) {
        for ((at, key), whole) in &self.rows {
            let table = &configuration.tables[*at];
            let last = whole.iter().rfind(|one| one.side == Side::App);
            let Some(last) = last.filter(|last| !last.inserted && table.direction != "pull") else { continue };
            // A row of ours that never arrived, and another one under its key: that one stays.
            let made = whole.iter().find(|one| one.side == Side::App && one.inserted && one.at < last.at);
            // Nor is it known again once a push has sent one of its columns.
            let altered = |made: &Whole| self.deployed.iter().any(|((table, _), when)| table == at && *when > made.at);
            if made.is_some_and(altered) {
                continue;
            }
            // A pull took the row away, since it left the filter, and the app made another one under its key.
            let mut own = whole.iter().filter(|one| one.side == Side::App && one.at < last.at).rev();
            if own.next().is_some_and(|one| one.inserted) && own.next().is_some_and(|one| one.inserted) {
                continue;
            }
            let made = if made.is_some() { 0 } else { last.at };
            let later = self.wrote_since(Side::Other, *at, key, made) || self.wrote_since(Side::App, *at, key, last.at);
            if later || self.gave_up_since(*at, key, last.at) || accounted(*at, key) {
                continue;
            }
            // Nor is a late new row of which the server altered a value.
            if self.is_altered(table, *at, key, last.at) {
                continue;
            }
            let there = remote[*at].get(key).is_some_and(|cells| is_wanted(table, cells));
            assert!(!there, "lost: {} {key} was deleted here and is still there", table.name);
        }
        for ((at, key, name), writes) in &self.cells {
            let table = &configuration.tables[*at];
            if !is_synced(table, name) || name == CURSOR || table.direction == "pull" || is_generated(table, name) {
                continue;
            }
            let Some(last) = writes.iter().rfind(|write| write.side == Side::App) else { continue };
            let row = self.rows.get(&(*at, key.clone())).map_or(&[][..], Vec::as_slice);
            let gone = row.iter().rfind(|one| one.side == Side::App);
            let gone = gone.is_some_and(|whole| !whole.inserted && whole.at >= last.at);
            // In a push-only table, "there is a row with this key" may refer to the new row, whose answer was lost, or to the row
            // that was marked as deleted before, or whose deletion the remote refused.
            let stayed = table.soft() || table.access == Access::InsertOnly;
            let stayed = stayed && row.iter().any(|one| one.side == Side::App && !one.inserted);
            let stayed = stayed && table.direction == "push";
            let redeployed = self.deployed.get(&(*at, name.clone())).is_some_and(|deployed| *deployed > last.at);
            let given_up = self.gave_up_since(*at, key, last.at) || accounted(*at, key);
            if gone
                || stayed
                || redeployed
                || given_up
                || last.value.is_none()
                || gives_back(writes, row, last, self.void.get(&(*at, key.clone())))
                || self.wrote_since(Side::Other, *at, key, last.at)
            {
                continue;
            }
            let there = remote[*at].get(key).and_then(|cells| cells.get(name)).cloned().flatten();
            assert_eq!(there, last.value, "lost: {} {key} {name} was written here", table.name);
        }
    }

    /// Checks that each value of the remote is one that the app or a client wrote there last.
    pub fn nothing_is_made_up(
        &self,
        configuration: &Configuration,
        remote: &[Rows],
        accounted: &dyn Fn(usize, &Key) -> bool,
    ) {
        for (at, rows) in remote.iter().enumerate() {
            let table = &configuration.tables[at];
            for (key, cells) in rows {
                let counts = |name: &str| is_synced(table, name) && name != CURSOR && !is_generated(table, name);
                for (name, value) in cells.iter().filter(|(name, _)| counts(name)) {
                    let writes = self.cells.get(&(at, key.clone(), name.clone())).map_or(&[][..], Vec::as_slice);
                    let last = writes.iter().rfind(|write| write.side == Side::Other);
                    let by_app = writes.iter().any(|write| write.side == Side::App && write.value == *value);
                    let by_other = last.is_some_and(|write| write.value == *value);
                    // A new row of the app has the server's defaults.
                    let by_default = writes.iter().any(|write| write.side == Side::App && write.value.is_none())
                        || writes.is_empty();
                    // A reference in a cycle is sent after its row, and waits for a parent that was refused.
                    let withheld =
                        value.is_none() && accounted(at, key) && matches!(table.column(name).holds, Holds::Parent(..));
                    // A function may decide for a whole row of the app, with what others wrote into it before.
                    let by_function = table.conflict == "function"
                        && accounted(at, key)
                        && writes.iter().any(|write| write.value == *value);
                    // A row that others deleted comes back whole, as it was here, once its change is retried.
                    let mut of_row = self.rows.get(&(at, key.clone())).into_iter().flatten();
                    let deleted =
                        of_row.any(|one| one.side == Side::Other && !one.inserted) || self.was_marked(at, key);
                    let made_again = deleted && writes.iter().any(|write| write.value == *value);
                    let deployed = self.deployed.contains_key(&(at, name.clone()));
                    // A reference is NULL as long as the parent of a new row is refused, and where rows to be deleted refer to
                    // each other. A unique value is NULL where rows exchanged theirs, until one of them was marked as deleted, or
                    // until that is reported: its deletion was refused, or a conflict was decided for the remote's row meanwhile.
                    let mut whole = self.rows.get(&(at, key.clone())).into_iter().flatten();
                    let lets_go = match table.column(name).holds {
                        Holds::Parent(..) => whole.any(|one| one.side == Side::App),
                        Holds::Unique => {
                            accounted(at, key)
                                || table.soft() && whole.any(|one| one.side == Side::App && !one.inserted)
                        }
                        _ => false,
                    };
                    let opened = value.is_none() && lets_go;
                    assert!(
                        opened || by_app || by_other || by_default || by_function || made_again || withheld || deployed,
                        "{} {key} {name} is {value:?} remotely, which nobody wrote there last: {writes:?}",
                        table.name
                    );
                }
            }
        }
    }

    /// Whether others have ever marked a row as deleted.
    fn was_marked(&self, table: usize, key: &Key) -> bool {
        let writes = self.cells.get(&(table, key.clone(), MARK.to_owned()));
        let marks = |write: &Write| write.value.as_deref().is_some_and(|value| value != "false");
        writes.into_iter().flatten().any(|write| write.side == Side::Other && marks(write))
    }

    fn gave_up_since(&self, table: usize, key: &Key, since: usize) -> bool {
        self.void.get(&(table, key.clone())).is_some_and(|at| *at >= since)
    }

    pub fn other_ever(&self, table: usize, key: &Key) -> bool {
        self.wrote_since(Side::Other, table, key, 0)
    }

    pub fn wrote_since(&self, side: Side, table: usize, key: &Key, since: usize) -> bool {
        let whole = self
            .rows
            .get(&(table, key.clone()))
            .is_some_and(|whole| whole.iter().any(|one| one.side == side && one.at > since));
        let first = (table, key.clone(), String::new());
        let of_row = self.cells.range(first..).take_while(|((at, known, _), _)| *at == table && known == key);
        whole || of_row.flat_map(|(_, writes)| writes).any(|write| write.side == side && write.at > since)
    }
}
