//! Scripts: texts of several statements.

use std::ops::Range;

use crate::{
    error::{Detail, Error, Result},
    memory::no_memory,
    sqlite::{
        Authority, Connection, Statement,
        sql::{
            table_expressions,
            text::{
                first_word, is_begin, is_vacuum, line_of, mentions, must_be_whole, skip_blank, statement_length,
                statements,
            },
        },
    },
};

/// Called with each statement of a script.
type Each<'a> = dyn FnMut(&mut Statement<'_>, Range<usize>) -> Result<()> + 'a;

impl Connection {
    /// Compiles the statements of a script one after the other, and passes each to `each`, with its byte range in the script,
    /// before the next is compiled: a statement may need the effects of the one before. `each` decides whether to run it.
    ///
    /// An error stops the script. It carries `details.line`, from 1, and `details.offset`, in bytes, both in the script:
    /// of the position that SQLite reports, else of the statement's beginning (the line only).
    pub fn for_each_statement(&self, script: &str, authority: Authority, each: &mut Each<'_>) -> Result<()> {
        must_be_whole(script).map_err(|error| place(error, script, 0))?;
        // SQLite compiles a NUL-terminated text in place. It would copy any other, all of the rest for each statement.
        let mut text = String::new();
        text.try_reserve_exact(script.len() + 1).map_err(|_| no_memory("for the script"))?;
        text.push_str(script);
        text.push('\0');
        let text = text.as_str();
        let mut statement = Statement::of_script(self, authority);
        let mut start = script.len() - skip_blank(script).len();
        let is_checked = table_expressions::may_exceed(script);
        while start < script.len() {
            let rest = &text[start..];
            if is_checked {
                let statement = &rest[..statement_length(rest)];
                table_expressions::check(statement).map_err(|error| place(error, script, start))?;
            }
            let (raw, length) = self.compile(rest, authority, 0).map_err(|error| place(error, script, start))?;
            let Some(raw) = raw else { break };
            statement.begin(raw);
            // VACUUM attaches a temporary database, which the authorizer refuses to a script's own ATTACH.
            self.watcher().allow_vacuum(authority == Authority::Script && is_vacuum(rest));
            let end = (start + length).min(script.len());
            let result = each(&mut statement, start..end);
            self.watcher().allow_vacuum(false);
            // Before the next one is compiled, so that SQLite reuses the memory.
            statement.end();
            result.map_err(|error| place(error, script, start))?;
            start = script.len() - skip_blank(&script[end..]).len();
        }
        Ok(())
    }

    /// Runs all statements of a script with [`Authority::Engine`], one after the other, without a transaction of its own.
    /// Errors as for [`for_each_statement`](Self::for_each_statement).
    pub fn exec(&self, script: &str) -> Result<()> {
        self.for_each_statement(script, Authority::Engine, &mut |statement, _| statement.run())
    }
}

/// Adds an error's position in the script.
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

/// An outline of a script, from its text alone.
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
    /// Outlines a script. Nothing is compiled: text that is no SQL counts as a statement.
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

    /// Returns whether the script begins and ends transactions itself, so that it must run as written.
    pub fn has_own_transaction(&self) -> bool {
        self.begins && self.ends
    }
}

/// How to run a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionMode {
    /// In one transaction.
    Whole,
    /// As written: it has its own transactions, and must leave none open.
    AsWritten,
    /// Outside of a transaction: it is one VACUUM and nothing else.
    Vacuum,
}

impl TransactionMode {
    /// Determines it from the script's text; reads a long script to its end only if its beginning isn't enough.
    pub fn of(script: &str) -> Self {
        if is_begin(script) {
            return Self::AsWritten;
        }
        if !is_vacuum(script) && !mentions(script, "begin") {
            return Self::Whole;
        }
        let outline = ScriptOutline::of(script);
        match (outline.vacuum, outline.has_own_transaction()) {
            (true, _) => Self::Vacuum,
            (_, true) => Self::AsWritten,
            _ => Self::Whole,
        }
    }
}
