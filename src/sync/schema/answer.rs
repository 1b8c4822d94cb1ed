//! Reads the remote's answers by a plan: pages of rows, pages of keys, and positions.

use super::plan::{Plan, Rows};
use crate::{
    error::{Error, ErrorCode, Result},
    sync::{
        config::options::ConflictPolicy,
        postgrest::response::Unreadable,
        state::progress::ReadPosition,
        values::{
            json::{self, JsonError},
            types::{Misfit, PlanColumn, WireKind, convert},
        },
    },
    value::Value,
};

impl Plan {
    /// Reads a page of rows. Fails with `sync_schema_mismatch` for a value that doesn't fit its column.
    pub fn read(&self, body: &[u8]) -> Result<Rows, Unreadable> {
        let mut rows = Rows { width: self.columns.len(), ..Rows::default() };
        let mut last: Vec<&str> = Vec::new();
        let compares_cursors = self.options.conflict() == ConflictPolicy::LastWriteWins;
        json::rows(utf8(body)?, &self.selection.columns, &mut |raw| {
            for (at, raw) in raw.iter().take(self.columns.len()).enumerate() {
                rows.values.push(self.convert(at, raw)?);
                let column = &self.columns[at];
                if raw.starts_with(['{', '['])
                    && matches!(column.kind, WireKind::Text | WireKind::Any)
                    && !column.structured
                {
                    rows.structured.push(at);
                }
            }
            if compares_cursors {
                rows.cursors.push(self.cursor.and_then(|at| wire_text(raw[at])));
            }
            // The mark is a time or a flag, also one of an integer column.
            rows.deleted.push(self.deleted.is_some_and(|at| !matches!(raw[at], "null" | "false" | "0")));
            last.clear();
            last.extend_from_slice(raw);
            Ok::<(), Unreadable>(())
        })?;
        rows.structured.sort_unstable();
        rows.structured.dedup();
        if !last.is_empty() {
            let key = self.key.iter().map(|at| wire_text(last[*at]).unwrap_or_default()).collect();
            rows.last = Some(ReadPosition { cursor: self.place.and_then(|at| wire_text(last[at])), key });
        }
        Ok(rows)
    }

    /// Reads a page of keys: each row has the values of the key, in its order.
    pub fn read_keys(&self, body: &[u8]) -> Result<Rows, Unreadable> {
        let mut rows = Rows { width: self.key.len(), keys_only: true, ..Rows::default() };
        json::rows(utf8(body)?, &self.selection.key, &mut |raw| {
            for (at, raw) in self.key.iter().zip(raw) {
                rows.values.push(self.convert(*at, raw)?);
            }
            rows.deleted.push(false);
            let key = raw.iter().map(|raw| wire_text(raw).unwrap_or_default()).collect();
            rows.last = Some(ReadPosition { cursor: None, key });
            Ok::<(), Unreadable>(())
        })?;
        Ok(rows)
    }

    /// Reads the position of a single row with cursor and key; `None` when there is no row.
    pub fn read_place(&self, body: &[u8], columns: &[String]) -> Result<Option<ReadPosition>, Unreadable> {
        let mut place = None;
        json::rows(utf8(body)?, columns, &mut |raw| {
            let find = |name: &String| wire_text(raw[columns.iter().position(|column| column == name)?]);
            let key = self.selection.key.iter().map(|column| find(column).unwrap_or_default()).collect();
            place = Some(ReadPosition { cursor: self.selection.cursor.as_ref().and_then(find), key });
            Ok::<(), Unreadable>(())
        })?;
        Ok(place)
    }

    fn convert(&self, at: usize, raw: &str) -> Result<Value, Unreadable> {
        let column = &self.columns[at];
        match convert(column.kind, column.affinity, raw) {
            Ok(Value::Null) if self.key.contains(&at) => Err(Unreadable::Failed(
                Error::new(
                    ErrorCode::SyncSchemaMismatch,
                    format!("{}.{} is NULL in a remote row", self.name(), column.name),
                )
                .hint("A key column can't be NULL: choose other columns in `primaryKey`")
                .detail("table", self.name())
                .detail("column", column.name.as_str()),
            )),
            Ok(value) => Ok(value),
            Err(misfit) => Err(Unreadable::Failed(self.misfit(column, misfit))),
        }
    }

    fn misfit(&self, column: &PlanColumn, misfit: Misfit) -> Error {
        let hint = match misfit {
            Misfit::Affinity => "Declare the local column so that it keeps text, as NUMERIC TEXT or JSON TEXT do",
            Misfit::Range => "Declare the local column NUMERIC TEXT, or name its kind in `types`",
            Misfit::Kind => "Declare the local column with the remote's type, or name its kind in `types`",
        };
        let text = format!("{}.{} ({}) {}", self.name(), column.name, column.kind.name(), misfit.describe());
        Error::new(ErrorCode::SyncSchemaMismatch, text)
            .hint(hint)
            .detail("table", self.name())
            .detail("column", column.name.as_str())
    }
}

fn utf8(body: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(body).map_err(|error| match error.error_len() {
        // The body ends within a character.
        None => Unreadable::Cut,
        Some(_) => JsonError::Malformed(error.valid_up_to()).into(),
    })
}

/// Returns a value as filters take it: a string's text, or the literal; `None` for null.
fn wire_text(raw: &str) -> Option<String> {
    match json::kind(raw) {
        json::JsonKind::Null => None,
        json::JsonKind::String => json::text(raw).map(|text| text.into_owned()),
        _ => Some(raw.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sqlite::{Connection, PageFile},
        sync::{config::options::TableSync, schema::table::LocalTable},
    };

    #[test]
    fn rows_are_converted_and_remember_their_place() {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection.exec("CREATE TABLE t(b TEXT, id INTEGER PRIMARY KEY, n NUMERIC TEXT)").unwrap();
        let options = r#"{"table":"t","columns":["id","n"],"cursor":"u","deleted":"gone"}"#;
        let options: TableSync = serde_json::from_str(options).unwrap();
        let table = LocalTable::read(&connection, "t").unwrap().unwrap();
        let plan = Plan::new(&options, table, &[]).unwrap();
        let body = br#"[{"id":1,"n":1.50,"u":null,"gone":null},{"id":9007199254740993,"n":null,"u":"2026-01-01T00:00:00.000001+00:00","gone":"x"}]"#;
        let Ok(rows) = plan.read(body) else { panic!("a page") };
        assert_eq!(rows.row(0), [Value::Integer(1), Value::from("1.50")]);
        assert_eq!(rows.row(1), [Value::Integer(9_007_199_254_740_993), Value::Null]);
        assert_eq!(rows.deleted, [false, true]);
        let cursor = Some("2026-01-01T00:00:00.000001+00:00".to_owned());
        assert_eq!(rows.last, Some(ReadPosition { cursor, key: vec!["9007199254740993".to_owned()] }));
        let Err(Unreadable::Failed(error)) = plan.read(br#"[{"id":"x","n":1,"u":1,"gone":false}]"#) else {
            panic!("a misfit")
        };
        assert_eq!(error.details["column"], "id".into());
        assert!(matches!(plan.read("[{\"id\":\"é".as_bytes().split_last().unwrap().1), Err(Unreadable::Cut)));
        let Ok(keys) = plan.read_keys(br#"[{"id":3}]"#) else { panic!("keys") };
        assert_eq!(keys.row(0), [Value::Integer(3)]);
        assert_eq!(keys.last.unwrap().key, ["3"]);
    }
}
