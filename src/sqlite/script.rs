//! Texts of several statements.

use std::{ops::Range, rc::Rc};

use rusqlite::ffi;

use super::{
    Authority, Connection, Statement,
    prepared::Prepared,
    text::{first_word, is_vacuum, line_of, skip_blank, statement_length, statements},
};
use crate::error::{Detail, Error, Result};

impl Connection {
    /// Compiles the statements of a script one after the other and hands each over, with its place in the script (bytes),
    /// before the next is compiled: a statement may need what the one before it made. `each` runs it or not.
    ///
    /// An error stops the script. It carries `details.line`, from 1, and `details.offset`, in bytes, both in the script:
    /// of the place that SQLite tells, else of the statement's beginning (the line only).
    pub fn for_each_statement(
        &self,
        script: &str,
        authority: Authority,
        mut each: impl FnMut(&mut Statement<'_>, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let mut rest = skip_blank(script);
        while !rest.is_empty() {
            let start = script.len() - rest.len();
            let (raw, length) = self.compile_first(rest, authority).map_err(|error| place(error, script, start))?;
            let Some(raw) = raw else { return Ok(()) };
            let facts = self.watcher().take_facts();
            let prepared = Rc::new(Prepared::new(raw, &rest[..length], authority, facts));
            let mut statement = Statement::new(self, prepared);
            each(&mut statement, start..start + length).map_err(|error| place(error, script, start))?;
            drop(statement);
            rest = skip_blank(&rest[length..]);
        }
        Ok(())
    }

    /// Compiles the first statement of a script. Only that goes to SQLite, which copies all that it is given: a long script
    /// would be copied again for each of its statements.
    fn compile_first(&self, script: &str, authority: Authority) -> Result<(Option<*mut ffi::sqlite3_stmt>, usize)> {
        let first = &script[..statement_length(script)];
        match self.compile(first, authority, 0) {
            // SQLite knows better where it ends.
            Err(error) if first.len() < script.len() && error.message == "incomplete input" => {
                self.compile(script, authority, 0)
            }
            compiled => compiled,
        }
    }

    /// Runs all statements of a script with [`Authority::Engine`], one after the other, without a transaction of its own.
    /// Errors as for [`for_each_statement`](Self::for_each_statement).
    pub fn exec(&self, script: &str) -> Result<()> {
        self.for_each_statement(script, Authority::Engine, |statement, _| statement.finish().map(drop))
    }
}

/// Says where in the script an error of one of its statements is.
fn place(mut error: Error, script: &str, start: usize) -> Error {
    if error.details.contains_key("line") {
        return error;
    }
    let mut at = start;
    if let Some(Detail::Int(offset)) = error.details.get_mut("offset") {
        *offset += start as i64;
        at = *offset as usize;
    }
    error.detail("line", line_of(script, at))
}

/// What a script is made of, read from its text alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptOutline {
    /// How many statements it has.
    pub statements: usize,
    /// Whether one of them is BEGIN.
    pub begins: bool,
    /// Whether one of them is COMMIT, END or ROLLBACK.
    pub ends: bool,
    /// Whether it is one VACUUM and nothing else.
    pub vacuum: bool,
}

impl ScriptOutline {
    /// Reads a script. Nothing is compiled: what is no SQL at all counts as a statement.
    pub fn of(script: &str) -> Self {
        let mut outline = Self::default();
        for statement in statements(script) {
            let word = first_word(statement);
            let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
            outline.statements += 1;
            outline.begins |= is("BEGIN");
            outline.ends |= is("COMMIT") || is("END") || is("ROLLBACK");
            outline.vacuum = outline.statements == 1 && is_vacuum(statement);
        }
        outline
    }

    /// Whether it opens and ends transactions by itself, so that it must run as written.
    pub fn has_own_transaction(&self) -> bool {
        self.begins && self.ends
    }
}
