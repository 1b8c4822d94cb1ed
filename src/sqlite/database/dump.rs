//! Writes a database as SQL text, in the format of `.dump` in SQLite's shell, and reads such a text.
//!
//! The text has tables with their rows first, then indexes, views and triggers, so that no trigger fires when the text is
//! run. It contains the whole file, including `sqlite_sequence`, `sqlite_stat1` and the tables of tidelock. A virtual table
//! is inserted into the schema table instead of being created, since `CREATE VIRTUAL TABLE` would also create its shadow
//! tables, which the text has as ordinary tables. This needs `PRAGMA writable_schema`, so SQLite's shell and
//! [`Connection::open_sql`] can run a text with virtual tables, but `exec` can't.

use rusqlite::ffi;

use crate::{
    error::Result,
    memory::no_memory,
    sqlite::{
        Connection, Deadline, ExternalFile, Statement, Step,
        database::scratch::run_in_scratch,
        sql::text::{mentions, quote, statement_end},
        tables::TableInfo,
    },
    value::Value,
};

/// The size in bytes at which a piece of the text is passed to the sink.
const SLICE: usize = 1 << 20;

/// Receives a piece of the text. A piece may end anywhere.
pub type Sink<'s> = dyn FnMut(&[u8]) -> Result<()> + 's;

impl Connection {
    /// Writes the whole database as SQL text (UTF-8), piece by piece. The caller must prevent writes meanwhile.
    ///
    /// Fails with SQLite's errors, and with those of the sink.
    pub fn dump(&self, sink: &mut Sink<'_>) -> Result<()> {
        let real = self.statement("SELECT quote(?1)")?;
        let mut dump = Dump { connection: self, real, out: Vec::new(), sink };
        dump.out.try_reserve_exact(SLICE).map_err(|_| no_memory("for the SQL text"))?;
        dump.database()?;
        dump.flush()
    }

    /// Runs an external SQL text in a scratch database of at most `max_bytes`, until `deadline`. [`ExternalFile::check`] must
    /// follow.
    ///
    /// Fails with SQLite's error and the line of the statement, with `timeout`, with `invalid_argument` if the text leaves a
    /// transaction open or has no statement, and with the errors of a foreign file.
    pub fn open_sql(script: &str, max_bytes: u64, deadline: Option<Deadline>) -> Result<ExternalFile> {
        Self::open_external(run_in_scratch(script, max_bytes, deadline)?, None)
    }
}

struct Dump<'c, 's> {
    connection: &'c Connection,
    /// SQLite writes a double with as many digits as reading the same value needs.
    real: Statement<'c>,
    out: Vec<u8>,
    sink: &'s mut Sink<'s>,
}

impl Dump<'_, '_> {
    fn database(&mut self) -> Result<()> {
        self.put("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")?;
        for pragma in ["user_version", "application_id"] {
            let value = self.connection.value(&format!("PRAGMA main.{pragma}"), &[])?;
            if let Some(value) = value.as_ref().and_then(Value::as_integer).filter(|value| *value != 0) {
                self.put(&format!("PRAGMA {pragma}={value};\n"))?;
            }
        }
        let sql = "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND sql IS NOT NULL
                   ORDER BY name = 'sqlite_sequence', rowid";
        let tables = self.connection.rows(sql, &[])?;
        let text = |row: &Vec<Value>, at: usize| row[at].as_text().unwrap_or_default().to_owned();
        let counts = tables.iter().any(|row| mentions(&text(row, 1), "AUTOINCREMENT"));
        let mut writes_schema = false;
        for row in &tables {
            let (name, sql) = (text(row, 0), text(row, 1));
            match name.as_str() {
                // The INSERTs before have filled it. It exists only if a table uses AUTOINCREMENT.
                "sqlite_sequence" if counts => self.put("DELETE FROM sqlite_sequence;\n")?,
                "sqlite_stat1" => self.put("ANALYZE sqlite_schema;\n")?,
                _ if name.starts_with("sqlite_") => continue,
                _ if sql.to_ascii_uppercase().starts_with("CREATE VIRTUAL TABLE") => {
                    if !std::mem::replace(&mut writes_schema, true) {
                        self.put("PRAGMA writable_schema=ON;\n")?;
                    }
                    self.virtual_table(&name, &sql)?;
                    continue;
                }
                _ => self.statement(&sql)?,
            }
            self.rows(&name)?;
        }
        let sql = "SELECT sql FROM main.sqlite_schema WHERE type IN ('index', 'view', 'trigger') AND sql IS NOT NULL
                   ORDER BY CASE type WHEN 'index' THEN 0 WHEN 'view' THEN 1 ELSE 2 END, rowid";
        for row in self.connection.rows(sql, &[])? {
            self.statement(&text(&row, 0))?;
        }
        if writes_schema {
            self.put("PRAGMA writable_schema=OFF;\n")?;
        }
        // ExternalFile keys are always on in tidelock, and in SQLite's shell nothing follows that this could affect.
        self.put("COMMIT;\nPRAGMA foreign_keys=ON;\n")
    }

    fn virtual_table(&mut self, name: &str, sql: &str) -> Result<()> {
        self.put("INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table',")?;
        self.text(name.as_bytes())?;
        self.put(",")?;
        self.text(name.as_bytes())?;
        self.put(",0,")?;
        self.text(sql.as_bytes())?;
        self.put(");\n")
    }

    /// Returns a statement of the schema with a terminating semicolon, also if it ends with a comment.
    fn statement(&mut self, sql: &str) -> Result<()> {
        self.put(sql)?;
        self.put(statement_end(sql))?;
        self.put("\n")
    }

    /// Writes all rows of a table as INSERT statements.
    fn rows(&mut self, name: &str) -> Result<()> {
        let Some(info) = TableInfo::read(self.connection, name)? else { return Ok(()) };
        let stored = info.columns.iter().filter(|column| !column.generated);
        let mut names: Vec<String> = stored.map(|column| column.name.clone()).collect();
        let rowid = self.rowid_to_keep(&info)?;
        let listed = names.len() < info.columns.len() || rowid.is_some();
        names.splice(0..0, rowid.map(str::to_owned));

        let table = quote(name);
        let list: Vec<_> = names.iter().map(|name| quote(name)).collect();
        // Without indexes, since a covering index would change the order of the rows.
        let sql = format!("SELECT {} FROM main.{table} NOT INDEXED", list.join(","));
        let mut begin = format!("INSERT INTO {}", plain_or_quoted(name));
        if listed {
            let list: Vec<_> = names.iter().map(|name| plain_or_quoted(name)).collect();
            begin += &format!("({})", list.join(","));
        }
        begin += " VALUES(";
        let mut rows = self.connection.statement(&sql)?;
        while rows.step()? == Step::Row {
            self.put(&begin)?;
            for column in 0..names.len() {
                if column > 0 {
                    self.put(",")?;
                }
                self.value(&rows, column)?;
            }
            self.put(");\n")?;
        }
        Ok(())
    }

    /// Returns the name of the rowid if no column holds the rowids and inserting the rows in order would not reproduce them.
    /// Other tables, such as full-text indexes, may refer to rowids.
    fn rowid_to_keep(&self, info: &TableInfo) -> Result<Option<&'static str>> {
        let Some(rowid) = info.rowid_name() else { return Ok(None) };
        let table = quote(&info.name);
        let test = match info.rowid_column(self.connection)? {
            Some(key) => format!("SELECT 1 FROM main.{table} WHERE {rowid} IS NOT {} LIMIT 1", quote(key)),
            None => format!(
                "SELECT 1 FROM (SELECT count(*) AS rows, min({rowid}) AS first, max({rowid}) AS last FROM main.{table}) \
                 WHERE first <> 1 OR last <> rows"
            ),
        };
        Ok(self.connection.value(&test, &[])?.map(|_| rowid))
    }

    fn value(&mut self, row: &Statement<'_>, column: usize) -> Result<()> {
        match row.kind(column) {
            ffi::SQLITE_INTEGER => self.put(&row.column_i64(column).to_string()),
            // SQLite writes it without its sign.
            ffi::SQLITE_FLOAT if row.column_f64(column).to_bits() == (-0.0_f64).to_bits() => self.put("-0.0"),
            ffi::SQLITE_FLOAT => {
                self.real.bind(1, &Value::Real(row.column_f64(column)))?;
                self.real.step()?;
                let literal = self.real.column_text(0).unwrap_or("NULL").to_owned();
                self.real.reset();
                self.put(&literal)
            }
            ffi::SQLITE_TEXT => self.text(row.column_bytes(column)),
            ffi::SQLITE_BLOB => self.blob(row.column_bytes(column)),
            _ => self.put("NULL"),
        }
    }

    /// Returns a text as a literal, or as a blob cast to text if it has NUL or isn't UTF-8.
    fn text(&mut self, text: &[u8]) -> Result<()> {
        if text.contains(&0) || std::str::from_utf8(text).is_err() {
            self.put("CAST(")?;
            self.blob(text)?;
            return self.put(" AS TEXT)");
        }
        self.put("'")?;
        for (index, piece) in text.split(|byte| *byte == b'\'').enumerate() {
            if index > 0 {
                self.put("''")?;
            }
            self.write(piece)?;
        }
        self.put("'")
    }

    fn blob(&mut self, bytes: &[u8]) -> Result<()> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.put("X'")?;
        for byte in bytes {
            self.write(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])?;
        }
        self.put("'")
    }

    fn put(&mut self, text: &str) -> Result<()> {
        self.write(text.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.out.len() + bytes.len() > self.out.capacity() {
            self.flush()?;
        }
        if bytes.len() > self.out.capacity() {
            return (self.sink)(bytes);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        (self.sink)(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

/// Returns a name like SQLite's shell: quoted only if necessary.
pub fn plain_or_quoted(name: &str) -> String {
    let plain = |(at, byte): (usize, u8)| byte == b'_' || byte.is_ascii_alphabetic() || at > 0 && byte.is_ascii_digit();
    // SAFETY: the name is given with its length.
    let keyword = || unsafe { ffi::sqlite3_keyword_check(name.as_ptr().cast(), name.len() as i32) != 0 };
    if !name.is_empty() && name.bytes().enumerate().all(plain) && !keyword() { name.to_owned() } else { quote(name) }
}
