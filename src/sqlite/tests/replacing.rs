//! Replacing the content of an open database.

use super::{
    fresh,
    pages::{Broken, Shadow, fresh_paged},
};
use crate::{
    collections::Bits,
    error::ErrorCode,
    sqlite::{CHUNK_SIZE, Connection, FileContents, PageFile, paged},
    value::Value,
};

const FILL: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, b);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO t SELECT i, randomblob(1000) FROM n";

#[test]
fn only_what_differs_is_written() {
    for (file, db) in [fresh(), fresh_paged()] {
        db.exec(FILL).unwrap();
        let before = db.pin();
        file.rebase(&before, || Broken::of(&before));
        file.take_ready(usize::MAX).unwrap();
        db.run("UPDATE t SET b = NULL WHERE id = 300", &[]).unwrap();
        file.take_ready(usize::MAX).unwrap();
        db.replace_with(&before).unwrap();
        let batch = file.take_ready(usize::MAX).unwrap().unwrap();
        assert!(batch.pages.numbers.len() <= 4, "{:?}", batch.pages);
        assert!(file.changed_bytes().is_none_or(|bytes| bytes <= 4 * 4096));
        let sum = db.value("SELECT sum(length(b)) FROM t", &[]).unwrap();
        assert_eq!((sum, db.quick_check().unwrap()), (Some(500_000.into()), vec![]));
    }
}

#[test]
fn statements_and_full_text_search_follow() {
    let (_file, db) = fresh();
    let (_other_file, other) = fresh();
    for (db, word) in [(&db, "old"), (&other, "new")] {
        db.exec(&format!(
            "CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('{word}'); CREATE TABLE {word} AS SELECT '{word}' AS name"
        ))
        .unwrap();
    }
    let found = |word: &str| db.value("SELECT count(*) FROM words WHERE words MATCH ?", &[word.into()]).unwrap();
    assert_eq!((found("old"), found("new")), (Some(1.into()), Some(0.into())));
    let before = db.pin();
    for (content, there, missing) in [(&other.pin(), "new", "old"), (&before, "old", "new")] {
        db.replace_with(content).unwrap();
        assert_eq!((found(there), found(missing)), (Some(1.into()), Some(0.into())));
        assert_eq!(db.value(&format!("SELECT name FROM {there}"), &[]).unwrap(), Some(there.into()));
        assert!(db.value(&format!("SELECT name FROM {missing}"), &[]).is_err());
        // The schema can be changed again.
        db.exec(&format!("CREATE TABLE added AS SELECT * FROM {there}; INSERT INTO words VALUES ('{missing}')"))
            .unwrap();
        assert_eq!((found(missing), db.integrity_check(9).unwrap()), (Some(1.into()), vec![]));
    }
}

#[test]
fn content_that_cannot_be_read_changes_nothing() {
    for (file, db) in [fresh(), fresh_paged()] {
        let (other_file, other) = fresh();
        other.exec(FILL).unwrap();
        let stored = Broken::of(&other.pin());
        let content = PageFile::new(FileContents::Paged(paged(stored.clone(), other_file.bytes(), 4096, 0))).pin();
        db.exec("CREATE TABLE kept AS SELECT 1 AS a").unwrap();
        file.take_ready(usize::MAX).unwrap();
        let before = file.image().unwrap();
        stored.0.set(true);
        let error = db.replace_with(&content).unwrap_err();
        assert_eq!((error.code, &*error.message), (ErrorCode::DatabaseCorrupt, "Chunk 3 is damaged"));
        assert!(file.image().unwrap() == before && !file.has_ready());
        db.exec("INSERT INTO kept VALUES (2)").unwrap();
        assert_eq!(db.value("SELECT sum(a) FROM kept", &[]).unwrap(), Some(3.into()));
        stored.0.set(false);
        db.replace_with(&content).unwrap();
        assert_eq!(db.value("SELECT count(*) FROM t", &[]).unwrap(), Some(500.into()));
        assert!(db.quick_check().unwrap().is_empty() && file.bytes() > 5 * CHUNK_SIZE as u64);
    }
}

#[test]
fn content_that_does_not_fit_changes_nothing() {
    let (_source_file, source) = fresh();
    source.exec("CREATE TABLE s(b); INSERT INTO s VALUES (zeroblob(500000))").unwrap();
    let file = PageFile::default();
    file.set_max_bytes(300_000);
    let db = Connection::open(&file).unwrap();
    db.exec("CREATE TABLE t(b); INSERT INTO t VALUES (zeroblob(100000))").unwrap();
    let before = file.image().unwrap();
    assert_eq!(db.replace_with(&source.pin()).unwrap_err().code, ErrorCode::DatabaseTooLarge);
    assert!(file.image().unwrap() == before && db.quick_check().unwrap().is_empty());
    db.exec("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(db.replace_with(&source.pin()).unwrap_err().code, ErrorCode::SqliteBusy);
    db.exec("COMMIT").unwrap();
    // An empty database is valid, too.
    let (_empty_file, empty) = fresh();
    let mut shadow = Shadow::default();
    db.replace_with(&empty.pin()).unwrap();
    file.touch(&Bits::below(9));
    shadow.follow(&file);
    shadow.check(&file);
    assert_eq!(db.value("SELECT count(*) FROM sqlite_schema", &[]).unwrap(), Some(Value::Integer(0)));
}
