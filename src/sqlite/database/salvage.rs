//! Copies what can be read of a file some of whose pages can't be read into a new one, table by table.

use std::hint::black_box;

use super::table_trees::{Rowids, Trees};
use crate::{
    error::{ErrorCode, Result},
    sqlite::{Connection, PageFile, Statement, Step, sql::text::quote, tables::TableInfo},
    value::Value,
};

/// How many rows one transaction copies: its pages are in memory twice.
const ROWS: usize = 2_000;
/// How many ranges of missing rows are listed of a table.
const LISTED: usize = 20;

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
/// Fails when the schema can't be read, or the new file can't be written.
#[inline(never)]
pub fn salvage(file: &PageFile) -> Result<Salvaged> {
    let found = tables(&Connection::open(file)?)?;
    let trees = Trees::new(file)?;
    let missing: Vec<Vec<Rowids>> = found.iter().map(|table| trees.missing(table.root)).collect();
    file.pages().boundary();
    let source = Connection::open(file)?;
    let salvaged = PageFile::default();
    let target = Connection::open(&salvaged)?;
    target.set_defensive(false);
    target.enforce_foreign_keys(false)?;
    if let Some(encoding) = source.pin().encoding()? {
        target.exec(&format!("PRAGMA encoding = '{encoding}'"))?;
    }
    for pragma in ["user_version", "application_id"] {
        let value = source.value(&format!("PRAGMA main.{pragma}"), &[])?.and_then(|value| value.as_integer());
        target.exec(&format!("PRAGMA {pragma} = {}", value.unwrap_or_default()))?;
    }
    // A row may be from before its table's constraints.
    target.exec("PRAGMA ignore_check_constraints = ON; PRAGMA writable_schema = ON")?;
    let mut copy = RowCopy { source: &source, target: &target, missing: Vec::new() };
    for (table, missing) in found.iter().zip(missing) {
        match copy.table(table, &missing) {
            Err(error) if error.is(ErrorCode::OutOfMemory) => return Err(error),
            Err(error) => copy.missing.push(format!("Table {} can't be copied: {}", table.name, error.message)),
            Ok(()) => {}
        }
    }
    copy.indexes_views_triggers()?;
    copy.orphans()?;
    target.exec("PRAGMA writable_schema = OFF")?;
    let missing = copy.missing;
    drop(target);
    Ok(black_box(Salvaged { file: salvaged, missing }))
}

/// A table of the schema.
struct SchemaTable {
    name: String,
    sql: String,
    root: u32,
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

struct RowCopy<'c> {
    source: &'c Connection,
    target: &'c Connection,
    missing: Vec<String>,
}

impl RowCopy<'_> {
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
            _ if table.sql.to_ascii_uppercase().starts_with("CREATE VIRTUAL TABLE") => {
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
            unreadable += self.range(present, name, rowid, list, insert)?;
        }
        let end = |end: i64| if matches!(end, i64::MIN | i64::MAX) { "…".to_owned() } else { end.to_string() };
        let range = |(from, to): &Rowids| format!("{} to {}", end(*from), end(*to));
        if !missing.is_empty() {
            let ranges: Vec<String> = missing.iter().take(LISTED).map(range).collect();
            let more = if missing.len() > LISTED { ", and others" } else { "" };
            self.missing.push(format!("Table {name} lacks its rows with rowids from {}{more}", ranges.join(", ")));
        }
        if unreadable > 0 {
            self.missing.push(format!("Table {name} lacks {unreadable} more rows"));
        }
        Ok(())
    }

    /// Copies a range of rows. Returns how many of them can't be copied.
    fn range(&self, (from, to): Rowids, name: &str, rowid: &str, list: &str, insert: &str) -> Result<u64> {
        let table = format!("main.{} NOT INDEXED", quote(name));
        // The rowids are in the pages of the tree, the values may be in others.
        let mut listed =
            self.source.statement(&format!("SELECT {rowid} FROM {table} WHERE {rowid} BETWEEN ?1 AND ?2"))?;
        listed.bind_all(&[Value::Integer(from), Value::Integer(to)])?;
        let mut one = self.source.statement(&format!("SELECT {list} FROM {table} WHERE {rowid} = ?1"))?;
        let (mut lost, mut done) = (0, false);
        while !done {
            self.target.atomically(|target| {
                let mut insert = target.statement(insert)?;
                for _ in 0..ROWS {
                    // Behind the last row may be an unreadable page.
                    if !matches!(listed.step(), Ok(Step::Row)) {
                        done = true;
                        break;
                    }
                    one.bind(1, &Value::Integer(listed.column_i64(0)))?;
                    let is_copied = matches!(one.step(), Ok(Step::Row)) && put(&one, &mut insert)?;
                    lost += u64::from(!is_copied);
                    one.reset();
                }
                Ok(())
            })?;
        }
        Ok(lost)
    }

    /// Copies the rows of a table without rowids from both ends, up to the first that can't be read.
    fn by_key(&mut self, info: &TableInfo, list: &str, insert: &str) -> Result<()> {
        let keys: Vec<String> = info.primary_key().iter().map(|key| quote(key)).collect();
        for order in ["", " DESC"] {
            let order = keys.iter().map(|key| format!("{key}{order}")).collect::<Vec<_>>().join(",");
            let sql = format!("SELECT {list} FROM main.{} ORDER BY {order}", quote(&info.name));
            let mut rows = self.source.statement(&sql)?;
            let is_whole = self.target.atomically(|target| {
                let mut insert = target.statement(insert)?;
                loop {
                    match rows.step() {
                        Ok(Step::Row) => _ = put(&rows, &mut insert)?,
                        step => return Ok(step.is_ok()),
                    }
                }
            })?;
            if is_whole {
                return Ok(());
            }
        }
        self.missing.push(format!("Table {} lacks the rows between two damaged places", info.name));
        Ok(())
    }

    /// Reports the rows that refer to missing ones.
    fn orphans(&mut self) -> Result<()> {
        let sql = "SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1";
        for row in self.target.rows(sql, &[])? {
            let (table, count) = (text(&row[0]), row[1].as_integer().unwrap_or_default());
            self.missing.push(format!("Table {table} has {count} references to missing rows"));
        }
        Ok(())
    }

    /// Creates indexes, views and triggers.
    fn indexes_views_triggers(&mut self) -> Result<()> {
        let sql = "SELECT type, name, sql FROM main.sqlite_schema WHERE type IN ('index', 'view', 'trigger') AND sql IS NOT NULL
                   ORDER BY CASE type WHEN 'index' THEN 0 WHEN 'view' THEN 1 ELSE 2 END, rowid";
        for row in self.source.rows(sql, &[])? {
            if let Err(error) = self.target.exec(&text(&row[2])) {
                self.missing.push(format!(
                    "The {} {} can't be created: {}",
                    text(&row[0]),
                    text(&row[1]),
                    error.message
                ));
            }
        }
        Ok(())
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
