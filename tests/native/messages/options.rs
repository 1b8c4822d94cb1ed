//! Invalid options of opening, snapshots, the remote, the audit, and maintenance.

use tidelock::{
    Timestamp, audit,
    lock::check_name,
    maintain::{Expiry, Sweep},
    snapshot::SnapshotOptions,
    sqlite::{Connection, PageFile},
    sync::config::checked::Config,
};

use super::Shown;

#[test]
fn options() {
    let mut shown = Shown::of("options");
    shown.fails("an empty name", check_name(""));
    shown.fails("a name with a line end", check_name("a\nb"));
    shown.fails("a name of 129 characters", check_name(&"n".repeat(129)));

    let snapshots = |json: &str| serde_json::from_str::<SnapshotOptions>(json).unwrap().check();
    shown.fails("snapshots at no interval", snapshots(r#"{"intervalMs":0}"#));
    shown.fails("snapshots of which none are kept", snapshots(r#"{"keep":0}"#));
    shown.fails("snapshots that are kept for no time", snapshots(r#"{"retentionDays":0}"#));

    let remote = |url: &str, key: &str, rest: &str| {
        let json = format!(r#"{{"url":"{url}","key":"{key}",{rest}}}"#);
        Config::new(serde_json::from_str(&json).unwrap())
    };
    let url = "https://x.supabase.co";
    let mut refused = |done: &str, rest: &str| shown.fails(done, remote(url, "k", rest));
    refused("no table", r#""tables":[]"#);
    refused("a table twice", r#""tables":[{"table":"t"},{"table":"T"}]"#);
    refused("a table without a name", r#""tables":[{"table":""}]"#);
    refused("an internal table", r#""tables":[{"table":"tidelock_outbox"}]"#);
    refused("a step in a path", r#""tables":[{"table":"t","remoteTable":".."}]"#);
    refused("a type that there isn't", r#""tables":[{"table":"t","types":{"a":"int4"}}]"#);
    refused("no columns", r#""tables":[{"table":"t","columns":[]}]"#);
    refused(
        "the last write wins, and no column shows which",
        r#""tables":[{"table":"t","conflict":"last-write-wins"}]"#,
    );
    refused("pages of no rows", r#""pageSize":0,"tables":[{"table":"t"}]"#);
    refused("no time to answer", r#""timeoutMs":0,"tables":[{"table":"t"}]"#);
    refused("a ratio beyond one", r#""maxDeleteRatio":1.5,"tables":[{"table":"t"}]"#);
    let tables = r#""tables":[{"table":"t"}]"#;
    shown.fails("a URL that is none", remote("ftp://x", "k", tables));
    shown.fails("a URL with a password", remote("https://u:p@x.co", "k", tables));
    shown.fails("an empty key", remote(url, "", tables));
    shown.fails("a secret key", remote(url, "sb_secret_abc", tables));
    let headers = |headers: &str| remote(url, "k", &format!(r#""headers":{headers},{tables}"#));
    shown.fails("a secret key in a header", headers(r#"{"authorization":"Bearer sb_secret_abc"}"#));
    shown.fails("a header with a line end", headers(r#"{"x-key":"abc\n"}"#));
    shown.fails("a header whose name has a blank", headers(r#"{"x key":"abc"}"#));
    shown.fails("no bytes of an answer", remote(url, "k", &format!(r#""maxResponseBytes":0,{tables}"#)));

    let audited = |json: &str| serde_json::from_str::<audit::AuditOptions>(json).unwrap().check();
    shown.fails("an audit in a reserved table", audited(r#"{"tables":["t"],"table":"sqlite_log"}"#));
    shown.fails("an audit of the audit", audited(r#"{"tables":["audit_log"],"table":"audit_log"}"#));
    let open = Connection::open(&PageFile::default()).unwrap();
    open.exec("CREATE TABLE audit_log(a); CREATE VIEW v AS SELECT 1; CREATE TABLE t(a)").unwrap();
    shown.fails("a table of another kind as the log", audit::Log("audit_log").exists(&open));
    let view = serde_json::from_str(r#"{"tables":["v"],"table":"log"}"#).unwrap();
    shown.fails("an audit of a view", audit::resume(&open, &view));

    let expires = |table: &str, column: &str| {
        Sweep::begin(&open, &Expiry { table: table.into(), column: column.into() }, Timestamp(0)).map(drop)
    };
    shown.fails("rows of no table that expire", expires("nowhere", "at"));
    shown.fails("rows that expire by no column", expires("t", "at"));
    shown.check();
}
