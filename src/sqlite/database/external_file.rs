//! Checks external database files in a scratch database before their content is used.
//!
//! Such a file may be truncated, damaged, of another format, or malicious: inconsistent pages, a schema that was edited
//! directly, or views and triggers that call missing or forbidden functions.

use crate::{
    collections::Set,
    error::{Detail, Error, ErrorCode, Result},
    memory::{no_memory, room_for},
    sqlite::{
        Connection, Deadline, Image, PageFile,
        connection::pragmas::{LONGEST_DEFINITION, LONGEST_PROGRAM},
        database::scratch::{lacking, run_in_scratch, too_slow},
        failure::needs_more,
        image::page_size_of,
        sql::{
            text::quote,
            tokens::{Token, each_token, tokens},
        },
    },
    value::Value,
};

/// The limits of the selects that a view may expand to, and of the depth of nested views: SQLite expands a view wherever it is
/// named, without checking the deadline.
const MOST_SELECTS: u64 = 10_000;
const DEEPEST: usize = 100;

/// The memory that a program of [`LONGEST_PROGRAM`] instructions needs while it grows, in bytes.
const PROGRAM_BYTES: u64 = 64 << 20;

/// An external file that is not checked yet.
pub struct ExternalFile {
    scratch: Connection,
    file: PageFile,
    utf16: bool,
}

impl ExternalFile {
    /// Returns the scratch database. Extensions that the file's schema may need must be loaded before [`check`](Self::check).
    pub fn scratch(&self) -> &Connection {
        &self.scratch
    }

    /// Returns its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Checks the file: runs `quick_check`, and compiles everything in its schema. Returns the scratch database and its file.
    ///
    /// Fails with `database_corrupt`, `invalid_argument` (a schema that needs missing or forbidden functions,
    /// modules or collations), and `out_of_memory`.
    pub fn check(self) -> Result<(Connection, PageFile)> {
        self.scratch.check_foreign(self.file, self.utf16)
    }
}

impl Connection {
    /// Opens an external `.sqlite` file in a scratch database, with a deadline that stays set; [`ExternalFile::check`] must follow.
    /// Clears the mark of WAL mode.
    ///
    /// Fails with `database_corrupt` (not a valid SQLite database), `snapshot_incompatible` (an unknown version of
    /// the file format), `timeout`, and `out_of_memory`.
    pub fn open_external(mut image: Image, deadline: Option<Deadline>) -> Result<ExternalFile> {
        check_header(&mut image)?;
        let utf16 = matches!(image.chunks[0][56..60], [0, 0, 0, 2 | 3]);
        let file = PageFile::new(image);
        let scratch = Connection::open_outside(&file, deadline)
            .map_err(|error| long_definition(&error).unwrap_or_else(|| refused(error)))?;
        scratch.limit_values(file.bytes());
        Ok(ExternalFile { scratch, file, utf16 })
    }

    fn check_foreign(self, file: PageFile, utf16: bool) -> Result<(Connection, PageFile)> {
        let scratch = self;
        // It checks all tables by one program.
        scratch.statement("PRAGMA quick_check").map_err(|error| uncompiled(error, "quick_check"))?;
        let damage = scratch.quick_check().map_err(refused)?;
        if let Some(first) = damage.into_iter().next() {
            return Err(corrupt(&first));
        }
        scratch.check_reserved_names()?;
        scratch.check_views()?;
        scratch.check_schema()?;
        // Later statements are tidelock's own, so values need no limit any more.
        scratch.limit_values(u64::MAX);
        if utf16 { scratch.in_utf8() } else { Ok((scratch, file)) }
    }

    /// Returns a copy of the database in UTF-8: SQLite can neither change the encoding of an open database nor copy between two
    /// encodings.
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
        let file = PageFile::new(run_in_scratch(&text, u64::MAX, deadline).map_err(refused)?);
        Ok((Connection::open(&file).map_err(refused)?, file))
    }

    /// Fails with `invalid_argument` if a view, a trigger or a foreign key of a file or snapshot names a table of tidelock: rows that it
    /// writes there would be pushed with the user's permissions. Also if an entry of the schema isn't as SQLite writes it.
    pub fn check_reserved_names(&self) -> Result<()> {
        self.check_entries()?;
        let is_own = |name: &str| name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("tidelock_"));
        let mut found = self.naming(&["view", "trigger"], &is_own)?.map(|(name, _)| name);
        if found.is_none() {
            found = self.table_referring_to(&is_own).map_err(refused)?;
        }
        let Some(name) = found else { return Ok(()) };
        Err(Error::invalid(format!("The file's schema can't be used here: {name} uses tidelock's own tables"))
            .hint("Drop it, with the program that created the file")
            .detail("name", name))
    }

    /// Fails with `invalid_argument` if an entry of the schema isn't as SQLite writes it: SQLite also reads blobs, types in capitals, and
    /// texts up to a NUL, so such an entry would be used but not found by its type or name.
    fn check_entries(&self) -> Result<()> {
        for row in self.rows("SELECT type, name, tbl_name, sql FROM main.sqlite_schema", &[]).map_err(refused)? {
            if !is_plain(&row) {
                let name = row[1].as_text().unwrap_or_default();
                return Err(Error::invalid(format!(
                    "The file's schema can't be used here: its entry {name} isn't as SQLite writes it"
                ))
                .hint("Make the file again, with SQLite's .dump")
                .detail("name", name));
            }
        }
        Ok(())
    }

    /// Fails with `invalid_argument` if these tables of a file could ignore or remove rows: by a trigger that names them, or by ON CONFLICT
    /// or a foreign key in their definition.
    pub fn check_kept(&self, tables: &[&str]) -> Result<()> {
        let is_kept = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
        if let Some((name, table)) = self.naming(&["trigger"], &is_kept)? {
            return Err(Error::invalid(format!(
                "The file's schema can't be used here: {name} is a trigger that uses {table}"
            ))
            .hint("Drop it, with the program that created the file")
            .detail("name", name)
            .detail("table", table));
        }
        for row in self.rows("SELECT name, sql FROM main.sqlite_schema WHERE type = 'table'", &[]).map_err(refused)? {
            let text = |at: usize| row[at].as_text().unwrap_or_default();
            let is_lossy = |token: Token<'_>| token.is("conflict") || token.is("references");
            if is_kept(text(0)) && each_token(text(1)).any(is_lossy) {
                let table = text(0);
                return Err(Error::invalid(format!(
                    "The file's schema can't be used here: {table} has ON CONFLICT or a foreign key"
                ))
                .hint("Create the table without them, with the program that created the file")
                .detail("table", table));
            }
        }
        Ok(())
    }

    /// Returns the first schema entry of these types whose text has such a name, and the name. Searches the text, since the named table
    /// may be created later.
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

    /// Returns the first table that has a foreign key to such a table.
    fn table_referring_to(&self, is_meant: &dyn Fn(&str) -> bool) -> Result<Option<String>> {
        for row in self.rows("SELECT name FROM main.sqlite_schema WHERE type = 'table'", &[])? {
            let name = row[0].as_text().unwrap_or_default();
            if self.foreign_keys(name)?.iter().any(|key| is_meant(&key.parent)) {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    /// Compiles a read and the writes of every view and table, with their triggers, so that errors appear now and not in later
    /// statements.
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
            // If the columns can't be listed, the view can't be read either: it may name missing tables, which is legal.
            let columns = self.columns(name).unwrap_or_default();
            let columns: Vec<_> =
                columns.iter().filter(|column| !column.generated).map(|column| quote(&column.name)).collect();
            if columns.is_empty() {
                continue;
            }
            // Its collations.
            compile(&format!("SELECT * FROM {table} ORDER BY {}", columns.join(", ")))?;
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = {column}")).collect();
            compile(&format!("UPDATE {table} SET {}", set.join(", ")))?;
            let values = vec!["NULL"; columns.len()].join(", ");
            compile(&format!("INSERT INTO {table}({}) VALUES ({values})", columns.join(", ")))?;
        }
        Ok(())
    }

    /// Fails if SQLite reports damage, or something that the file may not contain. Other errors are legal in any database: a
    /// view of a dropped table, or shadow tables that refuse writes.
    fn try_to_compile(&self, name: &str, sql: &str) -> Result<()> {
        if self.is_past_deadline() {
            return Err(too_slow());
        }
        match self.statement(sql) {
            Err(error) if error.is(ErrorCode::DatabaseCorrupt) || needs_more(&error.message) => {
                Err(refused(error).detail("name", name))
            }
            Err(error) if error.is(ErrorCode::OutOfMemory) || error.is(ErrorCode::Timeout) => {
                Err(uncompiled(error, name))
            }
            _ => Ok(()),
        }
    }

    /// Fails with `invalid_argument` if views expand to too many selects, counted by the names in their texts. A cycle counts as too many,
    /// even if the names are those of common table expressions.
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
        // Like SQLite, level by level: expands the views inside the views that were expanded before.
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

/// Returns whether a type, a name, the table's name and an SQL text are such as SQLite writes them into a schema.
fn is_plain(entry: &[Value]) -> bool {
    let text = |at: usize| entry[at].as_text().filter(|text| !text.contains('\0'));
    let (Some(kind), Some(name), Some(table)) = (text(0), text(1), text(2)) else { return false };
    match kind {
        // The index of a constraint.
        "index" if entry[3] == Value::Null => true,
        "index" | "trigger" => text(3).is_some_and(is_permanent),
        "table" | "view" => name == table && text(3).is_some_and(is_permanent),
        _ => false,
    }
}

/// Returns whether a CREATE statement isn't about a temporary object.
fn is_permanent(sql: &str) -> bool {
    !each_token(sql).nth(1).is_some_and(|word| word.is("temp") || word.is("temporary"))
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
    // The mark of WAL mode. The WAL file isn't part of an import, so clearing the mark is enough.
    versions.fill(1);
    // SQLite reads only two bits of it when it opens a file, but compares the number when the contents are replaced.
    if !matches!(header[56..60], [0, 0, 0, 0..=3]) {
        return Err(corrupt("its text encoding is unknown"));
    }
    // SQLite would read zeros in the place of what is missing.
    if !image.len().is_multiple_of(image.page_size.into()) {
        return Err(corrupt("its last page is cut off"));
    }
    Ok(())
}

/// Returns the error of a file whose schema has a statement that is too long, if that is the failure.
fn long_definition(error: &Error) -> Option<Error> {
    let is_too_long = error.details.get("sqliteCode") == Some(&Detail::Text("SQLITE_TOOBIG".into()));
    is_too_long.then(|| {
        Error::invalid(format!(
            "The file's schema can't be used here: it has a statement of more than {LONGEST_DEFINITION} bytes"
        ))
        .hint("Drop its object, with the program that created the file")
    })
}

/// Converts an error of SQLite to the error of the file. What a function of the user threw stays as it is.
fn refused(error: Error) -> Error {
    match error.code {
        _ if needs_more(&error.message) => lacking(error),
        ErrorCode::SqliteError if error.details.contains_key("function") => error,
        ErrorCode::SqliteError | ErrorCode::DatabaseCorrupt => corrupt(&error.message),
        ErrorCode::Timeout => too_slow(),
        _ => error,
    }
}

/// Converts the error of a statement that SQLite couldn't compile. It reports a program that is too long as a lack of memory.
fn uncompiled(error: Error, name: &str) -> Error {
    if !error.is(ErrorCode::OutOfMemory) || room_for(PROGRAM_BYTES).is_err() {
        return refused(error);
    }
    Error::invalid(format!(
        "The file's schema can't be used here: {name} needs more than {LONGEST_PROGRAM} instructions of SQLite"
    ))
    .hint("Drop generated columns and views that name each other many times, with the program that created the file")
    .detail("name", name)
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, format!("The file is not a valid SQLite database: {what}"))
        .hint("Check where it comes from; nothing has changed")
}
