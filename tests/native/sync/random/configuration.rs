//! Random schemas and options of both sides, and random behaviour of the server.

use std::{collections::BTreeMap, fmt, rc::Rc};

use tidelock::ports::Method;

use super::{chance::Chance, features::Features};
use crate::{
    sync::model::{
        Row, Server,
        values::{Kind, plain, string},
    },
    sync::model_writes::{NOW, Rules},
};

/// How many keys a table can have.
pub const KEYS: usize = 14;
const ODD_NAMES: &[&str] =
    &["order", "select", "and", "or", "limit", "offset", "columns", "on_conflict", "not", "a b", "x\"y", "in", "Id"];

/// The values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Text,
    Integer,
    Unique,
    /// NOT NULL on the server, with a default.
    Required,
    /// A trigger makes it lower case.
    Lowered,
    /// A trigger trims it.
    Trimmed,
    /// A trigger appends to it.
    Appended,
    /// The server keeps two digits.
    Rounded,
    /// The server makes it of `n`; the local table makes it, too, or is free to hold anything.
    Generated {
        here: bool,
    },
    /// Refers to the rows of a table; NOT NULL or not.
    Parent(usize, bool),
    /// The column of the filter, with `open` or `done`.
    State,
    /// Rows where it is false are hidden by row security.
    Visible,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub holds: Holds,
    pub local: bool,
    pub remote: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    Stays,
    Compare,
    Marked { flag: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    All,
    InsertOnly,
    ReadOnly,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub remote: String,
    pub key: Vec<(String, Kind)>,
    pub respelled: bool,
    /// The type that the local schema declares for whole numbers.
    pub integers: &'static str,
    pub columns: Vec<Column>,
    /// The columns that the options name.
    pub named: Option<Vec<String>>,
    pub cursor: bool,
    /// Whether a trigger stamps it; else other clients do.
    pub stamped: bool,
    /// The trigger sets a time without a time zone, so many hours later than that of UTC.
    pub zone: Option<i64>,
    pub client_clock: bool,
    /// Whether the cursor may be sent.
    pub client_clock_counts: bool,
    pub deleted: Deleted,
    pub direction: &'static str,
    pub access: Access,
    /// The state that the filter shows now.
    pub filter: Option<&'static str>,
    /// Whether there ever was no filter.
    pub was_unfiltered: bool,
    /// Whether a function gives the filter; else the options do.
    pub filter_function: bool,
    pub conflict: &'static str,
    pub cascade: bool,
    /// Whether foreign keys are checked at the commit.
    pub deferred: bool,
    pub helped: bool,
}

/// Returns a text as the trigger of [`Holds::Appended`] stores it.
pub fn appended(text: &str) -> String {
    if text.ends_with('!') { text.to_owned() } else { format!("{text}!") }
}

pub const CURSOR: &str = "updated_at";
pub const MARK: &str = "deleted_at";
pub const STATE: &str = "state";

pub struct Configuration {
    pub tables: Vec<Table>,
    pub page_size: usize,
    pub max_rows: usize,
    pub retries: usize,
    pub bare_root: bool,
    pub helped: bool,
    /// Rows on which a trigger of the server breaks, and others that a firewall blocks, by their value of `a`, until both are
    /// repaired.
    pub breaking: bool,
}

impl Configuration {
    pub fn draw(chance: &Chance, features: &Features) -> Self {
        let draw = Draw { chance, features };
        let count = if draw.on("tables", 4, 5) { chance.between(1, 6) } else { 1 };
        let helped = draw.on("helpers", 1, 3);
        let mut tables: Vec<Table> = (0..count).map(|at| draw.table(at, helped)).collect();
        draw.parents(&mut tables);
        let mut configuration = Self {
            tables,
            page_size: if draw.on("small_pages", 1, 2) { chance.between(1, 12) } else { 1000 },
            max_rows: if draw.on("small_caps", 1, 2) { chance.between(1, 12) } else { 1000 },
            retries: chance.between(0, 3),
            bare_root: draw.on("bare_root", 1, 4),
            helped,
            breaking: draw.on("breaking_rows", 1, 4),
        };
        draw.names(&mut configuration.tables);
        draw.zones(&mut configuration.tables);
        configuration
    }

    /// The local schema.
    pub fn schema(&self) -> String {
        self.tables.iter().map(|table| table.schema(&self.tables)).collect::<Vec<_>>().join(";\n")
    }

    /// The `remote` option.
    pub fn remote(&self) -> String {
        let tables: Vec<String> = self.tables.iter().map(Table::options).collect();
        let root = if self.bare_root { "" } else { "/rest/v1" };
        format!(
            r#"{{"url":"http://server{root}","key":"k","pageSize":{},"retries":{},"tables":[{}]}}"#,
            self.page_size,
            self.retries,
            tables.join(",\n  ")
        )
    }

    /// The server with all this.
    pub fn server(&self, clock: Rc<dyn tidelock::ports::Clock>) -> Server {
        let server = Server::under(clock, if self.bare_root { "/" } else { "/rest/v1/" });
        server.max_rows(self.max_rows);
        for table in &self.tables {
            let columns: Vec<String> = table.remote_columns();
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            server.define(&table.remote, &columns, table.rules(&self.tables, self.breaking));
        }
        for table in self.tables.iter().filter(|table| table.helped) {
            server.install_helpers(&table.remote);
        }
        server
    }

    /// Whether rows that were deleted remotely may stay: no deletions are looked for, or remaining rows refer to them.
    pub fn keeps_deleted(&self, at: usize) -> bool {
        self.keeps(at, self.tables.len())
    }

    fn keeps(&self, at: usize, depth: usize) -> bool {
        let table = &self.tables[at];
        let children = |holds: Holds| matches!(holds, Holds::Parent(parent, _) if parent == at);
        (table.deleted == Deleted::Stays && !table.helped)
            || table.direction == "push"
            || depth > 0
                && (0..self.tables.len()).any(|child| {
                    child != at
                        && self.tables[child].columns.iter().any(|column| children(column.holds))
                        && self.keeps(child, depth - 1)
                })
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "remote: {}", self.remote())?;
        writeln!(f, "{};", self.schema())?;
        writeln!(f, "server: max_rows {}, helpers {}, breaking {}", self.max_rows, self.helped, self.breaking)?;
        for table in &self.tables {
            let Table { remote, stamped, zone, access, helped, client_clock, respelled, .. } = table;
            let columns = table.remote_columns();
            writeln!(
                f,
                "  {remote} {columns:?} key {:?} stamped {stamped} zone {zone:?} access {access:?} helped {helped} client_clock {client_clock} respelled {respelled}",
                table.key
            )?;
        }
        Ok(())
    }
}

struct Draw<'a> {
    chance: &'a Chance,
    features: &'a Features,
}

impl Draw<'_> {
    /// Draws a feature even if it is switched off, so that a seed gives a similar history with fewer features.
    fn on(&self, feature: &str, times: usize, of: usize) -> bool {
        self.chance.below(of) < times && self.features.has(feature)
    }

    /// Makes some cursors times without a time zone, with which the last write can't be known.
    fn zones(&self, tables: &mut [Table]) {
        let may_lack = |table: &&mut Table| table.cursor && table.stamped && !table.helped;
        for table in tables.iter_mut().filter(may_lack).filter(|table| table.conflict != "last-write-wins") {
            if self.on("zones", 1, 3) {
                table.zone = Some([-5, 0, 9][self.chance.below(3)]);
            }
        }
    }

    fn key_kind(&self) -> Kind {
        let kind = self.chance.below(6);
        match kind {
            0 | 1 if self.features.has("uuid_keys") => Kind::Uuid,
            2 if self.features.has("text_keys") => Kind::Text,
            3 if self.features.has("date_keys") => Kind::Date,
            _ => Kind::Integer,
        }
    }

    fn table(&self, at: usize, helped: bool) -> Table {
        let keys = if self.on("composite_keys", 1, 4) { self.chance.between(2, 3) } else { 1 };
        let key =
            (0..keys).map(|at| (if at == 0 { "id".to_owned() } else { format!("id{at}") }, self.key_kind())).collect();
        let column = |name: &str, holds| Column { name: name.to_owned(), holds, local: true, remote: true };
        let mut columns = vec![column("a", Holds::Text), column("n", Holds::Integer)];
        let mut optional = |feature: &str, times, name: &str, holds| {
            if self.on(feature, 1, times) {
                columns.push(column(name, holds));
            }
        };
        optional("unique", 4, "u", Holds::Unique);
        optional("required", 4, "d", Holds::Required);
        optional("rewrites", 4, "low", Holds::Lowered);
        optional("rewrites", 6, "trim", Holds::Trimmed);
        optional("alterations", 3, "more", Holds::Appended);
        optional("numeric", 4, "amount", Holds::Rounded);
        optional("hidden", 5, "seen", Holds::Visible);
        optional("generated", 5, "made", Holds::Generated { here: self.chance.one_in(2) });
        let access = match self.chance.below(10) {
            0 if self.features.has("insert_only") => Access::InsertOnly,
            1 if self.features.has("read_only") => Access::ReadOnly,
            _ => Access::All,
        };
        let direction = match self.chance.below(8) {
            _ if access == Access::InsertOnly => "push",
            0 if self.features.has("push_only") => "push",
            1 if self.features.has("pull_only") => "pull",
            _ => "both",
        };
        let deleted = match self.chance.below(6) {
            0..=2 if self.features.has("compare") => Deleted::Compare,
            3 | 4 if direction == "push" && !self.features.has("marks_of_push_only") => Deleted::Stays,
            3 if self.features.has("soft_delete") => Deleted::Marked { flag: false },
            4 if self.features.has("soft_delete") => Deleted::Marked { flag: true },
            _ => Deleted::Stays,
        };
        let filter = self.on("filter", 1, 5) && direction != "push";
        let direction = if filter && !self.features.has("pushed_filter") { "pull" } else { direction };
        if filter {
            columns.push(column(STATE, Holds::State));
        }
        let filter_function = filter && self.on("filter_function", 1, 2);
        let cursor = self.on("cursor", 3, 5);
        let conflict = match self.chance.below(4) {
            0 if self.features.has("conflict_policies") => "remote-wins",
            1 if self.features.has("conflict_policies") && cursor => "last-write-wins",
            2 if self.features.has("conflict_functions") && self.chance.one_in(2) => {
                let marked = matches!(deleted, Deleted::Marked { .. });
                if marked && !self.features.has("functions_of_marked") { "keep-local" } else { "function" }
            }
            _ => "keep-local",
        };
        Table {
            name: format!("t{at}"),
            remote: if self.chance.one_in(4) { format!("remote {at}") } else { format!("t{at}") },
            key,
            respelled: self.on("respelled_keys", 1, 2),
            integers: "INTEGER",
            columns,
            named: None,
            cursor,
            // Where clients send the cursor, only a trigger keeps it right.
            stamped: !(self.on("unstamped", 1, 4) && self.features.has("client_clock")),
            zone: None,
            client_clock_counts: !self.features.has("client_clock"),
            client_clock: self.on("client_clock", 1, 3),
            deleted,
            direction,
            access,
            filter: filter.then_some("open"),
            was_unfiltered: !filter,
            filter_function,
            conflict,
            cascade: self.chance.one_in(2),
            deferred: self.on("deferred_keys", 1, 2),
            helped: helped && !self.chance.one_in(4),
        }
    }

    fn parents(&self, tables: &mut [Table]) {
        for at in 0..tables.len() {
            for _ in 0..2 {
                let parent = self.chance.below(tables.len());
                let (wanted, required) = (self.on("foreign_keys", 1, 3), self.chance.one_in(3));
                // A reference in a cycle needs a row that may wait for its parent.
                let cycle = parent >= at;
                let pushed = cycle && [at, parent].iter().any(|at| tables[*at].direction == "push");
                let pushed = pushed && !self.features.has("push_only_cycles");
                let leaves = |column: &Column| matches!(column.holds, Holds::State | Holds::Visible);
                let leaves = tables[parent].columns.iter().any(leaves) && !self.features.has("leaving_parents");
                let marked = tables[parent].soft() && !self.features.has("marked_parents");
                let known = tables[at]
                    .columns
                    .iter()
                    .any(|column| matches!(column.holds, Holds::Parent(known, _) if known == parent));
                if !wanted
                    || known
                    || marked
                    || pushed
                    || leaves
                    || tables[parent].key.len() > 1
                    || cycle && !self.features.has("cycles")
                {
                    continue;
                }
                tables[at].columns.push(Column {
                    name: format!("p{parent}"),
                    holds: Holds::Parent(parent, required && !cycle),
                    local: true,
                    remote: true,
                });
            }
        }
    }

    fn names(&self, tables: &mut [Table]) {
        for table in tables {
            if self.on("odd_names", 1, 3) {
                let name = ODD_NAMES[self.chance.below(ODD_NAMES.len())];
                table.key[0].0 = name.to_owned();
            }
            // A column that is deployed later, and one that the app doesn't know.
            if self.on("added_columns", 1, 4) {
                table.columns.push(Column { name: "later".to_owned(), holds: Holds::Text, local: true, remote: false });
            }
            if self.chance.one_in(4) {
                table.columns.push(Column { name: "other".to_owned(), holds: Holds::Text, local: false, remote: true });
            }
            if self.on("columns", 1, 4) {
                let optional = |column: &&Column| {
                    let kept = column.holds != Holds::Text || column.name == "a";
                    kept && column.local && column.remote && column.holds != Holds::Generated { here: true }
                };
                table.named = Some(table.columns.iter().filter(optional).map(|column| column.name.clone()).collect());
            }
        }
    }
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    pub fn column(&self, name: &str) -> &Column {
        self.columns.iter().find(|column| column.name == name).unwrap()
    }

    pub fn soft(&self) -> bool {
        matches!(self.deleted, Deleted::Marked { .. })
    }

    pub fn schema(&self, tables: &[Table]) -> String {
        let mut parts: Vec<String> =
            self.key.iter().map(|(name, kind)| format!("{} {} NOT NULL", quote(name), self.of_key(*kind))).collect();
        for column in self.columns.iter().filter(|column| column.local) {
            let declared = match column.holds {
                Holds::Integer => self.integers.to_owned(),
                Holds::Unique => "TEXT UNIQUE".to_owned(),
                Holds::Rounded => "NUMERIC TEXT".to_owned(),
                Holds::Visible => "BOOLEAN".to_owned(),
                Holds::Generated { here: true } => "TEXT GENERATED ALWAYS AS ('g' || n) STORED".to_owned(),
                Holds::Parent(parent, required) => {
                    let (key, kind) = &tables[parent].key[0];
                    let required = if required { " NOT NULL" } else { "" };
                    let cascade = if self.cascade { " ON DELETE CASCADE" } else { "" };
                    let parent = &tables[parent];
                    let (parent, declared) = (&parent.name, parent.of_key(*kind));
                    let deferred = if self.deferred { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
                    format!("{declared}{required} REFERENCES {parent}({}){cascade}{deferred}", quote(key))
                }
                _ => "TEXT".to_owned(),
            };
            parts.push(format!("{} {declared}", quote(&column.name)));
        }
        if self.cursor {
            let default = if self.client_clock { " DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))" } else { "" };
            parts.push(format!("{CURSOR} TEXT{default}"));
        }
        let key: Vec<String> = self.key.iter().map(|(name, _)| quote(name)).collect();
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
        format!("CREATE TABLE {}({})", self.name, parts.join(", "))
    }

    /// The type of a key column in the local schema.
    fn of_key(&self, kind: Kind) -> &'static str {
        if kind == Kind::Integer { self.integers } else { "TEXT" }
    }

    /// Whether its filter may change.
    pub fn has_state(&self) -> bool {
        self.columns.iter().any(|column| column.holds == Holds::State)
    }

    fn options(&self) -> String {
        let mut parts = vec![format!(r#""table":"{}""#, self.name)];
        let mut say = |text: String| parts.push(text);
        if self.remote != self.name {
            say(format!(r#""remoteTable":"{}""#, self.remote));
        }
        if self.cursor {
            say(format!(r#""cursor":"{CURSOR}""#));
        }
        match self.deleted {
            Deleted::Stays => {}
            Deleted::Compare => say(r#""deleted":"compare""#.to_owned()),
            Deleted::Marked { .. } => say(format!(r#""deleted":"{MARK}""#)),
        }
        if self.direction != "both" {
            say(format!(r#""direction":"{}""#, self.direction));
        }
        if self.conflict != "keep-local" {
            say(format!(r#""conflict":"{}""#, self.conflict));
        }
        match self.filter {
            _ if self.filter_function => say(r#""hasFilterFunction":true"#.to_owned()),
            Some(state) => say(format!(r#""filter":{{"{STATE}":"eq.{state}"}}"#)),
            None => {}
        }
        if let Some(named) = &self.named {
            let named: Vec<String> = named.iter().map(|name| string(name)).collect();
            say(format!(r#""columns":[{}]"#, named.join(",")));
        }
        format!("{{{}}}", parts.join(","))
    }

    pub fn remote_columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.key.iter().map(|(name, _)| name.clone()).collect();
        columns.extend(self.columns.iter().filter(|column| column.remote).map(|column| column.name.clone()));
        columns.push(CURSOR.to_owned());
        if self.soft() {
            columns.push(MARK.to_owned());
        }
        columns
    }

    fn rules(&self, tables: &[Table], breaking: bool) -> Rules {
        let kinds = |column: &Column| match column.holds {
            Holds::Integer => Kind::Integer,
            Holds::Rounded => Kind::Numeric(2),
            Holds::Visible => Kind::Boolean,
            Holds::Parent(parent, _) => tables[parent].key[0].1,
            _ => Kind::Text,
        };
        let mut rules = Rules {
            key: self.key.iter().map(|(name, _)| name.clone()).collect(),
            stamp: self.stamped.then(|| CURSOR.to_owned()),
            zone: self.zone,
            never_sent: if self.cursor && !self.client_clock_counts { vec![CURSOR.to_owned()] } else { vec![] },
            ..Rules::default()
        };
        rules.kinds = self.columns.iter().map(|column| (column.name.clone(), kinds(column))).collect();
        rules.kinds.extend(self.key.iter().cloned());
        rules.defaults.push((CURSOR.to_owned(), NOW.to_owned()));
        if self.deleted == (Deleted::Marked { flag: true }) {
            rules.kinds.insert(MARK.to_owned(), Kind::Boolean);
            rules.defaults.push((MARK.to_owned(), "false".to_owned()));
        }
        for Column { name, holds, .. } in &self.columns {
            let name = name.clone();
            match holds {
                Holds::Unique => rules.unique.push(name),
                Holds::Required => {
                    rules.required.push(name.clone());
                    rules.defaults.push((name, "\"default\"".to_owned()));
                }
                Holds::Lowered => rules.rewrites.push((name, |json| json.to_lowercase())),
                Holds::Trimmed => rules.rewrites.push((name, |json| string(plain(json).trim()))),
                Holds::Appended => rules.rewrites.push((name, |json| string(&appended(&plain(json))))),
                Holds::Parent(parent, required) => {
                    if *required {
                        rules.required.push(name.clone());
                    }
                    rules.parents.push((name, tables[*parent].remote.clone()));
                }
                Holds::Generated { .. } => {
                    rules.generated.push((name, |row| match row["n"].as_str() {
                        "null" => "null".to_owned(),
                        n => string(&format!("g{n}")),
                    }));
                }
                Holds::State => rules.defaults.push((name, "\"open\"".to_owned())),
                Holds::Visible => {
                    rules.defaults.push((name, "true".to_owned()));
                    rules.hidden = Some(Rc::new(|row| row["seen"] == "false"));
                }
                _ => {}
            }
        }
        rules.refuses = match self.access {
            Access::All => vec![],
            Access::InsertOnly => vec![Method::Get, Method::Patch, Method::Delete],
            Access::ReadOnly => vec![Method::Post, Method::Patch, Method::Delete],
        };
        if breaking {
            rules.breaks = Some(Rc::new(|row| row.get("a").is_some_and(|a| a.contains("break"))));
            rules.blocks = Some(Rc::new(|row| row.get("a").is_some_and(|a| a.contains("block"))));
        }
        rules
    }

    /// The key with this number, as JSON: as the server spells it.
    pub fn key_row(&self, number: usize) -> Row {
        self.spell(number, false).into_iter().collect()
    }

    /// The key with this number as the app spells it, as JSON.
    pub fn spell(&self, number: usize, respelled: bool) -> BTreeMap<String, String> {
        let spelled = |at: usize, kind: Kind| {
            // The keys of a composite one share their first parts.
            let last = at + 1 == self.key.len();
            let number = if last { number } else { number / (2 + at) };
            match kind {
                Kind::Uuid => {
                    let text = format!("{number:08x}-aaaa-4bcd-8ef0-{:012x}", 0xabc_def0 + number);
                    string(&if respelled { text.to_uppercase() } else { text })
                }
                Kind::Date if respelled => format!("\"2026-2-{}\"", number + 1),
                Kind::Date => format!("\"2026-02-{:02}\"", number + 1),
                Kind::Text => {
                    let odd = ["k,", "k\"", "K ", "k(", "k\\", "ü", "k.eq.", "null", "k)", "*", "%", "k&=", "'", "k+"];
                    string(&format!("{}{number}", odd[number % odd.len()]))
                }
                _ => (number + 1).to_string(),
            }
        };
        self.key.iter().enumerate().map(|(at, (name, kind))| (name.clone(), spelled(at, *kind))).collect()
    }
}
