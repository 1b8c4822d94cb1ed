//! Matches parameters with the values of a buffer, and binds the values without a copy.

use std::ffi::c_int;

use rusqlite::ffi;

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{
        codec::{FlatParams, Param, ParamReader, malformed},
        statement::prepared::{Places, PreparedStatement},
    },
};

impl Places {
    /// Matches the given values with the statement's parameters. `names` is empty for positional parameters, else the columns'
    /// names joined by NUL, without prefix. Fails with `invalid_argument`, naming the first missing or
    /// unexpected parameter.
    pub fn find(prepared: &PreparedStatement, columns: usize, names: &str) -> Result<Self> {
        if names.is_empty() {
            check_count(columns, prepared.parameter_count())?;
            return Ok(Self::Positional);
        }
        let names: Vec<&str> = names.split('\0').collect();
        if names.len() != columns {
            return Err(malformed("as many names as columns are needed"));
        }
        let mut pairs = Vec::with_capacity(columns);
        for index in 1..=prepared.parameter_count() {
            let whole = prepared.parameter_name(index).filter(|name| !name.starts_with('?')).ok_or_else(|| {
                Error::invalid(format!("Parameter {index} of the statement has no name"))
                    .hint("Pass an array of values for ?, an object for :name")
                    .detail("parameter", index)
            })?;
            let column = names.iter().position(|name| *name == &whole[1..]).ok_or_else(|| {
                Error::invalid(format!("Parameter {whole} is missing"))
                    .hint("Use null for SQL NULL")
                    .detail("parameter", &whole[1..])
            })?;
            pairs.push((column, index as c_int));
        }
        if let Some(extra) = (0..columns).find(|column| !pairs.iter().any(|(taken, _)| taken == column)) {
            let name = names[extra];
            return Err(Error::invalid(format!("The statement has no parameter named {name}"))
                .hint("Pass names without their prefix : @ or $")
                .detail("parameter", name));
        }
        pairs.sort_unstable();
        Ok(Self::Named(columns, pairs))
    }

    /// Returns whether values with this number of columns fit the same places. Fails like [`find`](Self::find).
    pub fn check(&self, prepared: &PreparedStatement, columns: usize) -> Result<()> {
        match self {
            Self::Positional => check_count(columns, prepared.parameter_count()),
            Self::Named(known, _) if *known == columns => Ok(()),
            Self::Named(..) => Err(malformed("other names than before")),
        }
    }

    /// Binds the next row of values. The statement must be reset.
    ///
    /// # Safety
    /// The buffer must outlive the bindings, which point into it until they are replaced or cleared.
    pub unsafe fn bind(
        &self,
        prepared: &PreparedStatement,
        columns: usize,
        values: &mut ParamReader<'_>,
    ) -> Result<()> {
        match self {
            Self::Positional => {
                for index in 1..=columns as c_int {
                    // SAFETY: as the caller promises.
                    unsafe { bind(prepared, index, values.next()?)? };
                }
            }
            Self::Named(_, pairs) => {
                let mut pairs = pairs.iter().peekable();
                for column in 0..columns {
                    let value = values.next()?;
                    while let Some((_, index)) = pairs.next_if(|(taken, _)| *taken == column) {
                        // SAFETY: as the caller promises.
                        unsafe { bind(prepared, *index, value)? };
                    }
                }
            }
        }
        Ok(())
    }
}

/// SAFETY: the value must outlive the binding.
#[inline(always)]
unsafe fn bind(prepared: &PreparedStatement, index: c_int, value: Param<'_>) -> Result<()> {
    // SAFETY: as the caller promises.
    match unsafe { bind_as(prepared, index, value, ffi::SQLITE_STATIC()) } {
        ffi::SQLITE_OK => Ok(()),
        code => {
            Err(crate::sqlite::failure::from_code(code, "a parameter can't be bound")
                .detail("parameter", i64::from(index)))
        }
    }
}

/// Binds a value, and returns SQLite's code. SAFETY: with SQLITE_STATIC the value must outlive the binding; with SQLITE_TRANSIENT
/// SQLite copies it.
#[inline(always)]
pub(super) unsafe fn bind_as(
    prepared: &PreparedStatement,
    index: c_int,
    value: Param<'_>,
    copying: ffi::sqlite3_destructor_type,
) -> c_int {
    let raw = prepared.raw;
    // SAFETY: the statement is alive; the caller guarantees the lifetime of texts and blobs.
    unsafe {
        match value {
            Param::Null => ffi::sqlite3_bind_null(raw, index),
            Param::Integer(value) => ffi::sqlite3_bind_int64(raw, index, value),
            Param::Real(value) => ffi::sqlite3_bind_double(raw, index, value),
            Param::Text(text) => ffi::sqlite3_bind_text64(
                raw,
                index,
                text.as_ptr().cast(),
                text.len() as u64,
                copying,
                ffi::SQLITE_UTF8 as u8,
            ),
            Param::Blob(bytes) => {
                ffi::sqlite3_bind_blob64(raw, index, bytes.as_ptr().cast(), bytes.len() as u64, copying)
            }
        }
    }
}

/// Fails with `invalid_argument` if the numbers of values and parameters differ.
pub(in crate::sqlite) fn check_count(values: usize, parameters: usize) -> Result<()> {
    if values < parameters {
        let missing = values + 1;
        return Err(Error::invalid(format!("Parameter {missing} is missing: the statement takes {parameters}"))
            .hint("Use null for SQL NULL")
            .detail("parameter", missing));
    }
    if values > parameters {
        let extra = parameters + 1;
        return Err(Error::invalid(format!("There is no parameter {extra}: the statement takes {parameters}"))
            .hint("Pass one value for each ? of the statement")
            .detail("parameter", extra));
    }
    Ok(())
}

/// Removes bound values from an error's message: some functions of SQLite quote values that they can't parse (full-text
/// queries, JSON paths).
pub(in crate::sqlite) fn without_values(mut error: Error, params: Option<&FlatParams<'_>>) -> Error {
    let Some(params) = params.filter(|_| error.is(ErrorCode::SqliteError)) else { return error };
    let mut values = params.values();
    for _ in 0..params.rows() * params.columns() {
        match values.next() {
            Ok(Param::Text(text)) if quotes(&error.message, text) => {
                error.message = "SQLite can't read the text that a parameter holds".to_owned();
                break;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    error
}

/// Returns whether the text contains a part of the message that is quoted, or that follows a colon.
fn quotes(message: &str, text: &str) -> bool {
    let colon = message.as_bytes().windows(2).rposition(|window| window == b": ");
    let after_colon = colon.map_or(message, |at| &message[at + 2..]);
    let mut pieces = message.split(['"', '\'']).skip(1).chain([after_colon]);
    pieces
        .any(|piece| !piece.is_empty() && text.as_bytes().windows(piece.len()).any(|window| window == piece.as_bytes()))
}
