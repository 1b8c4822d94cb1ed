//! The `remote` option as the user wrote it, with its defaults.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use crate::collections::Map;

/// Requests in flight at once, together with pages that aren't applied yet.
pub const AT_ONCE: usize = 6;

/// In which direction a table's changes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncDirection {
    /// Both ways.
    #[default]
    Both,
    /// From the remote only: local changes are not captured.
    Pull,
    /// To the remote only: its rows are never read.
    Push,
}

/// How conflicts are resolved: rows that changed on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictPolicy {
    /// The columns changed locally stay, the others come from the remote.
    #[default]
    KeepLocal,
    /// The remote's row replaces the local change.
    RemoteWins,
    /// The side that wrote last wins, according to the cursor.
    LastWriteWins,
    /// A function of the user decides.
    Function,
}

/// One column name or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

// Not derived: `untagged` would add code for a copy of every kind of value.
impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }

            fn visit_str<E>(self, name: &str) -> std::result::Result<Names, E> {
                Ok(Names::One(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names::Many(names))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

impl Names {
    /// Returns the names as a list.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        }
    }
}

/// One synced table, as the user wrote it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableSync {
    /// The local table.
    pub table: String,
    /// The remote table, where its name differs.
    #[serde(default)]
    pub remote_table: Option<String>,
    /// The key's columns; by default those of the local primary key.
    #[serde(default)]
    pub primary_key: Option<Names>,
    /// The synced columns; by default those that both sides have.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Kinds by column name, where the declared type doesn't decide.
    #[serde(default)]
    pub types: Map<String, String>,
    /// PostgREST filters by column name, `eq.open`.
    #[serde(default)]
    pub filter: Map<String, String>,
    /// Whether a function of the user gives the filters, before each pull.
    #[serde(default)]
    pub has_filter_function: bool,
    /// A column that grows with each change; without one, each pull reads everything.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many milliseconds before the server's time of the previous pull a pull starts.
    #[serde(default = "overlap_ms")]
    pub overlap_ms: u64,
    /// A soft-delete column, or `compare`.
    #[serde(default)]
    pub deleted: Option<String>,
    /// How conflicts are resolved; `None` for the default, see [`TableSync::conflict`].
    #[serde(default)]
    pub conflict: Option<ConflictPolicy>,
    /// In which direction changes go.
    #[serde(default)]
    pub direction: SyncDirection,
}

impl TableSync {
    /// Creates the options of a table, with the defaults.
    pub fn new(table: String) -> Self {
        Self {
            table,
            remote_table: None,
            primary_key: None,
            columns: None,
            types: Map::default(),
            filter: Map::default(),
            has_filter_function: false,
            cursor: None,
            overlap_ms: overlap_ms(),
            deleted: None,
            conflict: None,
            direction: SyncDirection::default(),
        }
    }

    /// Returns the remote table's name.
    pub fn remote(&self) -> &str {
        self.remote_table.as_deref().unwrap_or(&self.table)
    }

    /// Returns how conflicts are resolved.
    pub fn conflict(&self) -> ConflictPolicy {
        self.conflict.unwrap_or_default()
    }

    /// Returns whether a pull may leave out rows by a filter. A function may give one at any time.
    pub fn is_filtered(&self) -> bool {
        self.has_filter_function || !self.filter.is_empty()
    }

    /// Returns whether keys are compared to find deleted rows. This also finds rows that no longer match the filter,
    /// which no cursor shows.
    pub fn compares(&self) -> bool {
        self.deleted.as_deref() == Some("compare") || self.is_filtered()
    }

    /// Returns whether the options name this column, so that the remote must have it.
    pub fn requires(&self, column: &str) -> bool {
        let columns = self.columns.iter().flatten().map(String::as_str);
        let mut named = columns.chain(self.cursor.as_deref()).chain(self.soft_delete());
        named.any(|name| name.eq_ignore_ascii_case(column))
    }

    /// Returns the column that marks a deleted row.
    pub fn soft_delete(&self) -> Option<&str> {
        self.deleted.as_deref().filter(|column| *column != "compare")
    }
}

/// The `remote` option as the user wrote it, with flags instead of functions.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteOptions {
    /// The Supabase project's URL or a PostgREST root.
    pub url: String,
    /// The publishable (anon) key.
    pub key: String,
    /// The user whose data it is; by default the token's `sub`.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The user to whom the database belongs before its first sync, whose token comes later.
    #[serde(default)]
    pub owner: Option<String>,
    /// The remote schema.
    #[serde(default = "schema")]
    pub schema: String,
    /// The synced tables.
    pub tables: Vec<TableSync>,
    /// Rows per request; the server may send fewer.
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// Additional request headers.
    #[serde(default)]
    pub headers: Map<String, String>,
    /// How often a failed request is sent again.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Milliseconds after which a request is cancelled.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// The largest answer that is read, in bytes.
    #[serde(default = "max_response_bytes")]
    pub max_response_bytes: u64,
    /// The largest part of a table's rows that a pull may delete because the remote didn't send them, 0 to 1.
    #[serde(default = "max_delete_ratio")]
    pub max_delete_ratio: f64,
    /// Whether the remote reports changes during automatic sync (Supabase Realtime).
    #[serde(default)]
    pub realtime: bool,
    /// Whether an `accessToken` function was given.
    #[serde(default)]
    pub has_access_token: bool,
    /// Whether secret keys are allowed, which they never are in a page.
    #[serde(default)]
    pub secrets_allowed: bool,
}

impl RemoteOptions {
    /// Creates the options of a remote, with the defaults and without tables.
    pub fn new(url: String, key: String) -> Self {
        Self {
            url,
            key,
            user_id: None,
            owner: None,
            schema: schema(),
            tables: Vec::new(),
            page_size: page_size(),
            headers: Map::default(),
            retries: retries(),
            timeout_ms: timeout_ms(),
            max_response_bytes: max_response_bytes(),
            max_delete_ratio: max_delete_ratio(),
            realtime: false,
            has_access_token: false,
            secrets_allowed: false,
        }
    }
}

fn overlap_ms() -> u64 {
    60_000
}

fn schema() -> String {
    "public".to_owned()
}

fn page_size() -> u32 {
    1000
}

fn retries() -> u32 {
    5
}

fn timeout_ms() -> u64 {
    30_000
}

fn max_response_bytes() -> u64 {
    64 * 1024 * 1024
}

fn max_delete_ratio() -> f64 {
    0.5
}
