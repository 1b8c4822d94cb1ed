//! Copies what can be read of a file some of whose pages can't be read into a new one, table by table.

use std::{hint::black_box, rc::Rc};

use super::table_trees::{Rowids, Trees};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{
        Connection, Deadline, PageFile, Statement, Step, needs_functions, needs_more, sql::text::quote,
        tables::TableInfo,
    },
    value::Value,
};

/// How many rows one transaction copies: its pages are in memory twice.
const ROWS: usize = 2_000;
/// How many ranges of missing rows are listed of a table.
const LISTED: usize = 20;
/// How many lines describe what is missing of all tables, and of all indexes, views and triggers.
const MOST_LINES: usize = 50;

/// Returns the milliseconds that are left.
pub type TimeLeft = Rc<dyn Fn() -> f64>;

/// The readable contents of a file, and what they lack.
pub struct Salvaged {
    /// The new file.
    pub file: PageFile,
    /// Descriptions of what is missing; empty if nothing is.
    pub missing: Vec<String>,
}

/// Copies the readable rows of a file into a new one. Pages that can't be read fail, as the contents of [`PageFile`] do.
/// Indexes, views and triggers are created again.
///
/// The file may be hostile. Each step may take half of the time that is left, so that a table that can't be read to its end
/// doesn't cost those after it. What wasn't copied in time is missing.
///
/// Fails when nothing of the schema can be read, or the new file can't be written, and with `invalid_argument` when a
/// function or collation is missing: what needs it would be lost.
#[inline(never)]
pub fn salvage(file: &PageFile, left: &TimeLeft) -> Result<Salvaged> {
    let time_left = left.clone();
    let trees = Trees::new(file)?;
    let lacks_schema = trees.repair_schema().unwrap_or(false);
    file.pages().boundary();
    let open = if lacks_schema { Connection::open_damaged } else { Connection::open_within };
    let source = open(file, Box::new(move || time_left()))?;
    let found = tables(&source)?;
    let missing: Vec<Vec<Rowids>> = found.iter().map(|table| trees.missing(table.root)).collect();
    // SQLite has read none of the pages that were written again: it can't have read them.
    file.pages().boundary();
    source.limit_values(file.bytes());
    let salvaged = PageFile::default();
    // Damaged pages may have the same rows many times.
    salvaged.set_max_bytes(2 * file.bytes());
    let target = Connection::open(&salvaged)?;
    target.limit_values(file.bytes());
    target.set_defensive(false);
    target.enforce_foreign_keys(false)?;
    // In larger pages, small tables would take more bytes than in the file.
    if let Some(Value::Integer(bytes)) = source.value("PRAGMA page_size", &[])? {
        target.exec(&format!("PRAGMA page_size = {bytes}; VACUUM"))?;
        target.limit_size(salvaged.max_bytes())?;
    }
    if let Some(Value::Text(encoding)) = source.value("PRAGMA encoding", &[])? {
        target.exec(&format!("PRAGMA encoding = '{encoding}'"))?;
    }
    for pragma in ["user_version", "application_id"] {
        let value = source.value(&format!("PRAGMA main.{pragma}"), &[])?.and_then(|value| value.as_integer());
        target.exec(&format!("PRAGMA {pragma} = {}", value.unwrap_or_default()))?;
    }
    // A row may be from before its table's constraints.
    target.exec("PRAGMA ignore_check_constraints = ON; PRAGMA writable_schema = ON")?;
    let mut copy = Salvage { source: &source, target: &target, left, missing: Vec::new() };
    if lacks_schema {
        copy.missing
            .push("A part of the schema is missing, with the tables, indexes, views and triggers in it".to_owned());
    }
    copy.each(&found.iter().zip(missing).collect::<Vec<_>>(), "tables", |copy, (table, missing)| {
        let done = copy.table(table, missing);
        done.map_err(|error| (format!("Table {} can't be copied", table.name), error))
    })?;
    copy.indexes_views_triggers()?;
    // The virtual tables were added to the schema without being made.
    target.exec("PRAGMA writable_schema = RESET; PRAGMA writable_schema = ON")?;
    let is_virtual = |table: &&SchemaTable| table.is_virtual();
    copy.each(&found.iter().filter(is_virtual).collect::<Vec<_>>(), "virtual tables", |copy, table| {
        copy.virtual_table(table).map_err(|error| (format!("Table {} can't be checked", table.name), error))
    })?;
    copy.orphans()?;
    source.set_deadline(None);
    target.set_deadline(None);
    target.exec("PRAGMA writable_schema = RESET; PRAGMA ignore_check_constraints = OFF")?;
    let missing = copy.missing;
    drop(target);
    salvaged.set_max_bytes(u64::MAX);
    Ok(black_box(Salvaged { file: salvaged, missing }))
}

/// A table of the schema.
struct SchemaTable {
    name: String,
    sql: String,
    root: u32,
}

impl SchemaTable {
    fn is_virtual(&self) -> bool {
        self.sql.to_ascii_uppercase().starts_with("CREATE VIRTUAL TABLE")
    }
}

fn text(value: &Value) -> String {
    value.as_text().unwrap_or_default().to_owned()
}

fn tables(source: &Connection) -> Result<Vec<SchemaTable>> {
    let sql = "SELECT name, sql, rootpage FROM main.sqlite_schema WHERE type = 'table' AND sql IS NOT NULL
               ORDER BY name = 'sqlite_sequence', rowid";
    let table = |row: Vec<Value>| SchemaTable {
        name: text(&row[0]),
        sql: text(&row[1]),
        root: row[2].as_integer().and_then(|root| u32::try_from(root).ok()).unwrap_or(0),
    };
    Ok(source.rows(sql, &[])?.into_iter().map(table).collect())
}

struct Salvage<'c> {
    source: &'c Connection,
    target: &'c Connection,
    left: &'c TimeLeft,
    missing: Vec<String>,
}

impl Salvage<'_> {
    /// Does the same with each of several parts, which may each take half of the time that is left. Their failures are missing.
    ///
    /// Fails with `out_of_memory`, and with `invalid_argument` when a function or collation is missing.
    fn each<T>(
        &mut self,
        parts: &[T],
        kind: &str,
        mut work: impl FnMut(&mut Self, &T) -> std::result::Result<(), (String, Error)>,
    ) -> Result<()> {
        let (first, mut late) = (self.missing.len(), 0);
        for (index, part) in parts.iter().enumerate() {
            if (self.left)() <= 0.0 {
                late = parts.len() - index;
                break;
            }
            self.limit();
            match work(self, part) {
                Err((_, error)) if error.is(ErrorCode::OutOfMemory) => return Err(error),
                Err((what, error)) if needs_functions(&error.message) => {
                    return Err(Error::invalid(format!("{what}: {}", error.message))
                        .hint("Pass the option functions, as to open; one that isn't there any more may be any function of that name")
                        .detail("option", "functions"));
                }
                Err((what, error)) => self.missing.push(format!("{what}: {}", reason(&error))),
                Ok(()) => {}
            }
        }
        let more = (self.missing.len() - first).saturating_sub(MOST_LINES);
        if more > 0 {
            self.missing.truncate(first + MOST_LINES);
            self.missing.push(format!("{more} more lines about {kind} are left out"));
        }
        if late > 0 {
            self.missing.push(format!("{late} {kind} are missing: there was no time left to copy them"));
        }
        Ok(())
    }

    /// Gives what follows half of the time that is left.
    fn limit(&self) {
        let end = (self.left)() / 2.0;
        let deadline = || -> Deadline {
            let left = self.left.clone();
            Box::new(move || left() - end)
        };
        self.source.set_deadline(Some(deadline()));
        self.target.set_deadline(Some(deadline()));
    }

    fn table(&mut self, table: &SchemaTable, missing: &[Rowids]) -> Result<()> {
        let name = table.name.as_str();
        match name {
            // A table with AUTOINCREMENT has created it.
            "sqlite_sequence" => {
                if self.target.is_table_of(name, "name,seq")?.is_none() {
                    return Ok(());
                }
                self.target.exec("DELETE FROM sqlite_sequence")?;
            }
            _ if name.starts_with("sqlite_") => return Ok(()),
            _ if table.is_virtual() => {
                // Its shadow tables are copied as tables.
                let sql =
                    "INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, 0, ?2)";
                return self.target.run(sql, &[Value::from(name), Value::from(table.sql.as_str())]).map(drop);
            }
            _ => self.target.exec(&table.sql)?,
        }
        let Some(info) = TableInfo::read(self.source, name)? else { return Ok(()) };
        let mut columns: Vec<&str> =
            info.columns.iter().filter(|column| !column.generated).map(|column| column.name.as_str()).collect();
        let alias = info.rowid_column(self.source)?;
        let rowid = alias.or(info.rowid_name());
        columns.extend(rowid.filter(|_| alias.is_none()));
        let list = columns.iter().map(|name| quote(name)).collect::<Vec<_>>().join(",");
        let places = vec!["?"; columns.len()].join(",");
        let insert = format!("INSERT OR IGNORE INTO main.{}({list}) VALUES ({places})", quote(name));
        match rowid {
            Some(rowid) => self.by_rowid(name, &quote(rowid), &list, &insert, missing),
            None => self.by_key(&info, &list, &insert),
        }
    }

    fn by_rowid(&mut self, name: &str, rowid: &str, list: &str, insert: &str, missing: &[Rowids]) -> Result<()> {
        let mut unreadable = 0;
        for present in others(missing) {
            let (lost, late) = self.range(present, name, rowid, list, insert)?;
            unreadable += lost;
            if let Some(rowid) = late {
                self.missing
                    .push(format!("Table {name} lacks its rows with rowids from {rowid} on: they took too long"));
                break;
            }
        }
        let end = |end: i64| if matches!(end, i64::MIN | i64::MAX) { "…".to_owned() } else { end.to_string() };
        let range = |(from, to): &Rowids| format!("{} to {}", end(*from), end(*to));
        if missing == [(i64::MIN, i64::MAX)] {
            self.missing.push(format!("Table {name} lacks all its rows"));
        } else if !missing.is_empty() {
            let ranges: Vec<String> = missing.iter().take(LISTED).map(range).collect();
            let more = if missing.len() > LISTED { ", and others" } else { "" };
            self.missing.push(format!("Table {name} lacks its rows with rowids from {}{more}", ranges.join(", ")));
        }
        if unreadable > 0 {
            self.missing.push(format!("Table {name} lacks {unreadable} more rows"));
        }
        Ok(())
    }

    /// Copies a range of rows. Returns how many of them can't be copied, and from which rowid on there was no time left.
    fn range(
        &self,
        (from, to): Rowids,
        name: &str,
        rowid: &str,
        list: &str,
        insert: &str,
    ) -> Result<(u64, Option<i64>)> {
        let table = format!("main.{} NOT INDEXED", quote(name));
        // The rowids are in the pages of the tree, the values may be in others.
        let mut listed =
            self.source.statement(&format!("SELECT {rowid} FROM {table} WHERE {rowid} BETWEEN ?1 AND ?2"))?;
        listed.bind_all(&[Value::Integer(from), Value::Integer(to)])?;
        let mut one = self.source.statement(&format!("SELECT {list} FROM {table} WHERE {rowid} = ?1"))?;
        let (mut lost, mut next, mut done) = (0, from, false);
        while !done {
            let first = next;
            let copied = self.target.atomically(|target| {
                let mut insert = target.statement(insert)?;
                for _ in 0..ROWS {
                    // Behind the last row may be an unreadable page.
                    if !is_row(listed.step())? {
                        done = true;
                        break;
                    }
                    let rowid = listed.column_i64(0);
                    next = rowid.saturating_add(1);
                    one.bind(1, &Value::Integer(rowid))?;
                    let is_copied = is_row(one.step())? && put(&one, &mut insert)?;
                    lost += u64::from(!is_copied);
                    one.reset();
                }
                Ok(())
            });
            match copied {
                // The transaction was rolled back.
                Err(error) if error.is(ErrorCode::Timeout) => return Ok((lost, Some(first))),
                copied => copied?,
            }
        }
        Ok((lost, None))
    }

    /// Copies the rows of a table without rowids from both ends, up to the first that can't be read.
    fn by_key(&mut self, info: &TableInfo, list: &str, insert: &str) -> Result<()> {
        let keys: Vec<String> = info.primary_key().iter().map(|key| quote(key)).collect();
        for order in ["", " DESC"] {
            let order = keys.iter().map(|key| format!("{key}{order}")).collect::<Vec<_>>().join(",");
            let sql = format!("SELECT {list} FROM main.{} ORDER BY {order}", quote(&info.name));
            let mut rows = self.source.statement(&sql)?;
            let is_whole = loop {
                let ended = self.target.atomically(|target| {
                    let mut insert = target.statement(insert)?;
                    for _ in 0..ROWS {
                        match rows.step() {
                            Ok(Step::Row) => _ = put(&rows, &mut insert)?,
                            step => return Ok(Some(step.is_ok())),
                        }
                    }
                    Ok(None)
                });
                match ended {
                    Err(error) if error.is(ErrorCode::Timeout) => break false,
                    ended => {
                        if let Some(is_whole) = ended? {
                            break is_whole;
                        }
                    }
                }
            };
            if is_whole {
                return Ok(());
            }
        }
        let missing = "lacks the rows between two damaged places, or those that took too long";
        self.missing.push(format!("Table {} {missing}", info.name));
        Ok(())
    }

    /// Builds the index of a table of FTS5 again if it lacks something. Leaves a virtual table out that its module can't use,
    /// because not even SQLite's check of the file would run with it.
    fn virtual_table(&mut self, table: &SchemaTable) -> Result<()> {
        let (name, target) = (quote(&table.name), self.target);
        let is_of_fts5 = table.sql.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"fts5"));
        if is_of_fts5 {
            // The row without which FTS5 refuses the table: its format, as of SQLite 3.54.
            let config = quote(&format!("{}_config", table.name));
            let _ = target.exec(&format!("INSERT OR IGNORE INTO main.{config} VALUES ('version', 4)"));
        }
        let used = target.statement(&format!("SELECT * FROM main.{name}")).map(drop);
        if let Err(error) = used {
            if needs_more(&error.message) || error.is(ErrorCode::Timeout) {
                return Err(error);
            }
            target.run(
                "DELETE FROM main.sqlite_schema WHERE name = ?1 AND rootpage = 0",
                &[table.name.as_str().into()],
            )?;
            let left = "is left out; what is left of its rows is in the tables whose names begin with its name";
            self.missing.push(format!("Table {} {left}: {}", table.name, reason(&error)));
            return Ok(());
        }
        let check = format!("INSERT INTO main.{name}({name}, rank) VALUES ('integrity-check', 1)");
        let rebuild = format!("INSERT INTO main.{name}({name}) VALUES ('rebuild')");
        if !is_of_fts5 || target.exec(&check).is_ok() {
            return Ok(());
        }
        // A table without contents can't be built again; the check of the file reports it.
        if target.exec(&rebuild).is_ok() {
            self.missing.push(format!("The full-text index of table {} was built again from its rows", table.name));
        }
        Ok(())
    }

    /// Reports the rows that refer to missing ones.
    fn orphans(&mut self) -> Result<()> {
        self.limit();
        let sql = "SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1";
        match self.target.rows(sql, &[]) {
            Ok(rows) => self.missing.extend(rows.iter().take(LISTED).map(|row| {
                let count = row[1].as_integer().unwrap_or_default();
                format!("Table {} has {count} references to missing rows", text(&row[0]))
            })),
            Err(error) if error.is(ErrorCode::OutOfMemory) => return Err(error),
            Err(error) => self.missing.push(format!("References to missing rows can't be counted: {}", reason(&error))),
        }
        Ok(())
    }

    /// Creates indexes, views and triggers.
    fn indexes_views_triggers(&mut self) -> Result<()> {
        let sql = "SELECT type, name, sql FROM main.sqlite_schema WHERE type IN ('index', 'view', 'trigger') AND sql IS NOT NULL
                   ORDER BY CASE type WHEN 'index' THEN 0 WHEN 'view' THEN 1 ELSE 2 END, rowid";
        self.source.set_deadline(None);
        let found = self.source.rows(sql, &[])?;
        self.each(&found, "indexes, views and triggers", |copy, row| {
            let what = || format!("The {} {} can't be created", text(&row[0]), text(&row[1]));
            copy.target.exec(&text(&row[2])).map(drop).map_err(|error| (what(), error))
        })
    }
}

fn reason(error: &Error) -> &str {
    if error.is(ErrorCode::Timeout) { "it took too long" } else { &error.message }
}

/// Returns whether a step came to a row; not where the file can't be read. Fails with `timeout`.
fn is_row(step: Result<Step>) -> Result<bool> {
    match step {
        Err(error) if error.is(ErrorCode::Timeout) => Err(error),
        step => Ok(matches!(step, Ok(Step::Row))),
    }
}

/// Returns the ranges between others, which are in order.
fn others(missing: &[Rowids]) -> Vec<Rowids> {
    let (mut present, mut from) = (Vec::new(), Some(i64::MIN));
    for (first, last) in missing {
        present.extend(from.filter(|from| from < first).map(|from| (from, first - 1)));
        from = last.checked_add(1);
    }
    present.extend(from.map(|from| (from, i64::MAX)));
    present
}

/// Inserts the row that a statement is at. Returns whether it was inserted.
fn put(row: &Statement<'_>, insert: &mut Statement<'_>) -> Result<bool> {
    let values: Vec<Value> = (0..row.column_count()).map(|index| row.column(index)).collect();
    insert.finish_with(&values).map(|changed| changed > 0)
}
