//! The SQL functions `encrypt` and `decrypt`.

use std::cell::Cell;

use tidelock::{
    Error, ErrorCode, Value,
    error::Detail,
    sqlite::{
        Connection, PageFile,
        functions::{self, ColumnKeys},
    },
};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// Opens a connection whose nonces are consecutive numbers.
fn opened(keys: &[[u8; 32]]) -> Connection {
    let next = Cell::new(0_u32);
    let random = move |bytes: &mut [u8]| {
        next.set(next.get() + 1);
        bytes[..4].copy_from_slice(&next.get().to_be_bytes());
    };
    functions::add_column_keys(ColumnKeys::new(keys, Box::new(random)).unwrap());
    Connection::open(&PageFile::default()).unwrap()
}

fn value(connection: &Connection, sql: &str, params: &[Value]) -> Value {
    connection.value(sql, params).unwrap().unwrap()
}

fn failure(connection: &Connection, sql: &str, params: &[Value]) -> Error {
    connection.value(sql, params).unwrap_err()
}

#[test]
fn texts_come_back_and_nothing_else_goes_in() {
    let connection = opened(&[OLD]);
    let long = "x".repeat(100_000);
    for text in ["", "secret", "é😀\0\u{fffd}", &long] {
        assert_eq!(value(&connection, "SELECT decrypt(encrypt(?1))", &[text.into()]), Value::from(text));
    }
    for sql in ["SELECT encrypt(NULL)", "SELECT decrypt(NULL)"] {
        assert_eq!(value(&connection, sql, &[]), Value::Null);
    }
    let sealed =
        "SELECT typeof(a) || length(a) || (a <> b) FROM (SELECT encrypt('secret') AS a, encrypt('secret') AS b)";
    assert_eq!(value(&connection, sealed, &[]), Value::from("blob391"));
    for (value, kind) in [
        (Value::Integer(4711), "an integer"),
        (Value::Real(47.11), "a real number"),
        (Value::Blob(b"4711".to_vec()), "a blob"),
    ] {
        let error = failure(&connection, "SELECT encrypt(?1)", &[value]);
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert_eq!(error.message, format!("encrypt() accepts a text or NULL, but got {kind}"));
        assert!(error.hint.as_deref().unwrap().contains("CAST") && !error.to_string().contains("47"));
    }
    let error = failure(&connection, "SELECT encrypt('a', 'b')", &[]);
    assert!(error.is(ErrorCode::SqliteError) && error.message.contains("wrong number of arguments"), "{error}");
}

#[test]
fn a_value_that_cannot_be_decrypted_says_why_and_the_database_continues() {
    let connection = opened(&[NEW, OLD]);
    connection.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1), (encrypt('mine'))").unwrap();
    let sealed = value(&connection, "SELECT encrypt('secret')", &[]);
    let Value::Blob(mut damaged) = sealed.clone() else { panic!("{sealed:?}") };
    damaged[20] ^= 1;
    let alone = opened(&[OLD]);
    for (connection, value, reason) in [
        (&connection, Value::from("secret"), "not_encrypted"),
        (&connection, Value::Integer(1), "not_encrypted"),
        (&connection, Value::Blob(vec![]), "not_encrypted"),
        (&connection, Value::Blob(vec![1; 32]), "not_encrypted"),
        (&connection, Value::Blob(vec![2; 64]), "not_encrypted"),
        (&connection, Value::Blob(damaged), "damaged"),
        (&alone, sealed, "other_key"),
    ] {
        // Keys are set per thread, so those of the previous connection would apply: set them again.
        opened(if reason == "other_key" { &[OLD] } else { &[NEW, OLD] });
        let error = failure(connection, "SELECT decrypt(?1)", &[value]);
        assert_eq!(error.code, ErrorCode::DecryptionFailed, "{error}");
        assert_eq!(error.details["reason"], Detail::Text(reason.to_owned()), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    opened(&[NEW, OLD]);
    // A failed statement has no effect.
    let error = failure(&connection, "UPDATE t SET a = decrypt(a)", &[]);
    assert_eq!(error.code, ErrorCode::DecryptionFailed);
    let rows = "SELECT group_concat(typeof(a)) FROM t";
    assert_eq!(value(&connection, rows, &[]), Value::from("integer,blob"));
    assert_eq!(value(&connection, "SELECT decrypt(a) FROM t WHERE a <> 1", &[]), Value::from("mine"));
}

#[test]
fn the_schema_may_encrypt_and_must_not_decrypt() {
    let connection = opened(&[OLD]);
    connection
        .exec(
            "CREATE TABLE people(id INTEGER PRIMARY KEY, name BLOB DEFAULT (encrypt('nobody')));
             CREATE VIEW entry AS SELECT id, '' AS name FROM people;
             CREATE TRIGGER enter INSTEAD OF INSERT ON entry BEGIN
               INSERT INTO people(name) VALUES (encrypt(NEW.name));
             END;
             INSERT INTO entry(name) VALUES ('Ada');
             INSERT INTO people DEFAULT VALUES",
        )
        .unwrap();
    // Temporary views may decrypt, since they aren't stored in the file.
    connection.exec("CREATE TEMP VIEW readable AS SELECT id, decrypt(name) AS name FROM people").unwrap();
    assert_eq!(value(&connection, "SELECT group_concat(name) FROM readable", &[]), Value::from("Ada,nobody"));
    for schema in [
        "CREATE INDEX i ON people(decrypt(name))",
        "CREATE TABLE t(a, b AS (decrypt(a))); SELECT b FROM t",
        "CREATE VIEW v AS SELECT decrypt(name) FROM people; SELECT * FROM v",
        "CREATE TRIGGER r AFTER INSERT ON people BEGIN SELECT decrypt(NEW.name); END; INSERT INTO people(id) VALUES (7)",
    ] {
        let error = connection.exec(schema).unwrap_err();
        assert!(error.message.ends_with("unsafe use of decrypt()"), "{error}");
        assert!(error.hint.as_deref().unwrap().contains("TEMP views"), "{error}");
    }
    // Each value has its own nonce, so an index on it is impossible.
    let error = connection.exec("CREATE INDEX i ON people(encrypt(name))").unwrap_err();
    assert!(error.message.contains("non-deterministic"), "{error}");
}

#[test]
fn values_of_an_old_key_are_found_and_encrypted_with_the_new_one() {
    let old = opened(&[OLD]);
    let written = value(&old, "SELECT encrypt('written before')", &[]);
    let connection = opened(&[NEW, OLD]);
    connection.run("CREATE TABLE notes(id INTEGER PRIMARY KEY, body BLOB)", &[]).unwrap();
    connection.run("INSERT INTO notes(body) VALUES (?1), (encrypt('written today')), (NULL)", &[written]).unwrap();
    let again = "UPDATE notes SET body = encrypt(decrypt(body))
                 WHERE substr(body, 1, 5) <> (SELECT substr(encrypt(''), 1, 5))";
    assert_eq!(connection.run(again, &[]).unwrap(), 1);
    assert_eq!(connection.run(again, &[]).unwrap(), 0);
    opened(&[NEW]);
    let texts = "SELECT group_concat(decrypt(body)) FROM notes";
    assert_eq!(value(&connection, texts, &[]), Value::from("written before,written today"));
}

#[test]
fn without_keys_the_error_says_which_option_is_missing() {
    let connection = Connection::open(&PageFile::default()).unwrap();
    for sql in ["SELECT encrypt('a')", "SELECT Decrypt(x'00')"] {
        let error = failure(&connection, sql, &[]);
        assert!(error.is(ErrorCode::SqliteError) && error.message.contains("no such function: "), "{error}");
        assert_eq!(error.hint.as_deref(), Some("Open the database with the option columnKey"));
    }
    assert_eq!(failure(&connection, "SELECT decrypted(1)", &[]).hint, None);
}
