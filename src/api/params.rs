//! Parameters of statements.

use crate::{
    error::{Error, Result},
    sqlite::{FlatParams, tag},
    value::Value,
};

/// The most parameters of a statement.
const MOST_PARAMETERS: usize = 32_766;

/// The parameters of a statement: by position for `?`, by name for `:name`, `@name` and `$name`, or `()` for none.
///
/// The macros [`params!`](crate::params!) and [`named_params!`](crate::named_params!) make them. Arrays and vectors of
/// values are parameters by position, too. A wrong number and unknown names are `invalid_argument`.
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{OpenOptions, Storage, Value, named_params, params};
///
/// let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
/// let row = db.get("SELECT ? + ? AS sum", params![1, 2]).await?.unwrap();
/// assert_eq!(row["sum"], Value::Integer(3));
/// let row = db.get("SELECT :greeting || '!'", named_params! { "greeting": "hello" }).await?.unwrap();
/// assert_eq!(row[0], Value::from("hello!"));
/// let row = db.get("SELECT ?", [2.5]).await?.unwrap();
/// assert_eq!(row[0], Value::Real(2.5));
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    /// The names, without their prefixes; empty for parameters by position.
    names: Vec<String>,
    values: Vec<Value>,
}

impl Params {
    /// Returns parameters by position.
    pub fn positional(values: impl IntoIterator<Item = Value>) -> Self {
        Self { names: Vec::new(), values: values.into_iter().collect() }
    }

    /// Returns parameters by name, each with its prefix (`:`, `@` or `$`) or without.
    pub fn named<N: Into<String>>(values: impl IntoIterator<Item = (N, Value)>) -> Self {
        let (names, values) = values.into_iter().map(|(name, value)| (name.into(), value)).unzip();
        Self { names, values }
    }
}

impl From<()> for Params {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl<V: Into<Value>, const N: usize> From<[V; N]> for Params {
    fn from(values: [V; N]) -> Self {
        Self::positional(values.into_iter().map(Into::into))
    }
}

impl<V: Into<Value>> From<Vec<V>> for Params {
    fn from(values: Vec<V>) -> Self {
        Self::positional(values.into_iter().map(Into::into))
    }
}

/// One statement of [`Database::batch`](crate::Database::batch).
///
/// ```
/// use tidelock::{Statement, params};
///
/// let statement = Statement::new("INSERT INTO notes(body) VALUES (?)", params!["buy tea"]);
/// # let _ = statement;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(super) sql: String,
    pub(super) params: Params,
}

impl Statement {
    /// Creates a statement with its parameters.
    pub fn new(sql: impl Into<String>, params: impl Into<Params>) -> Self {
        Self { sql: sql.into(), params: params.into() }
    }
}

/// Returns parameters by position: `params![id, "text", 2.5, None::<i64>]`. Each value is one that [`Value`] is made
/// from. See [`Params`].
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        $crate::Params::positional(::std::vec![$($crate::Value::from($value)),*])
    };
}

/// Returns parameters by name: `named_params! { "id": 1, "title": "tea" }`. See [`Params`].
#[macro_export]
macro_rules! named_params {
    ($($name:literal : $value:expr),* $(,)?) => {
        $crate::Params::named::<&str>(::std::vec![$(($name, $crate::Value::from($value))),*])
    };
}

/// Parameters as the engine reads them: see [`FlatParams`].
#[derive(Clone, Debug, Default)]
pub(super) struct PackedParams {
    bytes: Vec<u8>,
    /// The names of the parameters, joined by NUL; empty for parameters by position.
    pub names: String,
}

impl PackedParams {
    /// Packs the parameters of one run. Fails with `invalid_argument` for a value that SQLite doesn't have.
    pub fn one(params: Params) -> Result<Self> {
        if params.values.is_empty() {
            return Ok(Self::default());
        }
        let names = checked_names(&params.names)?;
        Ok(Self { bytes: pack(&[params], None)?, names })
    }

    /// Packs the parameters of several runs, which must have the same shape. Fails with `invalid_argument`.
    pub fn many(rows: Vec<Params>) -> Result<Self> {
        let Some(first) = rows.first() else { return Ok(Self { bytes: pack(&rows, None)?, names: String::new() }) };
        let names = checked_names(&first.names)?;
        let (columns, known) = (first.values.len(), first.names.clone());
        for (row, params) in rows.iter().enumerate() {
            let want = if known.is_empty() {
                format!("{columns} values, like the first row")
            } else {
                format!("the names of the first row: {}", known.join(", "))
            };
            if params.values.len() != columns || params.names != known {
                return Err(
                    Error::invalid(format!("The parameters of row {} must be {want}", row + 1)).detail("row", row + 1)
                );
            }
        }
        Ok(Self { bytes: pack(&rows, Some(()))?, names })
    }

    /// Returns them as the engine reads them; `None` without parameters.
    pub fn read(&self) -> Result<Option<FlatParams<'_>>> {
        if self.bytes.is_empty() { Ok(None) } else { FlatParams::parse(&self.bytes).map(Some) }
    }
}

/// Returns the names without their prefixes, joined by NUL.
fn checked_names(names: &[String]) -> Result<String> {
    let bare: Vec<&str> = names.iter().map(|name| name.strip_prefix([':', '@', '$']).unwrap_or(name)).collect();
    if bare.iter().any(|name| name.is_empty() || name.contains('\0')) {
        return Err(Error::invalid("A parameter name must not be empty or contain NUL"));
    }
    if (1..bare.len()).any(|at| bare[..at].contains(&bare[at])) {
        return Err(Error::invalid(format!("A parameter is given twice: {}", bare.join(", ")))
            .hint("One name may have several prefixes in the statement, and is given once, without"));
    }
    Ok(bare.join("\0"))
}

/// Lays out rows of the same shape. With `several`, errors name the row.
fn pack(rows: &[Params], several: Option<()>) -> Result<Vec<u8>> {
    let columns = rows.first().map_or(0, |row| row.values.len());
    if columns > MOST_PARAMETERS {
        return Err(Error::invalid(format!("A statement has at most 32,766 parameters, and {columns} were given"))
            .hint("Use run_many for many rows, or json_each(?) for a long list")
            .detail("given", columns));
    }
    let (mut slots, mut tags) = (Vec::with_capacity(8 * rows.len() * columns), Vec::new());
    let (mut text, mut blobs) = (String::new(), Vec::new());
    for (row, params) in rows.iter().enumerate() {
        for (column, value) in params.values.iter().enumerate() {
            let (tag, slot) = match value {
                Value::Null => (tag::NULL, 0),
                Value::Integer(value) => (tag::BIGINT, *value as u64),
                Value::Real(value) if value.is_finite() => (tag::REAL, value.to_bits()),
                Value::Real(_) => {
                    let row = several.map(|()| row + 1);
                    return Err(not_finite(params.names.get(column), column + 1, row));
                }
                Value::Text(value) => {
                    text.push_str(value);
                    (tag::TEXT, (value.encode_utf16().count() as f64).to_bits())
                }
                Value::Blob(bytes) => {
                    blobs.extend_from_slice(bytes);
                    (tag::BLOB, (bytes.len() as f64).to_bits())
                }
            };
            tags.push(tag);
            slots.extend_from_slice(&slot.to_le_bytes());
        }
    }
    let length = |length: usize| {
        u32::try_from(length).map(u32::to_le_bytes).map_err(|_| {
            Error::invalid("The parameters of one call have more than 4 GiB").hint("Pass them in several calls")
        })
    };
    let head = [length(rows.len())?, length(columns)?, length(text.len())?, length(blobs.len())?];
    Ok([head.as_flattened(), &slots, &tags, text.as_bytes(), &blobs].concat())
}

fn not_finite(name: Option<&String>, number: usize, row: Option<usize>) -> Error {
    let what = name.map_or_else(|| number.to_string(), Clone::clone);
    let place = row.map(|row| format!(" of row {row}")).unwrap_or_default();
    let error = Error::invalid(format!("Parameter {what}{place} is not a finite number"))
        .hint("SQLite has neither NaN nor infinity: pass NULL, or a text");
    let error = match name {
        Some(name) => error.detail("parameter", name.as_str()),
        None => error.detail("parameter", number),
    };
    row.into_iter().fold(error, |error, row| error.detail("row", row))
}
