//! The limit of a database's size.

use crate::{
    error::ErrorCode,
    sqlite::{Connection, PageFile},
};

#[test]
fn a_full_database_refuses_and_goes_on() {
    for inside in [false, true] {
        let file = PageFile::default();
        file.set_max_bytes(1 << 20);
        let db = Connection::open(&file).unwrap();
        db.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES (zeroblob(500000))").unwrap();
        let before = file.image().unwrap();
        if inside {
            db.exec("BEGIN; INSERT INTO t(b) VALUES (1)").unwrap();
        }
        let error = db.run("INSERT INTO t(b) VALUES (zeroblob(900000))", &[]).unwrap_err();
        assert_eq!(
            (error.code, error.details["sqliteCode"].clone()),
            (ErrorCode::DatabaseTooLarge, "SQLITE_FULL".into())
        );
        assert_eq!(error.details["maxBytes"], (1_u64 << 20).into());
        if db.in_transaction() {
            db.exec("ROLLBACK").unwrap();
        }
        assert!(file.image().unwrap() == before);
        db.exec("INSERT INTO t(b) VALUES (zeroblob(1000)); DELETE FROM t WHERE id = 1; INSERT INTO t(b) VALUES (zeroblob(600000))").unwrap();
        assert!(db.quick_check().unwrap().is_empty() && file.bytes() <= 1 << 20);
    }
}

#[test]
fn temporary_tables_have_the_same_limit() {
    let file = PageFile::default();
    file.set_max_bytes(1 << 20);
    let db = Connection::open(&file).unwrap();
    db.exec("CREATE TABLE t(b); CREATE TEMP TABLE large(b); INSERT INTO large VALUES (zeroblob(500000))").unwrap();
    let error = db.run("INSERT INTO large VALUES (zeroblob(900000))", &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatabaseTooLarge);
    db.exec("INSERT INTO t VALUES (zeroblob(900000)); DROP TABLE large").unwrap();
    db.exec("CREATE TEMP TABLE again(b); INSERT INTO again VALUES (zeroblob(900000))").unwrap();
}
