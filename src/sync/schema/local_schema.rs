//! SQL for local tables that hold the remote's.

use super::{
    column_sql::{declared, default_sql},
    order,
    remote_schema::{ColumnDefault, RemoteReference, RemoteTable},
    table::STAMP,
};
use crate::{
    collections::{Map, Set},
    error::{Error, ErrorCode, Result},
    sqlite::is_reserved,
    sync::values::encode::quote,
};

/// The SQL of a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LocalSchema {
    /// Creates the tables, parents first.
    pub up: String,
    /// Drops them.
    pub down: String,
    /// Tables that can't be synced: without a primary key, with a name of an internal table, or with names that SQLite, which
    /// ignores case, takes for the same.
    pub left_out: Vec<String>,
}

/// What to do about a remote table without a key.
const NO_KEY: &str = "Give it one; for a view, write the local table with its key yourself";

/// Returns the SQL for the `wanted` tables, or for all that can be synced. Fails with `sync_schema_mismatch` when a wanted
/// table doesn't exist or can't be synced.
pub fn local_schema(mut tables: Vec<RemoteTable>, wanted: Option<&[String]>) -> Result<LocalSchema> {
    if let Some(wanted) = wanted {
        for name in wanted {
            let found = tables.iter().find(|table| table.name == *name);
            let (text, hint) = match (found, found.and_then(obstacle)) {
                (None, _) => {
                    let hint = "Correct its name, expose its schema, or run the SQL of sqlHelpers for it";
                    (format!("The remote lists no table {name}"), hint)
                }
                (Some(_), Some((reason, hint))) => (format!("The remote table {name} {reason}"), hint),
                (Some(_), None) => continue,
            };
            return Err(Error::new(ErrorCode::SyncSchemaMismatch, text).hint(hint).detail("table", name.as_str()));
        }
        tables.retain(|table| wanted.contains(&table.name));
    }
    let mut schema = LocalSchema::default();
    let mut leave_out = |table: &RemoteTable, reason: &str| {
        schema.up.push_str(&format!("-- {} {reason}: it can't be synced.\n", comment(&table.name)));
        schema.left_out.push(table.name.clone());
    };
    let mut names = Set::default();
    tables.retain(|table| {
        let reason = match obstacle(table) {
            Some((reason, _)) => Some(reason),
            None if !names.insert(table.name.to_ascii_lowercase()) => {
                Some("has the name of another table but for case")
            }
            None => None,
        };
        reason.inspect(|reason| leave_out(table, reason)).is_none()
    });
    for at in parents_first(&tables) {
        let name = quote(&tables[at].name);
        let lines = lines(&tables[at], &tables);
        schema.up.push_str(&format!("CREATE TABLE {name} (\n  {}\n);\n", lines.join("\n  ")));
        schema.down = format!("DROP TABLE {name};\n{}", schema.down);
    }
    Ok(schema)
}

/// Returns why a table can't be synced, and what to do.
fn obstacle(table: &RemoteTable) -> Option<(&'static str, &'static str)> {
    let mut names = Set::default();
    if is_reserved(&table.name) {
        Some(("is an internal name here", "Give the table another name"))
    } else if table.primary_key.is_empty() {
        Some(("has no primary key", NO_KEY))
    } else if !table.columns.iter().all(|column| names.insert(column.name.to_ascii_lowercase())) {
        Some(("has columns whose names differ only in case", "Rename one of them: SQLite takes them for the same"))
    } else {
        None
    }
}

fn parents_first(tables: &[RemoteTable]) -> Vec<usize> {
    let places: Map<&str, usize> = tables.iter().enumerate().map(|(at, table)| (table.name.as_str(), at)).collect();
    let parents_of = |table: &RemoteTable| {
        table.references.iter().filter_map(|reference| places.get(reference.table.as_str()).copied()).collect()
    };
    order::parents_first(0..tables.len(), &tables.iter().map(parents_of).collect::<Vec<_>>())
}

/// Returns the lines between the parentheses.
fn lines(table: &RemoteTable, tables: &[RemoteTable]) -> Vec<String> {
    let key = &table.primary_key;
    // (the line, the comment behind it)
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut rowid = false;
    for column in table.columns.iter().filter(|column| column.name != STAMP) {
        let declared = declared(&column.kind);
        let mut line = format!("{} {declared}", quote(&column.name));
        if key.len() == 1 && key[0] == column.name && declared == "INTEGER" {
            rowid = true;
            lines.push((line + " PRIMARY KEY", String::new()));
            continue;
        }
        let filling = column.default.as_ref().map(|filling| default_sql(&column.kind, filling));
        let mut note = String::new();
        if let Some(Some(sql)) = &filling {
            line.push_str(&format!(" DEFAULT {sql}"));
        } else if column.generated {
            note = "written by the remote alone".to_owned();
        } else if let Some(ColumnDefault::Expression(text) | ColumnDefault::Text(text)) = &column.default {
            note = format!("NULL until the remote fills it: {}", comment(text));
        }
        // A value that the remote fills may be missing here until then.
        let kept = !column.generated && !matches!(filling, Some(None));
        if key.contains(&column.name) || column.not_null && kept {
            line.push_str(" NOT NULL");
        }
        lines.push((line, note));
    }
    let names = |columns: &[String]| columns.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
    if !rowid {
        lines.push((format!("PRIMARY KEY ({})", names(key)), String::new()));
    }
    for unique in &table.unique {
        lines.push((format!("UNIQUE ({})", names(unique)), String::new()));
    }
    for RemoteReference { columns, table: parent, to, on_delete } in &table.references {
        let found = tables.iter().find(|table| table.name == *parent);
        // SQLite needs unique columns for a reference.
        let refers = found.is_some_and(|parent| parent.primary_key == *to || parent.unique.contains(to));
        if !refers {
            continue;
        }
        let mut line = format!("FOREIGN KEY ({}) REFERENCES {} ({})", names(columns), quote(parent), names(to));
        if matches!(on_delete.as_str(), "CASCADE" | "SET NULL") {
            line.push_str(&format!(" ON DELETE {on_delete}"));
        }
        lines.push((line, String::new()));
    }
    let last = lines.len() - 1;
    let show = |(at, (line, note)): (usize, (String, String))| {
        let comma = if at < last { "," } else { "" };
        if note.is_empty() { format!("{line}{comma}") } else { format!("{line}{comma} -- {note}") }
    };
    lines.into_iter().enumerate().map(show).collect()
}

/// Returns the text in a form that can't end an SQL comment.
fn comment(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sqlite::{Connection, PageFile},
        sync::{
            schema::{remote_schema::from_function, table::LocalTable},
            values::types::WireKind,
        },
        value::Value,
    };

    fn column(name: &str, kind: &str, default: &str, flags: &str) -> String {
        let default = if default.is_empty() { "null".to_owned() } else { serde_json::to_string(default).unwrap() };
        let (not_null, generated) = (flags.contains('!'), flags.contains('='));
        format!(
            r#"{{"name":"{name}","type":"{kind}","notNull":{not_null},"default":{default},"generated":{generated}}}"#
        )
    }

    fn table(name: &str, key: &str, columns: &[String], more: &str) -> String {
        let columns = columns.join(",");
        let more = if more.is_empty() { r#""unique":[],"foreignKeys":[]"# } else { more };
        format!(r#"{{"name":"{name}","primaryKey":{key},"columns":[{columns}],{more}}}"#)
    }

    fn made(tables: &[String], wanted: Option<&[String]>) -> Result<LocalSchema> {
        let body = format!(r#"{{"version":1,"tables":[{}]}}"#, tables.join(","));
        local_schema(from_function(&body).expect("an answer"), wanted)
    }

    fn opened(schema: &LocalSchema) -> Connection {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection.exec(&schema.up).unwrap_or_else(|error| panic!("{error}\n{}", schema.up));
        connection
    }

    #[test]
    fn every_type_has_the_kind_that_keeps_its_values() {
        let kinds = [
            ("smallint", WireKind::Int8),
            ("bigint", WireKind::Int8),
            ("real", WireKind::Float8),
            ("double precision", WireKind::Float8),
            ("numeric", WireKind::Numeric),
            ("boolean", WireKind::Bool),
            ("bytea", WireKind::Bytea),
            ("jsonb", WireKind::Json),
            ("array", WireKind::Array),
            ("text", WireKind::Text),
            ("uuid", WireKind::Text),
            ("enum", WireKind::Text),
            ("interval", WireKind::Text),
            ("timestamp with time zone", WireKind::Text),
        ];
        let mut columns = vec![column("id", "bigint", "", "!=")];
        columns.extend(kinds.iter().enumerate().map(|(at, (kind, _))| column(&format!("c{at}"), kind, "", "")));
        let connection = opened(&made(&[table("t", r#"["id"]"#, &columns, "")], None).unwrap());
        let local = LocalTable::read(&connection, "t").unwrap().unwrap();
        assert_eq!(local.primary_key, ["id"]);
        for (at, (kind, expected)) in kinds.iter().enumerate() {
            assert_eq!(local.columns[at + 1].kind, *expected, "{kind}");
        }
    }

    #[test]
    fn defaults_are_kept_where_sqlite_has_them() {
        let filled = |kind: &str, default: &str| {
            let columns = [column("id", "uuid", "", "!"), column("it", kind, default, "!")];
            let schema = made(&[table("t", r#"["id"]"#, &columns, "")], None).unwrap();
            let connection = opened(&schema);
            match connection.exec("INSERT INTO t(id) VALUES ('x')") {
                Ok(()) => connection.value("SELECT it FROM t", &[]).unwrap().unwrap(),
                Err(error) => panic!("{kind} {default}: {error}"),
            }
        };
        let text = Value::from;
        for (kind, default, expected) in [
            ("integer", "5", Value::Integer(5)),
            ("bigint", "'-1'::integer", Value::Integer(-1)),
            ("numeric", "(0)::numeric", text("0")),
            ("numeric", "0.10", text("0.10")),
            ("boolean", "true", Value::Integer(1)),
            ("text", "'it''s -- \"x\"'::text", text("it's -- \"x\"")),
            ("enum", "'fine'::mood", text("fine")),
            ("character varying", "'a'::character varying", text("a")),
            ("jsonb", "'{\"a\": [1, 2]}'::jsonb", text("{\"a\":[1,2]}")),
            ("array", "'{}'::text[]", text("[]")),
            ("array", "ARRAY[]::text[]", text("[]")),
            // Filled by the remote: NULL here until then.
            ("array", "'{1,2}'::integer[]", Value::Null),
            ("text", "('a'::text || 'b'::text)", Value::Null),
            ("text", "'a'::text || now()", Value::Null),
            ("bigint", "nextval('s'::regclass)", Value::Null),
            ("uuid", "auth.uid()", Value::Null),
            ("bytea", "'\\x00'::bytea", Value::Null),
            ("timestamp with time zone", "'now'::text", Value::Null),
        ] {
            assert_eq!(filled(kind, default), expected, "{kind} {default}");
        }
        let shape = |value: Value| {
            value.as_text().unwrap().chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>()
        };
        assert_eq!(shape(filled("timestamp with time zone", "now()")), "0000-00-00T00:00:00.000+00:00");
        assert_eq!(
            shape(filled("timestamp without time zone", "timezone('utc'::text, now())")),
            "0000-00-00T00:00:00.000"
        );
        assert_eq!(shape(filled("date", "CURRENT_DATE")), "0000-00-00");
        let uuid = filled("uuid", "extensions.uuid_generate_v4()");
        let uuid = uuid.as_text().unwrap();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!("89ab".contains(&uuid[19..20]));
    }

    #[test]
    fn keys_references_and_odd_names() {
        let id = column("id", "uuid", "", "!");
        let child = table(
            "a \\\"child\\\"",
            r#"["b", "The key"]"#,
            &[
                column("The key", "text", "", "!"),
                column("b", "bigint", "", "!"),
                column("parent", "uuid", "", "!"),
                column("code", "text", "", "!"),
                column("_xid", "xid8", "pg_current_xact_id()", "!"),
                column("sum", "numeric", "(b * 2)", "!="),
            ],
            r#""unique":[["parent","b"]],"foreignKeys":[
                {"columns":["parent"],"table":"z parent","references":["id"],"onDelete":"CASCADE"},
                {"columns":["code"],"table":"z parent","references":["code"],"onDelete":"RESTRICT"},
                {"columns":["b"],"table":"elsewhere","references":["id"],"onDelete":"CASCADE"},
                {"columns":["b"],"table":"z parent","references":["other"],"onDelete":"CASCADE"}]"#,
        );
        let parent = table(
            "z parent",
            r#"["id"]"#,
            &[id.clone(), column("code", "text", "", ""), column("other", "text", "", "")],
            r#""unique":[["code"]],"foreignKeys":[]"#,
        );
        let keyless = table("none\\nat all", "[]", std::slice::from_ref(&id), "");
        let internal = table("Tidelock_outbox", r#"["id"]"#, std::slice::from_ref(&id), "");
        let schema = made(&[child, keyless, internal, parent], None).unwrap();
        assert_eq!(schema.left_out, ["none\nat all", "Tidelock_outbox"]);
        let connection = opened(&schema);
        let local = LocalTable::read(&connection, "a \"child\"").unwrap().unwrap();
        assert_eq!(local.primary_key, ["b", "The key"]);
        let names: Vec<_> = local.columns.iter().map(|column| (column.name.as_str(), column.not_null)).collect();
        assert_eq!(names, [("The key", true), ("b", true), ("parent", true), ("code", true), ("sum", false)]);
        assert_eq!(local.unique, [["parent", "b"]]);
        let keys: Vec<_> = local.foreign_keys.iter().map(|key| (key.to[0].as_str(), key.on_delete.as_str())).collect();
        assert_eq!(keys, [("code", "NO ACTION"), ("id", "CASCADE")]);
        assert!(schema.up.find("z parent").unwrap() < schema.up.find("CREATE TABLE \"a ").unwrap());
        connection.exec(&schema.down).unwrap();
        assert_eq!(connection.value("SELECT count(*) FROM sqlite_schema", &[]).unwrap(), Some(Value::Integer(0)));
    }

    #[test]
    fn names_that_sqlite_takes_for_the_same_are_left_out() {
        let id = || column("id", "bigint", "", "!");
        let tables = [
            table("a", r#"["id"]"#, &[id(), column("x", "text", "", ""), column("X", "text", "", "")], ""),
            table("b", r#"["id"]"#, &[id()], ""),
            table("B", r#"["id"]"#, &[id()], ""),
        ];
        let schema = made(&tables, None).unwrap();
        assert_eq!(schema.left_out, ["a", "B"]);
        opened(&schema);
        let error = made(&tables, Some(&["a".to_owned()])).unwrap_err();
        assert!(error.is(ErrorCode::SyncSchemaMismatch) && error.message.contains("differ only in case"), "{error}");
    }

    #[test]
    fn named_tables_must_be_there() {
        let tables = [
            table("a", r#"["id"]"#, &[column("id", "bigint", "", "!")], ""),
            table("b", "[]", &[column("id", "bigint", "", "!")], ""),
            table("c", r#"["id"]"#, &[column("id", "bigint", "", "!")], ""),
        ];
        let want = |name: &str| made(&tables, Some(&[name.to_owned()]));
        assert_eq!(want("a").unwrap().up, "CREATE TABLE \"a\" (\n  \"id\" INTEGER PRIMARY KEY\n);\n");
        for name in ["b", "nowhere"] {
            let error = want(name).unwrap_err();
            assert!(error.is(ErrorCode::SyncSchemaMismatch));
            assert_eq!(error.details["table"], name.into());
        }
    }
}
