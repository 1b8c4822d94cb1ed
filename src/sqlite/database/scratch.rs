//! Runs external SQL text in a scratch database.

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{
        Authority, Connection, Deadline, Image, PageFile,
        connection::pragmas::LONGEST_DEFINITION,
        failure::needs_more,
        sql::{
            text::{first_statement, line_of, statements},
            tokens::each_token,
        },
    },
};

/// Runs an SQL text in an empty scratch database, and returns the resulting file.
pub(in crate::sqlite) fn run_in_scratch(script: &str, max_bytes: u64, deadline: Option<Deadline>) -> Result<Image> {
    if first_statement(script).is_empty() {
        return Err(Error::invalid("There is no SQL statement in this text").hint("It is empty, or a comment"));
    }
    let is_slow = |statement: &&str| {
        statement.len() as u64 > LONGEST_DEFINITION && each_token(statement).any(|token| token.is("with"))
    };
    if let Some(slow) = statements(script).find(is_slow) {
        let line = line_of(script, slow.as_ptr().addr() - script.as_ptr().addr());
        return Err(Error::invalid(format!(
            "The SQL text has a statement with table expressions (WITH) of more than {LONGEST_DEFINITION} bytes"
        ))
        .hint("SQLite takes too long to read such a statement: split it")
        .detail("line", line));
    }
    let file = PageFile::default();
    file.set_max_bytes(max_bytes);
    let connection = Connection::open(&file)?;
    connection.limit_values(script.len() as u64);
    // The text writes the schema entries of virtual tables directly; the later check detects invalid ones.
    connection.set_defensive(false);
    connection.set_deadline(deadline);
    // Other programs' texts may have a table's rows before the table that they refer to.
    connection.enforce_foreign_keys(false)?;
    let run = connection.for_each_statement(script, Authority::File, &mut |statement, _| statement.run());
    run.map_err(|error| match error.code {
        ErrorCode::Timeout => too_slow(),
        _ if needs_more(&error.message) => {
            let position = ["line", "offset"].map(|name| (name, error.details.get(name).cloned()));
            position.into_iter().fold(lacking(error), |lacking, (name, value)| match value {
                Some(value) => lacking.detail(name, value),
                None => lacking,
            })
        }
        _ => error,
    })?;
    if connection.in_transaction() {
        return Err(Error::invalid("The SQL text leaves a transaction open").hint("The text may be truncated"));
    }
    drop(connection);
    file.image()
}

/// Converts the error of a file or SQL text that needs missing or forbidden functions, modules or collations.
pub(in crate::sqlite) fn lacking(error: Error) -> Error {
    Error::invalid(format!("The file's schema can't be used here: {}", error.message))
        .hint("Register the functions and collations that are missing, or drop what needs them, with the program that created the file")
        .cause(error)
}

/// Returns the error of a file or SQL text whose check exceeded its deadline.
pub(in crate::sqlite) fn too_slow() -> Error {
    Error::new(ErrorCode::Timeout, "The file takes too long to check")
        .hint("Check where it comes from; nothing has changed")
}
