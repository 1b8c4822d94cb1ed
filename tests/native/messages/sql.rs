//! Statements, parameters, scripts, external files.

use std::{cmp::Ordering, rc::Rc};

use tidelock::{
    Error, Result, Value,
    memory::room_for,
    sqlite::{
        Authority, Connection, FlatParams, FlatRows, Image, Integers, Op, PageFile,
        functions::{self, Arguments, CallPhase, ColumnKeys, FunctionDefinition, FunctionKind, Functions},
        tag,
    },
};

use super::Shown;
use crate::{
    files::{image, made_by},
    memory::allow,
};

fn connection(script: &str) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec(script).unwrap();
    connection
}

/// Returns the buffer of one row of texts, encoded as JavaScript does.
fn texts(values: &[&str]) -> Vec<u8> {
    let text = values.concat();
    let mut buffer = Vec::new();
    for length in [1, values.len(), text.len(), 0] {
        buffer.extend_from_slice(&(length as u32).to_le_bytes());
    }
    // A text's slot holds its length.
    values.iter().for_each(|value| buffer.extend_from_slice(&(value.len() as f64).to_le_bytes()));
    values.iter().for_each(|_| buffer.push(tag::TEXT));
    buffer.extend_from_slice(text.as_bytes());
    buffer
}

/// Runs a user's statement.
fn user(connection: &Connection, sql: &str, values: &[&str], names: &str) -> Result<()> {
    let buffer = texts(values);
    let params = if values.is_empty() { None } else { Some(FlatParams::parse(&buffer)?) };
    let mut rows = FlatRows::default();
    connection.execute(Op::Query, sql, Authority::User, params.as_ref(), names, Integers::Number, &mut rows).map(drop)
}

#[test]
fn statements() {
    let mut shown = Shown::of("statements");
    let open = connection("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL UNIQUE, CHECK (b <> 'bad'))");
    open.exec("CREATE TABLE child(t INTEGER REFERENCES t); CREATE VIRTUAL TABLE words USING fts5(text)").unwrap();
    open.exec("INSERT INTO t VALUES (1, 'one')").unwrap();
    let mut run = |done: &str, sql: &str| shown.fails(done, user(&open, sql, &[], ""));
    run("a table that isn't there", "SELECT * FROM nowhere");
    run("a syntax error", "SELECT FROM");
    run("a second row of a unique value", "INSERT INTO t VALUES (2, 'one')");
    run("a second row of a primary key", "INSERT INTO t VALUES (1, 'two')");
    run("NULL where none may be", "INSERT INTO t VALUES (2, NULL)");
    run("what a CHECK refuses", "INSERT INTO t VALUES (2, 'bad')");
    run("a row without its parent", "INSERT INTO child VALUES (7)");
    run("an empty statement", " -- nothing\n");
    run("two statements in one", "SELECT 1; SELECT 2");
    run("two pragmas in one", "PRAGMA user_version; PRAGMA user_version = 2");
    run("BEGIN as a statement", "BEGIN");
    run("ATTACH", "ATTACH 'other.sqlite' AS other");
    run("a pragma of the storage", "PRAGMA journal_mode = WAL");
    run("an integer too large for a number", "SELECT 9007199254740993 AS large");
    open.exec("BEGIN").unwrap();
    run("foreign keys inside a transaction", "PRAGMA foreign_keys = OFF");
    shown.fails("replacing a database in a transaction", open.replace_with(&connection("").pin()));
    open.exec("ROLLBACK").unwrap();

    let mut bound = |done: &str, sql: &str, values: &[&str], names: &str| {
        shown.fails(done, user(&open, sql, values, names));
    };
    bound("a parameter too few", "SELECT ?, ?", &["a"], "");
    bound("a parameter too many", "SELECT ?", &["a", "b"], "");
    bound("a named parameter that is missing", "SELECT :a, :b", &["x"], "a");
    bound("a named parameter that the statement doesn't have", "SELECT :a", &["x", "y"], "a\0c");
    bound("names for a statement with question marks", "SELECT ?", &["x"], "a");
    bound("fewer names than values", "SELECT :a", &["x", "y"], "a");
    bound(
        "a bound query for full text that can't be read",
        "SELECT * FROM words WHERE words MATCH ?",
        &["\"secret"],
        "",
    );
    let mut statement = open.statement("SELECT ?1").unwrap();
    shown.fails("a parameter beyond the statement's", statement.bind(2, &Value::Null));
    drop(statement);

    shown.fails("a buffer of parameters that ends early", FlatParams::parse(&[1, 0, 0, 0]));
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut buffer = texts(&["abc"]);
        change(&mut buffer);
        let params = FlatParams::parse(&buffer).unwrap();
        let mut rows = FlatRows::default();
        open.execute(Op::Query, "SELECT ?", Authority::User, Some(&params), "", Integers::Auto, &mut rows).map(drop)
    };
    shown.fails(
        "a text longer than what there is",
        broken(&|buffer| buffer[16..24].copy_from_slice(&9.0_f64.to_le_bytes())),
    );
    shown.fails("a blob longer than what there is", broken(&|buffer| buffer[24] = tag::BLOB));
    shown.fails("a value of no kind", broken(&|buffer| buffer[24] = 99));
    let none = [0; 16];
    let mut rows = FlatRows::default();
    let none = FlatParams::parse(&none).unwrap();
    let result = open.execute(Op::Query, "SELECT 1", Authority::User, Some(&none), "", Integers::Auto, &mut rows);
    shown.fails("a query with no row of parameters", result);
    let (two, sql) = (texts(&["x", "y"]), "SELECT :a");
    let one = texts(&["x"]);
    let statement = open.statement_for(sql, Authority::User).unwrap();
    open.place(&statement, Some(&FlatParams::parse(&one).unwrap()), Some("a")).unwrap();
    shown
        .fails("other names than the last time", open.place(&statement, Some(&FlatParams::parse(&two).unwrap()), None));
    drop(statement);

    let limited = PageFile::default();
    limited.set_max_bytes(65_536);
    let small = Connection::open(&limited).unwrap();
    shown.fails("more than maxBytes", small.exec("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000))"));
    shown.fails("a second connection to a database", Connection::open(&limited));
    shown.fails("a script that fails in its third line", open.exec("SELECT 1;\n\nSELECT wrong;"));
    let wide = connection("PRAGMA encoding = 'UTF-16'; CREATE TABLE t(a)");
    shown.fails("a copy between two encodings", wide.replace_with(&open.pin()));
    shown.check();
}

#[test]
fn memory() {
    let mut shown = Shown::of("memory");
    let limited = |bytes: usize, work: &mut dyn FnMut() -> Result<()>| {
        allow(bytes);
        let result = work();
        allow(usize::MAX);
        result
    };
    let open = connection("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(3000000))");
    let sql = "SELECT zeroblob(2000000)";
    shown.fails("a result", limited(1_000_000, &mut || user(&open, sql, &[], "")));
    shown.fails("a guard", limited(1_000_000, &mut || room_for(10_000_000)));
    shown.fails("the text of a dump", limited(1000, &mut || open.dump(&mut |_| Ok(()))));
    let script = format!("SELECT 1; -- {}", "x".repeat(2_000_000));
    shown.fails("a script", limited(1_000_000, &mut || open.exec(&script)));
    shown.fails("the database file", limited(50_000, &mut || Image::read(200_000, |_, _| Ok(())).map(drop)));
    let file = made_by("CREATE TABLE t(a); PRAGMA journal_mode = WAL; INSERT INTO t VALUES (1)");
    let wide = made_by("PRAGMA encoding = 'UTF-16'; CREATE TABLE t(a); INSERT INTO t VALUES (hex(zeroblob(2000000)))");
    let foreign = Connection::open_external(image(&wide), None).unwrap();
    drop(file);
    let mut foreign = Some(foreign);
    shown.fails(
        "a file in UTF-16",
        limited(1_000_000, &mut || foreign.take().map_or(Ok(()), |foreign| foreign.check().map(drop))),
    );
    shown.check();
}

#[test]
fn files() {
    let mut shown = Shown::of("files");
    let checked =
        |bytes: &[u8]| Connection::open_external(image(bytes), None).and_then(|foreign| foreign.check().map(drop));
    shown.fails("a file that is none", checked(b"hello"));
    let good = made_by("CREATE TABLE t(a); INSERT INTO t VALUES (hex(zeroblob(9000)))");
    let mut newer = good.clone();
    newer[18..20].fill(9);
    shown.fails("a file of a newer format", checked(&newer));
    let mut damaged = good.clone();
    damaged[4096..8192].fill(0x5a);
    shown.fails("a file with a damaged page", checked(&damaged));
    shown.fails("a file cut off", checked(&good[..4096 * 2]));
    let text = |sql: &str| Connection::open_sql(sql, 1 << 20, None).and_then(|foreign| foreign.check().map(drop));
    shown.fails("a text without a statement", text("-- empty"));
    shown.fails("a text that was cut off", text("BEGIN; CREATE TABLE t(a);"));
    shown.fails("a text that is wrong in its second line", text("CREATE TABLE t(a);\nINSERT INTO u VALUES (1);"));
    shown.fails("a schema with a function that isn't here", text("CREATE TABLE t(a CHECK (somewhere_else(a)));"));
    shown.check();
}

struct Failing;

impl Functions for Failing {
    fn call(&self, _: usize, _: CallPhase, _: u32, _: &Arguments<'_>) -> Result<Value> {
        Err(Error::internal("why it failed"))
    }

    fn compare(&self, _: usize, _: &str, _: &str) -> Result<Ordering> {
        Err(Error::internal("why it failed"))
    }
}

#[test]
fn functions_of_the_app() {
    let mut shown = Shown::of("functions");
    let definition = |name: &str, kind: FunctionKind| FunctionDefinition {
        name: name.to_owned(),
        kind,
        deterministic: true,
        direct_only: false,
    };
    shown.fails(
        "a function without a name",
        functions::add(vec![definition("", FunctionKind::Scalar)], Rc::new(Failing)),
    );
    let definitions = vec![
        definition("mine", FunctionKind::Scalar),
        definition("total_of", FunctionKind::Aggregate),
        definition("by_length", FunctionKind::Collation),
    ];
    functions::add(definitions, Rc::new(Failing)).unwrap();
    let open = connection("CREATE TABLE t(a)");
    shown.fails("a function that fails", user(&open, "SELECT mine('secret')", &[], ""));
    shown.fails("an aggregate that fails", user(&open, "SELECT total_of(column1) FROM (VALUES (1), (2))", &[], ""));
    let sorted = "SELECT column1 FROM (VALUES ('a'), ('b')) ORDER BY column1 COLLATE by_length";
    shown.fails("a collation that fails", user(&open, sorted, &[], ""));
    shown.add("a function that uses the database that calls it", &functions::inside());
    shown.check();
}

#[test]
fn sensitive_columns() {
    let mut shown = Shown::of("columns");
    let without = connection("CREATE TABLE t(a)");
    shown.fails("encrypt without a key", user(&without, "SELECT encrypt('secret')", &[], ""));
    let keys = |key: u8| ColumnKeys::new(&[[key; 32]], Box::new(|bytes| bytes.fill(7)));
    shown.fails("no key", ColumnKeys::new(&[], Box::new(|_| {})));
    functions::add_column_keys(keys(1).unwrap());
    let open = connection("CREATE TABLE t(a)");
    shown.fails("a number to encrypt", user(&open, "SELECT encrypt(4711)", &[], ""));
    shown.fails("a text to decrypt", user(&open, "SELECT decrypt('secret')", &[], ""));
    shown.fails("decrypt in the schema", user(&open, "CREATE INDEX i ON t(decrypt(a))", &[], ""));
    let decrypted = |bytes: &[u8]| keys(1).unwrap().decrypt(bytes);
    let theirs = keys(2).unwrap().encrypt("secret").unwrap();
    shown.fails("a value of another key", decrypted(&theirs));
    let mut damaged = keys(1).unwrap().encrypt("secret").unwrap();
    damaged[20] ^= 1;
    shown.fails("a value that was changed", decrypted(&damaged));
    shown.check();
}
