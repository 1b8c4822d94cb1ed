//! The remote's tables, as its schema function or its OpenAPI document describes them.

use crate::{
    collections::Set,
    sync::values::json::{self, JsonKind},
};

/// A remote table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteTable {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<RemoteColumn>,
    /// The primary key's columns; a table without any can't be synced.
    pub primary_key: Vec<String>,
    /// Further lists of columns whose values are unique together.
    pub unique: Vec<Vec<String>>,
    /// References to other tables.
    pub references: Vec<RemoteReference>,
}

/// A column of a remote table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteColumn {
    /// Its name.
    pub name: String,
    /// Its type as PostgreSQL names it, without length or scale; `enum` for all enums, `array` for all arrays.
    pub kind: String,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Its default.
    pub default: Option<ColumnDefault>,
    /// Whether only the remote writes it.
    pub generated: bool,
}

/// The default of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnDefault {
    /// An SQL expression of PostgreSQL.
    Expression(String),
    /// A text.
    Text(String),
}

/// A reference to another table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteReference {
    /// The referring columns.
    pub columns: Vec<String>,
    /// The referenced table.
    pub table: String,
    /// The referenced columns.
    pub to: Vec<String>,
    /// `CASCADE`, `SET NULL`...; empty where it is unknown.
    pub on_delete: String,
}

/// Reads the answer of `tidelock_schema()`. Returns `None` when another function sent it.
pub fn from_function(body: &str) -> Option<Vec<RemoteTable>> {
    let members = json::members(body).ok()?;
    let get = |wanted: &str| find(&members, wanted);
    if get("version") != Some("1") {
        return None;
    }
    json::elements(get("tables")?).ok()?.into_iter().map(function_table).collect()
}

fn function_table(raw: &str) -> Option<RemoteTable> {
    let members = json::members(raw).ok()?;
    let get = |wanted: &str| find(&members, wanted);
    let column = |raw: &str| {
        let members = json::members(raw).ok()?;
        let get = |wanted: &str| find(&members, wanted);
        Some(RemoteColumn {
            name: text(get("name")?)?,
            kind: text(get("type")?)?,
            not_null: get("notNull") == Some("true"),
            default: get("default").and_then(text).map(ColumnDefault::Expression),
            generated: get("generated") == Some("true"),
        })
    };
    let reference = |raw: &str| {
        let members = json::members(raw).ok()?;
        let get = |wanted: &str| find(&members, wanted);
        Some(RemoteReference {
            columns: json::parse_string_array(get("columns")?)?,
            // A table of another schema has no name here.
            table: get("table").and_then(text).unwrap_or_default(),
            to: json::parse_string_array(get("references")?)?,
            on_delete: text(get("onDelete")?)?,
        })
    };
    Some(RemoteTable {
        name: text(get("name")?)?,
        columns: json::elements(get("columns")?).ok()?.into_iter().map(column).collect::<Option<_>>()?,
        primary_key: get("primaryKey").and_then(json::parse_string_array).unwrap_or_default(),
        unique: json::elements(get("unique")?)
            .ok()?
            .into_iter()
            .map(json::parse_string_array)
            .collect::<Option<_>>()?,
        references: json::elements(get("foreignKeys")?).ok()?.into_iter().map(reference).collect::<Option<_>>()?,
    })
}

/// Reads PostgREST's OpenAPI document. Returns `None` for any other text. The document names no unique columns, and no
/// reference of several columns. A view counts as a table without a key: the key of a real table is never NULL.
pub fn from_openapi(body: &str) -> Option<Vec<RemoteTable>> {
    let members = json::members(body).ok()?;
    let definitions = json::members(find(&members, "definitions")?).ok()?;
    definitions.into_iter().map(|(name, raw)| openapi_table(name.into_owned(), raw)).collect()
}

fn openapi_table(name: String, raw: &str) -> Option<RemoteTable> {
    let members = json::members(raw).ok()?;
    let required = find(&members, "required").and_then(json::parse_string_array).unwrap_or_default();
    let required: Set<String> = required.into_iter().collect();
    let mut table = RemoteTable { name, ..RemoteTable::default() };
    for (column, raw) in json::members(find(&members, "properties").unwrap_or("{}")).ok()? {
        let attributes = json::members(raw).ok()?;
        let get = |wanted: &str| find(&attributes, wanted);
        let not_null = required.contains(&*column);
        let note = get("description").and_then(text).unwrap_or_default();
        if note.contains("<pk/>") && not_null {
            table.primary_key.push(column.to_string());
        }
        if let Some((parent, to)) = referred(&note) {
            let columns = vec![column.to_string()];
            table.references.push(RemoteReference { columns, table: parent, to: vec![to], on_delete: String::new() });
        }
        let format = get("format").and_then(text).unwrap_or_default();
        let kind = if get("enum").is_some() {
            "enum".to_owned()
        } else if format.ends_with("[]") || get("type") == Some("\"array\"") {
            "array".to_owned()
        } else {
            format
        };
        let default = get("default").map(|raw| match json::kind(raw) {
            JsonKind::String => {
                let text = text(raw).unwrap_or_default();
                // The document doesn't distinguish 'now()' from now(): a text that looks like a call counts as one.
                if text.ends_with(')') {
                    ColumnDefault::Expression(text)
                } else {
                    ColumnDefault::Text(text.replace("''", "'"))
                }
            }
            _ => ColumnDefault::Expression(raw.to_owned()),
        });
        table.columns.push(RemoteColumn { name: column.into_owned(), kind, not_null, default, generated: false });
    }
    Some(table)
}

/// Returns table and column of `...<fk table='customers' column='id'/>`.
fn referred(note: &str) -> Option<(String, String)> {
    let (_, rest) = note.split_once("<fk table='")?;
    let (table, rest) = rest.split_once("' column='")?;
    let (column, _) = rest.split_once("'/>")?;
    Some((table.to_owned(), column.to_owned()))
}

fn find<'a, K: AsRef<str>>(members: &[(K, &'a str)], wanted: &str) -> Option<&'a str> {
    members.iter().find(|(name, _)| name.as_ref() == wanted).map(|(_, raw)| *raw)
}

fn text(raw: &str) -> Option<String> {
    json::text(raw).map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_read() {
        let body = r#"{"version" : 1, "tables" : [{"name" : "t", "primaryKey" : ["b", "a"], "unique" : [["c"]],
            "columns" : [{"name" : "a", "type" : "bigint", "notNull" : true, "default" : null, "generated" : true},
                         {"name" : "c", "type" : "enum", "notNull" : false, "default" : "'x'::mood", "generated" : false}],
            "foreignKeys" : [{"columns" : ["c"], "table" : null, "references" : ["d"], "onDelete" : "CASCADE"}]}]}"#;
        let tables = from_function(body).unwrap();
        assert_eq!(tables[0].primary_key, ["b", "a"]);
        assert_eq!(tables[0].unique, [["c"]]);
        assert!(tables[0].columns[0].generated && tables[0].columns[0].not_null);
        assert_eq!(tables[0].columns[1].default, Some(ColumnDefault::Expression("'x'::mood".into())));
        assert_eq!(
            (tables[0].references[0].table.as_str(), tables[0].references[0].on_delete.as_str()),
            ("", "CASCADE")
        );
        for other in ["", "{}", "[]", r#"{"version":2,"tables":[]}"#, r#"{"version":1}"#] {
            assert_eq!(from_function(other), None, "{other}");
        }
    }

    #[test]
    fn the_document_is_read() {
        let body = r#"{"swagger":"2.0","definitions":{"t":{"required":["id","m"],"properties":{
            "id":{"description":"Note:\nThis is a Primary Key.<pk/>","format":"bigint","type":"integer"},
            "m":{"default":"it''s","enum":["it's"],"format":"public.mood","type":"string"},
            "at":{"default":"now()","format":"timestamp with time zone","type":"string"},
            "n":{"default":0.5,"format":"numeric","type":"number"},
            "tags":{"format":"text[]","items":{"type":"string"},"type":"array"},
            "of":{"description":"x\n\nNote:\nThis is a Foreign Key to `u.id`.<fk table='u' column='id'/>","format":"uuid"}}},
          "v":{"properties":{"id":{"description":"Note:\nThis is a Primary Key.<pk/>","format":"bigint"}}}}}"#;
        let tables = from_openapi(body).unwrap();
        let kinds: Vec<&str> = tables[0].columns.iter().map(|column| column.kind.as_str()).collect();
        assert_eq!(kinds, ["bigint", "enum", "timestamp with time zone", "numeric", "array", "uuid"]);
        assert_eq!(tables[0].primary_key, ["id"]);
        assert_eq!(tables[0].columns[1].default, Some(ColumnDefault::Text("it's".into())));
        assert_eq!(tables[0].columns[2].default, Some(ColumnDefault::Expression("now()".into())));
        assert_eq!(tables[0].columns[3].default, Some(ColumnDefault::Expression("0.5".into())));
        assert_eq!(
            (tables[0].references[0].table.as_str(), &tables[0].references[0].to[..]),
            ("u", &["id".to_owned()][..])
        );
        assert!(tables[1].primary_key.is_empty(), "a view");
        assert_eq!(from_openapi("[]"), None);
        assert_eq!(from_openapi(r#"{"message":"no"}"#), None);
    }
}
