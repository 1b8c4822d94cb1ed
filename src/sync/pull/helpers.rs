//! The state of the helpers (`sqlHelpers`) in the project: which tables stamp rows with the number of their
//! transaction, the ceiling below which every transaction is decided, and the tombstones of deleted rows.
//!
//! The ceiling is requested before anything is read: each transaction that is decided later has that number or a higher
//! one. The next pull begins there, so it can't miss a row that was committed late; at most it reads a row again. A
//! ceiling is stored as `cluster/number`, since the numbers of another cluster mean nothing.

use std::{borrow::Cow, slice::SliceIndex};

use crate::sync::{
    postgrest::{query::percent, response::Unreadable},
    schema::plan::Plan,
    state::progress::TableProgress,
    values::json::{self, JsonError},
};

/// Maximum number of tombstones in one answer.
pub const PAGE: usize = 1000;

/// The answer of the helpers' function `tidelock_state`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Helpers {
    cluster: String,
    ceiling: String,
    tables: Vec<Helped>,
    /// The tombstones, oldest first.
    pub tombstones: Vec<Tombstone>,
}

/// A remote table with helpers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Helped {
    name: String,
    stamped: bool,
    tombstones: bool,
}

/// A tombstone: the key of a deleted row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Its number among all tombstones.
    pub id: String,
    table: String,
    /// A JSON object of the key's columns.
    pub key: String,
    xid: u64,
}

/// Returns the URL of `tidelock_state`. `since` is the transaction number from which on tombstones are wanted; `after`
/// is the id of the last tombstone that was received.
pub fn url(root: &str, since: Option<u64>, after: Option<&str>) -> String {
    let mut url = format!("{root}/rpc/tidelock_state");
    if let Some(since) = since {
        url.push_str(&format!("?since={since}"));
        if let Some(after) = after {
            url.push_str("&after=");
            url.push_str(&percent(after));
        }
    }
    url
}

/// Returns the transaction number from which on tombstones are wanted, or `None` for no tombstones. The tables must not
/// include any that is new and empty.
pub fn since(tables: &[TableProgress]) -> Option<u64> {
    tables.iter().filter_map(|progress| Some(mark(progress)?.1)).min()
}

/// Returns cluster and number of the last complete pull. Without one by numbers it returns no cluster and 0: rows may
/// have been pushed, or pulled by a time, and deleted since. Returns `None` after an interrupted pull by numbers, which may
/// have read rows that were inserted again; one by a time begins again by numbers, and reads all rows.
fn mark(progress: &TableProgress) -> Option<(Option<&str>, u64)> {
    match &progress.started {
        Some(started) if split(started).is_some() => return None,
        Some(_) => return Some((None, 0)),
        None => {}
    }
    let numbered = progress.watermark.as_deref().and_then(split);
    Some(numbered.map_or((None, 0), |(cluster, number)| (Some(cluster), number)))
}

/// Splits a stored ceiling into cluster and number. Returns `None` for a time.
pub fn split(mark: &str) -> Option<(&str, u64)> {
    let (cluster, number) = mark.split_once('/')?;
    Some((cluster, number.parse().ok()?))
}

impl Helpers {
    /// Parses the answer. Returns `None` for the answer of another function or version.
    pub fn read(body: &[u8]) -> Result<Option<Self>, Unreadable> {
        match json::members(std::str::from_utf8(body).map_err(|_| Unreadable::Cut)?) {
            Ok(members) => Ok(Self::from_members(members)),
            // It shows nothing about the project.
            Err(JsonError::Truncated) => Err(Unreadable::Cut),
            Err(_) => Ok(None),
        }
    }

    fn from_members(members: Vec<(Cow<'_, str>, &str)>) -> Option<Self> {
        let mut helpers = Self::default();
        let mut version = "";
        for (name, raw) in members {
            match &*name {
                "version" => version = raw,
                "cluster" => helpers.cluster = json::text(raw)?.into_owned(),
                "ceiling" => helpers.ceiling = json::text(raw)?.into_owned(),
                "tables" => {
                    for (table, raw) in json::members(raw).ok()? {
                        let properties = json::members(raw).ok()?;
                        let is =
                            |property: &str| properties.iter().any(|(name, raw)| name == property && *raw == "true");
                        let (stamped, tombstones) = (is("xid"), is("tombstones"));
                        helpers.tables.push(Helped { name: table.into_owned(), stamped, tombstones });
                    }
                }
                "gone" => {
                    for raw in json::elements(raw).ok()? {
                        let parts = json::elements(raw).ok()?;
                        let text = |at: usize| json::text(parts.get(at)?);
                        helpers.tombstones.push(Tombstone {
                            id: text(0)?.into_owned(),
                            table: text(1)?.into_owned(),
                            key: (*parts.get(2)?).to_owned(),
                            xid: text(3)?.parse().ok()?,
                        });
                    }
                }
                _ => {}
            }
        }
        let known = version == "1" && helpers.ceiling.parse::<u64>().is_ok() && !helpers.cluster.contains('/');
        known.then_some(helpers)
    }

    /// Makes the plan read by transaction numbers, if the table's rows have them. A table without a cursor is still
    /// read whole each time.
    pub fn apply(&self, plan: &mut Plan) {
        let Some(helped) = self.tables.iter().find(|helped| helped.name == plan.options.remote()) else { return };
        if helped.stamped || plan.options.cursor.is_none() {
            plan.read_by_ceiling(format!("{}/{}", self.cluster, self.ceiling));
        }
    }

    /// Returns the keys deleted remotely since the table was last read, as a JSON array of objects. Returns `None` if
    /// there are none, or without tombstones of the table. `piece` are the indexes of the tombstones.
    pub fn deleted_keys_of(
        &self,
        plan: &Plan,
        progress: &TableProgress,
        piece: impl SliceIndex<[Tombstone], Output = [Tombstone]>,
    ) -> Option<String> {
        let (cluster, since) = mark(progress)?;
        let remote = plan.options.remote();
        if cluster.is_some_and(|cluster| cluster != self.cluster)
            || progress.started.is_some() && plan.ceiling.is_none()
            || !self.tables.iter().any(|helped| helped.name == remote && helped.tombstones)
        {
            return None;
        }
        let of = |row: &&Tombstone| row.table == remote && row.xid >= since;
        let keys: Vec<&str> = self.tombstones[piece].iter().filter(of).map(|row| row.key.as_str()).collect();
        (!keys.is_empty()).then(|| format!("[{}]", keys.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::schema::table::STAMP;
    use crate::{
        sqlite::{Connection, PageFile},
        sync::schema::table::LocalTable,
    };

    const ANSWER: &str = r#"{"version" : 1, "cluster" : "77", "ceiling" : "500", "tables" : { "t" : {"xid" : true, "tombstones" : true},
        "u" : {"xid" : false, "tombstones" : false} },
        "gone" : [["3", "t", {"id": 9007199254740993}, "400"], ["4", "u", {"id": 1}, "410"], ["5", "t", {"id": 2}, "420"]]}"#;

    fn plan(options: &str) -> Plan {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection.exec("CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE u(id INTEGER PRIMARY KEY)").unwrap();
        let options: crate::sync::config::options::TableSync = serde_json::from_str(options).unwrap();
        Plan::new(&options, LocalTable::read(&connection, &options.table).unwrap().unwrap(), &[]).unwrap()
    }

    fn answer() -> Helpers {
        Helpers::read(ANSWER.as_bytes()).ok().flatten().unwrap()
    }

    fn read(watermark: &str) -> TableProgress {
        TableProgress { watermark: Some(watermark.to_owned()), ..TableProgress::default() }
    }

    #[test]
    fn the_answer_is_read_and_no_other() {
        let helpers = answer();
        assert_eq!((helpers.cluster.as_str(), helpers.ceiling.as_str(), helpers.tombstones.len()), ("77", "500", 3));
        assert_eq!(helpers.tombstones[0].key, r#"{"id": 9007199254740993}"#);
        for other in [
            "[]",
            "{}",
            "null",
            "<p>",
            r#"{"version":2,"cluster":"7","ceiling":"5"}"#,
            r#"{"version":1,"ceiling":"x"}"#,
        ] {
            assert!(matches!(Helpers::read(other.as_bytes()), Ok(None)), "{other}");
        }
        for end in 0..ANSWER.len() {
            assert!(matches!(Helpers::read(&ANSWER.as_bytes()[..end]), Err(Unreadable::Cut)), "{end}");
        }
    }

    #[test]
    fn stamped_tables_with_a_cursor_are_read_by_it() {
        let helpers = answer();
        let read_by = |options: &str| {
            let mut plan = plan(options);
            helpers.apply(&mut plan);
            (plan.selection.cursor.clone(), plan.selection.columns.join(","), plan.ceiling.clone())
        };
        let ceiling = Some("77/500".to_owned());
        let stamp = Some(STAMP.to_owned());
        assert_eq!(read_by(r#"{"table":"t","cursor":"w"}"#), (stamp, "id,w,_xid".to_owned(), ceiling.clone()));
        assert_eq!(read_by(r#"{"table":"t"}"#), (None, "id".to_owned(), ceiling.clone()));
        assert_eq!(read_by(r#"{"table":"u","cursor":"w"}"#), (Some("w".to_owned()), "id,w".to_owned(), None));
        assert_eq!(read_by(r#"{"table":"u","remoteTable":"x"}"#), (None, "id".to_owned(), None));
    }

    #[test]
    fn tombstones_count_from_the_last_complete_pull_on() {
        let helpers = answer();
        let t = plan(r#"{"table":"t"}"#);
        let both = r#"[{"id": 9007199254740993},{"id": 2}]"#;
        assert_eq!(helpers.deleted_keys_of(&t, &read("77/400"), ..).as_deref(), Some(both));
        assert_eq!(helpers.deleted_keys_of(&t, &read("77/401"), ..).as_deref(), Some(r#"[{"id": 2}]"#));
        assert_eq!(helpers.deleted_keys_of(&t, &read("77/421"), ..), None);
        assert_eq!(helpers.deleted_keys_of(&t, &read("78/400"), ..), None, "another cluster's numbers");
        assert_eq!(
            helpers.deleted_keys_of(&t, &read("2026-01-02T03:04:05Z"), ..).as_deref(),
            Some(both),
            "read by a time"
        );
        assert_eq!(
            helpers.deleted_keys_of(&t, &TableProgress { started: Some("77/300".into()), ..read("77/300") }, ..),
            None
        );
        assert_eq!(
            helpers.deleted_keys_of(&plan(r#"{"table":"u"}"#), &read("77/400"), ..),
            None,
            "not for this user's eyes"
        );
    }

    #[test]
    fn where_it_is_asked() {
        assert_eq!(url("http://h", None, None), "http://h/rpc/tidelock_state");
        assert_eq!(url("http://h", Some(7), Some("12")), "http://h/rpc/tidelock_state?since=7&after=12");
    }
}
