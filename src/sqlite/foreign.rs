//! Database files from outside: checked in a scratch database before anything of them counts.
//!
//! Such a file may be cut off, damaged, of another kind, or made to do harm: pages that lie about each other, a schema
//! that was written by hand, views and triggers that call what isn't there or isn't theirs to call.

use super::{Connection, Image, PageFile, dump::run_apart, image::page_size_of, text::quote};
use crate::{
    error::{Error, ErrorCode, Result},
    memory::no_memory,
    value::Value,
};

/// What SQLite says of a schema that needs functions, modules or collations that it can't have.
const NEEDS: [&str; 5] =
    ["no such function", "unknown function", "unsafe use of", "no such module", "no such collation sequence"];

/// Whether this is what SQLite says where a schema needs functions, modules or collations that aren't there.
pub fn needs_more(error: &Error) -> bool {
    NEEDS.iter().any(|need| error.message.contains(need))
}

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
        let scratch = Connection::open(&file).map_err(refused)?;
        Ok(Foreign { scratch, file, utf16 })
    }

    fn check_foreign(self, file: PageFile, utf16: bool) -> Result<(Connection, PageFile)> {
        let scratch = self;
        let damage = scratch.quick_check().map_err(refused)?;
        if let Some(first) = damage.into_iter().next() {
            return Err(corrupt(&first));
        }
        scratch.check_schema()?;
        if utf16 { scratch.in_utf8() } else { Ok((scratch, file)) }
    }

    /// The same database in UTF-8: SQLite can't change the encoding of an open one, nor copy between two.
    fn in_utf8(self) -> Result<(Connection, PageFile)> {
        let mut text = Vec::new();
        self.dump(&mut |piece| {
            text.try_reserve(piece.len()).map_err(|_| no_memory("to bring the file to UTF-8"))?;
            text.extend_from_slice(piece);
            Ok(())
        })?;
        drop(self);
        let text = String::from_utf8(text).map_err(|_| corrupt("its texts can't be read"))?;
        let file = PageFile::new(run_apart(&text, u64::MAX)?);
        Ok((Connection::open(&file)?, file))
    }

    /// Compiles what the schema would have compiled later: every view and table as it is read, and as it is written with
    /// the triggers on it.
    fn check_schema(&self) -> Result<()> {
        let sql = "SELECT name, type FROM main.sqlite_schema WHERE type IN ('table', 'view')
                   AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        for row in self.rows(sql, &[]).map_err(refused)? {
            let name = row[0].as_text().unwrap_or_default();
            let table = format!("main.{}", quote(name));
            self.try_to_compile(name, &format!("SELECT * FROM {table}"))?;
            self.try_to_compile(name, &format!("DELETE FROM {table}"))?;
            let columns =
                self.rows("SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0", &[Value::from(name)]);
            // What can't be listed can't be read either; a view may name tables that don't exist.
            let columns: Vec<_> =
                columns.unwrap_or_default().iter().filter_map(|row| row[0].as_text().map(quote)).collect();
            if columns.is_empty() {
                continue;
            }
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = {column}")).collect();
            self.try_to_compile(name, &format!("UPDATE {table} SET {}", set.join(", ")))?;
            let values = vec!["NULL"; columns.len()].join(", ");
            self.try_to_compile(name, &format!("INSERT INTO {table}({}) VALUES ({values})", columns.join(", ")))?;
        }
        Ok(())
    }

    /// Fails where SQLite finds damage, or something that the file may not have. What else may be wrong with a view (a
    /// table that was dropped), and that shadow tables take no writes, is as legal as in any other database.
    fn try_to_compile(&self, name: &str, sql: &str) -> Result<()> {
        match self.statement(sql) {
            Err(error) if error.is(ErrorCode::DatabaseCorrupt) || needs_more(&error) => {
                Err(refused(error).detail("name", name))
            }
            Err(error) if error.is(ErrorCode::OutOfMemory) => Err(error),
            _ => Ok(()),
        }
    }
}

fn check_header(image: &mut Image) -> Result<()> {
    let Some(header) = image.chunks.first_mut().filter(|first| first.len() >= 100 && page_size_of(first).is_some())
    else {
        return Err(corrupt("it doesn't begin as a SQLite database does"));
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

/// The error of a file, for one of SQLite.
fn refused(error: Error) -> Error {
    if needs_more(&error) {
        return Error::invalid(format!("The file's schema can't be used here: {}", error.message))
            .hint("Drop what needs it, with the program that made the file")
            .cause(error);
    }
    match error.code {
        ErrorCode::SqliteError | ErrorCode::DatabaseCorrupt => corrupt(&error.message),
        _ => error,
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, format!("The file is no sound SQLite database: {what}"))
        .hint("Check where it comes from; nothing has changed")
}
