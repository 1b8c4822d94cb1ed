use super::fresh;
use crate::{
    Value,
    error::ErrorCode,
    sqlite::{Authority, CHUNK_SIZE, Connection, Image, PageFile},
};

#[test]
fn statements_run_and_values_come_back() {
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, NULL);").unwrap();
    assert_eq!(db.run("INSERT INTO t VALUES (?, ?)", &[3.into(), vec![1u8, 2].into()]).unwrap(), 1);
    assert_eq!(
        db.rows("SELECT a, b FROM t ORDER BY a", &[]).unwrap(),
        vec![
            vec![Value::Integer(1), Value::Text("x".into())],
            vec![Value::Integer(2), Value::Null],
            vec![Value::Integer(3), Value::Blob(vec![1, 2])],
        ]
    );
    assert_eq!(db.value("SELECT count(*) FROM t", &[]).unwrap(), Some(Value::Integer(3)));
    assert_eq!(file.page_size(), 4096);
    assert!(file.has_ready());
}

#[test]
fn settings_are_the_same_everywhere() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a)").unwrap();
    for (pragma, expected) in [
        ("page_size", Value::Integer(4096)),
        ("journal_mode", "memory".into()),
        ("locking_mode", "exclusive".into()),
        ("synchronous", Value::Integer(0)),
        ("temp_store", Value::Integer(1)),
        ("cache_spill", Value::Integer(0)),
        ("foreign_keys", Value::Integer(1)),
        ("recursive_triggers", Value::Integer(1)),
        ("auto_vacuum", Value::Integer(2)),
        ("trusted_schema", Value::Integer(0)),
    ] {
        assert_eq!(db.value(&format!("PRAGMA {pragma}"), &[]).unwrap(), Some(expected), "{pragma}");
    }
}

#[test]
fn a_file_has_one_connection_at_a_time() {
    let (file, db) = fresh();
    assert!(Connection::open(&file).is_err_and(|error| error.is(ErrorCode::Internal)));
    db.exec("CREATE TABLE t(a)").unwrap();
    drop(db);
    let db = Connection::open(&file).unwrap();
    assert_eq!(db.value("SELECT count(*) FROM t", &[]).unwrap(), Some(Value::Integer(0)));
}

#[test]
fn a_file_that_is_not_a_database_is_corrupt() {
    let file = PageFile::new(Image::from_bytes(&vec![7; 8192]));
    let error = Connection::open(&file).err().unwrap();
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
    // The failed open releases the file.
    assert!(Connection::open(&file).is_err_and(|error| error.is(ErrorCode::DatabaseCorrupt)));
}

#[test]
fn work_is_atomic() {
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(a)").unwrap();
    let commits = file.commits();
    let outcome: crate::Result<()> = db.atomically(|db| {
        db.run("INSERT INTO t VALUES (1)", &[])?;
        let inner: crate::Result<()> = db.atomically(|db| {
            db.run("INSERT INTO t VALUES (2)", &[])?;
            Err(crate::Error::invalid("no"))
        });
        assert!(inner.is_err() && db.in_transaction());
        db.atomically(|db| db.run("INSERT INTO t VALUES (3)", &[]))?;
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(file.commits(), commits + 1);
    assert_eq!(db.rows("SELECT a FROM t", &[]).unwrap(), vec![vec![Value::Integer(1)], vec![Value::Integer(3)]]);
    let failed: crate::Result<()> = db.atomically(|db| {
        db.run("DELETE FROM t", &[])?;
        Err(crate::Error::invalid("no"))
    });
    assert!(failed.is_err() && !db.in_transaction());
    assert_eq!(db.value("SELECT count(*) FROM t", &[]).unwrap(), Some(Value::Integer(2)));
    assert_eq!(file.commits(), commits + 1);
}

#[test]
fn a_restore_is_one_whole_commit() {
    let (source_file, source) = fresh();
    source
        .exec("PRAGMA page_size = 1024; VACUUM; CREATE TABLE s(a); INSERT INTO s VALUES (zeroblob(100000));")
        .unwrap();
    assert_eq!(source_file.page_size(), 1024);
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    file.take_ready(usize::MAX).unwrap();
    let commits = file.commits();
    db.replace_with(&source.pin()).unwrap();
    assert_eq!(file.commits(), commits + 1);
    assert_eq!(db.value("SELECT length(a) FROM s", &[]).unwrap(), Some(Value::Integer(100_000)));
    assert!(db.quick_check().unwrap().is_empty());
    let batch = file.take_ready(usize::MAX).unwrap().unwrap();
    let pages = &batch.pages;
    assert_eq!((pages.page_size, pages.db_pages as usize), (1024, pages.numbers.len()));
    assert_eq!(file.image().unwrap().chunks, Image::from_bytes(&batch.parts.concat()).chunks);
}

#[test]
fn a_statement_is_compiled_once_and_never_shared() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let sql = "SELECT a FROM t ORDER BY a";
    let raw = db.statement(sql).unwrap().prepared.raw;
    let mut outer = db.statement(sql).unwrap();
    assert_eq!(outer.prepared.raw, raw);
    outer.step().unwrap();
    // The same text while it is in use gets a statement of its own, which doesn't disturb the other.
    let mut inner = db.statement(sql).unwrap();
    assert_ne!(inner.prepared.raw, raw);
    inner.step().unwrap();
    drop(inner);
    outer.step().unwrap();
    assert_eq!(outer.column_i64(0), 2);
    // Many others don't evict a statement in use.
    for number in 0..300 {
        assert_eq!(db.value(&format!("SELECT {number}"), &[]).unwrap(), Some(Value::Integer(number)));
    }
    assert_eq!(outer.column_i64(0), 2);
    drop(outer);
    // Bindings are cleared before the next use.
    db.value("SELECT ?1", &["secret".into()]).unwrap();
    let mut again = db.statement("SELECT ?1").unwrap();
    again.step().unwrap();
    assert!(again.column(0).is_null());
}

#[test]
fn a_file_from_wal_mode_opens_and_leaves_it() {
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let mut bytes = file.image().unwrap().to_bytes();
    bytes[18..20].copy_from_slice(&[2, 2]);
    let copy = PageFile::new(Image::from_bytes(&bytes));
    let db = Connection::open(&copy).unwrap();
    assert_eq!(db.value("SELECT a FROM t", &[]).unwrap(), Some(Value::Integer(1)));
    assert_eq!(db.value("PRAGMA journal_mode", &[]).unwrap(), Some("memory".into()));
    db.exec("INSERT INTO t VALUES (2)").unwrap();
    let image = copy.image().unwrap();
    assert_eq!(image.chunks[0][18..20], [1, 1]);
    // The change of the header is a commit, too.
    assert!(
        copy.take_ready(usize::MAX)
            .unwrap()
            .is_some_and(|batch| batch.pages.numbers[0] == 0 && batch.parts[0][18..20] == [1, 1])
    );
}

#[test]
fn many_databases_in_many_threads() {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let files: Vec<_> = (0..3).map(|_| fresh()).collect();
                for (index, (_, db)) in files.iter().enumerate() {
                    db.exec("CREATE TABLE t(a)").unwrap();
                    db.run("INSERT INTO t VALUES (?)", &[(thread * 10 + index as i64).into()]).unwrap();
                }
                for (index, (_, db)) in files.iter().enumerate() {
                    assert_eq!(db.value("SELECT a FROM t", &[]).unwrap(), Some((thread * 10 + index as i64).into()));
                }
            });
        }
    });
}

#[test]
fn an_image_survives_conversion_to_bytes() {
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(b); INSERT INTO t VALUES (randomblob(200001))").unwrap();
    let image = file.image().unwrap();
    assert_eq!((image.len(), image.page_size), (file.bytes(), 4096));
    assert!(
        image.chunks.len() > 3 && image.chunks[..image.chunks.len() - 1].iter().all(|chunk| chunk.len() == CHUNK_SIZE)
    );
    assert_eq!(Image::from_bytes(&image.to_bytes()), image);
    assert_eq!(PageFile::new(image.clone()).image().unwrap(), image);
    assert!(Image::default().is_empty() && PageFile::default().image().unwrap() == Image::default());
    let copy = PageFile::new(image);
    let reopened = Connection::open(&copy).unwrap();
    let blob = |db: &Connection| db.value("SELECT b FROM t", &[]).unwrap();
    assert_eq!(blob(&reopened), blob(&db));
    assert!(!copy.has_ready() && copy.take_touched().is_empty());
}

#[test]
fn foreign_keys_are_checked() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p); PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (5)")
        .unwrap();
    let violations = db.foreign_key_check(usize::MAX).unwrap();
    assert_eq!(
        (violations.len(), &*violations[0].table, violations[0].rowid, &*violations[0].parent),
        (1, "c", Some(1), "p")
    );
}

#[test]
fn a_typo_in_a_name_is_answered_with_the_name() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE users(id, email, created_at); CREATE VIEW newest AS SELECT 1; CREATE TABLE other(title)")
        .unwrap();
    let hint = |sql: &str| db.statement_for(sql, Authority::User).err().expect("refused").hint.clone();
    for (sql, meant) in [
        ("SELECT * FROM usres", Some("users")),
        ("SELECT * FROM main.User", Some("users")),
        ("SELECT * FROM newst", Some("newest")),
        ("SELECT u.emial FROM users u", Some("email")),
        ("SELECT createdAt FROM users", Some("created_at")),
        ("INSERT INTO users (ids) VALUES (1)", Some("id")),
        ("UPDATE users SET crated_at = 1", Some("created_at")),
        // Another word, a column of another table, and no name at all.
        ("SELECT * FROM customers", None),
        ("SELECT title FROM users", None),
        ("SELECT * FROM users WHERE", None),
    ] {
        assert_eq!(hint(sql), meant.map(|name| format!("Did you mean '{name}'?")), "{sql}");
    }
    assert_eq!(db.value("SELECT count(*) FROM users", &[]).unwrap(), Some(Value::Integer(0)));
}
