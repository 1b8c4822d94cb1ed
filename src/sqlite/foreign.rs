//! Database files from outside: checked in a scratch database before anything of them counts.
//!
//! Such a file may be cut off, damaged, of another kind, or made to do harm: pages that lie about each other, a schema
//! that was written by hand, views and triggers that call what isn't there or isn't theirs to call.

use super::{
    Connection, Image, PageFile,
    apart::{run_apart, too_slow},
    failure::needs_more,
    image::page_size_of,
    pragmas::LONGEST_DEFINITION,
    text::quote,
    tokens::{Token, tokens},
};
use crate::{
    collections::Set,
    error::{Detail, Error, ErrorCode, Result},
    memory::no_memory,
    value::Value,
};

/// So many selects a view may stand for, and so deep views may be in each other: SQLite writes a view out wherever it is named, and asks
/// for no deadline meanwhile.
const MOST_SELECTS: u64 = 10_000;
const DEEPEST: usize = 100;

/// A file from outside, not checked yet.
pub struct Foreign {
    scratch: Connection,
    file: PageFile,
    utf16: bool,
}

impl Foreign {
    /// The scratch database: give it what the file's schema may need before [`check`](Self::check).
    pub fn scratch(&self) -> &Connection {
        &self.scratch
    }

    /// How large it is.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Checks it: `quick_check`, and that everything in its schema can be compiled. Gives the scratch database with its file.
    ///
    /// Fails with `database_corrupt`, `invalid_argument` (a schema that needs functions, modules or collations that aren't
    /// there, or that it may not use), and `out_of_memory`.
    pub fn check(self) -> Result<(Connection, PageFile)> {
        self.scratch.check_foreign(self.file, self.utf16)
    }
}

impl Connection {
    /// Opens a `.sqlite` file from outside in a scratch database; [`Foreign::check`] must follow. A file in WAL mode is taken
    /// out of it.
    ///
    /// Fails with `database_corrupt` (no database), `snapshot_incompatible` (a version of the file format that SQLite doesn't
    /// know), and `out_of_memory`.
    pub fn open_foreign(mut image: Image) -> Result<Foreign> {
        check_header(&mut image)?;
        let utf16 = matches!(image.chunks[0][56..60], [0, 0, 0, 2 | 3]);
        let file = PageFile::new(image);
        let scratch = Connection::open_outside(&file)
            .map_err(|error| long_definition(&error).unwrap_or_else(|| refused(error)))?;
        scratch.limit_values(file.bytes());
        Ok(Foreign { scratch, file, utf16 })
    }

    fn check_foreign(self, file: PageFile, utf16: bool) -> Result<(Connection, PageFile)> {
        let scratch = self;
        let damage = scratch.quick_check().map_err(refused)?;
        if let Some(first) = damage.into_iter().next() {
            return Err(corrupt(&first));
        }
        scratch.check_own()?;
        scratch.check_views()?;
        scratch.check_schema()?;
        // What it computes from now on is asked for here.
        scratch.limit_values(u64::MAX);
        if utf16 { scratch.in_utf8() } else { Ok((scratch, file)) }
    }

    /// The same database in UTF-8: SQLite can't change the encoding of an open one, nor copy between two.
    fn in_utf8(self) -> Result<(Connection, PageFile)> {
        let mut text = Vec::new();
        self.dump(&mut |piece| {
            text.try_reserve(piece.len()).map_err(|_| no_memory("to bring the file to UTF-8"))?;
            text.extend_from_slice(piece);
            Ok(())
        })
        .map_err(refused)?;
        let deadline = self.set_deadline(None);
        drop(self);
        let text = String::from_utf8(text).map_err(|_| corrupt("its texts can't be converted to UTF-8"))?;
        let file = PageFile::new(run_apart(&text, u64::MAX, deadline).map_err(refused)?);
        Ok((Connection::open(&file).map_err(refused)?, file))
    }

    /// Fails with `invalid_argument` where a view, a trigger or a foreign key, of a file or of a snapshot, names tidelock's own tables: what
    /// is written into them would be sent with the user's rights.
    pub fn check_own(&self) -> Result<()> {
        let is_own = |name: &str| name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("tidelock_"));
        let mut found = self.naming(&["view", "trigger"], &is_own)?.map(|(name, _)| name);
        if found.is_none() {
            let sql = r#"SELECT t.name FROM main.sqlite_schema AS t, pragma_foreign_key_list(t.name, 'main') AS k
                WHERE t.type = 'table' AND k."table" LIKE 'tidelock\_%' ESCAPE '\'"#;
            found = self.value(sql, &[]).map_err(refused)?.and_then(|name| name.as_text().map(str::to_owned));
        }
        let Some(name) = found else { return Ok(()) };
        Err(Error::invalid(format!("The file's schema can't be used here: {name} uses tidelock's own tables"))
            .hint("Drop it, with the program that created the file")
            .detail("name", name))
    }

    /// Fails with `invalid_argument` where a trigger of a file names one of these tables: it could keep them from being written.
    pub fn check_triggers(&self, tables: &[&str]) -> Result<()> {
        let is_kept = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
        let Some((name, table)) = self.naming(&["trigger"], &is_kept)? else { return Ok(()) };
        Err(Error::invalid(format!("The file's schema can't be used here: {name} is a trigger that uses {table}"))
            .hint("Drop it, with the program that created the file")
            .detail("name", name)
            .detail("table", table))
    }

    /// The first thing of these types whose text has such a name, and that name. By its text, since what it needs may come later.
    fn naming(&self, types: &[&str], is_meant: &dyn Fn(&str) -> bool) -> Result<Option<(String, String)>> {
        let sql = "SELECT type, name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL";
        for row in self.rows(sql, &[]).map_err(refused)? {
            let [kind, name, sql] = &*row else { continue };
            if !kind.as_text().is_some_and(|kind| types.contains(&kind)) {
                continue;
            }
            let tokens = tokens(sql.as_text().unwrap_or_default());
            if let Some(found) = tokens.iter().map(Token::name).find(|name| is_meant(name)) {
                return Ok(Some((name.as_text().unwrap_or_default().to_owned(), found)));
            }
        }
        Ok(None)
    }

    /// Compiles what the schema would have compiled later: every view and table as it is read, and as it is written with
    /// the triggers on it.
    fn check_schema(&self) -> Result<()> {
        let sql = "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view')
                   AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        for row in self.rows(sql, &[]).map_err(refused)? {
            let name = row[0].as_text().unwrap_or_default();
            let compile = |sql: &str| self.try_to_compile(name, sql);
            let table = format!("main.{}", quote(name));
            compile(&format!("SELECT * FROM {table}"))?;
            compile(&format!("DELETE FROM {table}"))?;
            compile(&format!("INSERT INTO {table} DEFAULT VALUES"))?;
            let columns =
                self.rows("SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0", &[Value::from(name)]);
            // What can't be listed can't be read either; a view may name tables that don't exist.
            let columns: Vec<_> =
                columns.unwrap_or_default().iter().filter_map(|row| row[0].as_text().map(quote)).collect();
            if columns.is_empty() {
                continue;
            }
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = {column}")).collect();
            compile(&format!("UPDATE {table} SET {}", set.join(", ")))?;
            let values = vec!["NULL"; columns.len()].join(", ");
            compile(&format!("INSERT INTO {table}({}) VALUES ({values})", columns.join(", ")))?;
        }
        Ok(())
    }

    /// Fails where SQLite finds damage, or something that the file may not have. What else may be wrong with a view (a
    /// table that was dropped), and that shadow tables take no writes, is as legal as in any other database.
    fn try_to_compile(&self, name: &str, sql: &str) -> Result<()> {
        if self.is_past_deadline() {
            return Err(too_slow());
        }
        match self.statement(sql) {
            Err(error) if error.is(ErrorCode::DatabaseCorrupt) || needs_more(&error.message) => {
                Err(refused(error).detail("name", name))
            }
            Err(error) if error.is(ErrorCode::OutOfMemory) || error.is(ErrorCode::Timeout) => Err(refused(error)),
            _ => Ok(()),
        }
    }

    /// Fails with `invalid_argument` when views stand for too much, by how often their texts name each other: also in a circle, which a
    /// view that has a table expression by another view's name may seem to be in.
    fn check_views(&self) -> Result<()> {
        let rows = self.rows("SELECT lower(name), sql FROM main.sqlite_schema WHERE type = 'view'", &[]);
        let rows = rows.map_err(refused)?;
        let text = |row: &[Value], at: usize| row[at].as_text().unwrap_or_default().to_owned();
        let views: Set<String> = rows.iter().map(|row| text(row, 0)).collect();
        let place = |name: &str| views.iter().position(|view| view == name);
        let mut inner = vec![Vec::new(); views.len()];
        for row in &rows {
            let Some(own) = place(&text(row, 0)) else { continue };
            let names = tokens(&text(row, 1)).iter().map(|token| token.name().to_ascii_lowercase()).collect::<Vec<_>>();
            inner[own] = names.iter().filter_map(|name| place(name)).filter(|other| *other != own).collect();
        }
        // As SQLite does it: each time the views are written out that are in those that were written out.
        let mut selects = vec![1_u64; views.len()];
        for _ in 0..DEEPEST {
            let next: Vec<u64> =
                inner.iter().map(|inner| 1 + inner.iter().map(|view| selects[*view]).sum::<u64>()).collect();
            if next == selects {
                return Ok(());
            }
            selects = next;
            if selects.iter().any(|selects| *selects > MOST_SELECTS) {
                break;
            }
        }
        let most = selects.iter().max().and_then(|most| selects.iter().position(|selects| selects == most));
        let name = most.map_or("", |at| &*views[at]);
        Err(Error::invalid(format!(
            "The file's schema can't be used here: the view {name} expands to too many selects"
        ))
        .hint("Drop such views, with the program that created the file")
        .detail("name", name))
    }
}

fn check_header(image: &mut Image) -> Result<()> {
    let Some(header) = image.chunks.first_mut().filter(|first| first.len() >= 100 && page_size_of(first).is_some())
    else {
        return Err(corrupt("it doesn't begin with SQLite's header"));
    };
    let versions = &mut header[18..20];
    if versions.iter().any(|version| !(1..=2).contains(version)) {
        return Err(Error::new(ErrorCode::SnapshotIncompatible, "The file's format is newer than this SQLite")
            .hint("Save it again with a version of SQLite that this one understands"));
    }
    // The mark of WAL mode: without the file beside it, which can't be here, there is nothing else to it.
    versions.fill(1);
    Ok(())
}

/// The error of a file with a statement in its schema that is too long, if it is that.
fn long_definition(error: &Error) -> Option<Error> {
    let is_too_long = error.details.get("sqliteCode") == Some(&Detail::Text("SQLITE_TOOBIG".into()));
    is_too_long.then(|| {
        Error::invalid(format!(
            "The file's schema can't be used here: it has a statement of more than {LONGEST_DEFINITION} bytes"
        ))
        .hint("Drop its object, with the program that created the file")
    })
}

/// The error of a file, for one of SQLite.
fn refused(error: Error) -> Error {
    if needs_more(&error.message) {
        return Error::invalid(format!("The file's schema can't be used here: {}", error.message))
            .hint("Drop the objects that need it, with the program that created the file")
            .cause(error);
    }
    match error.code {
        ErrorCode::SqliteError | ErrorCode::DatabaseCorrupt => corrupt(&error.message),
        ErrorCode::Timeout => too_slow(),
        _ => error,
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, format!("The file is not a valid SQLite database: {what}"))
        .hint("Check where it comes from; nothing has changed")
}
