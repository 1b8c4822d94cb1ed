//! SQL functions and collations of users.

use std::{cell::RefCell, cmp::Ordering, rc::Rc};

use tidelock::{
    Error, ErrorCode, Result, Value,
    sqlite::{
        Connection, PageFile,
        functions::{self, Arguments, CallPhase, FunctionDefinition, FunctionKind, Functions},
    },
};

/// `twice` and `picky` scalar, `joined` a window aggregate, `backwards` a collation; each fails on the text 'bad'.
#[derive(Default)]
struct Mine {
    states: RefCell<Vec<Vec<String>>>,
    calls: RefCell<Vec<String>>,
}

const JOINED: usize = 2;

fn bad() -> Error {
    Error::invalid("that is bad")
}

impl Functions for Mine {
    fn call(&self, function: usize, phase: CallPhase, state: u32, arguments: &Arguments<'_>) -> Result<Value> {
        assert!(functions::running());
        let values = arguments.values();
        self.calls.borrow_mut().push(format!("{function} {phase:?} {}", arguments.len()));
        if values.contains(&Value::from("bad")) {
            return Err(bad());
        }
        if function != JOINED {
            return Ok(match values.into_iter().next() {
                Some(Value::Integer(one)) => Value::Integer(one.wrapping_mul(2)),
                Some(Value::Real(one)) => Value::Real(one * 2.0),
                Some(Value::Text(one)) => Value::from(one.repeat(2)),
                Some(Value::Blob(one)) => Value::Blob(one.repeat(2)),
                Some(Value::Null) | None => Value::Null,
            });
        }
        let mut states = self.states.borrow_mut();
        let place = match state {
            0 => {
                states.push(Vec::new());
                states.len()
            }
            state => state as usize,
        };
        let list = &mut states[place - 1];
        match phase {
            CallPhase::Step => list.push(values[0].as_text().unwrap_or("-").to_owned()),
            CallPhase::Inverse => _ = list.remove(0),
            CallPhase::Call => unreachable!(),
            CallPhase::Value | CallPhase::Finish => return Ok(Value::from(list.join(","))),
        }
        Ok(Value::Integer(place as i64))
    }

    fn compare(&self, _collation: usize, one: &str, other: &str) -> Result<Ordering> {
        if one == "bad" || other == "bad" { Err(bad()) } else { Ok(other.cmp(one)) }
    }
}

fn definition(name: &str, kind: FunctionKind, deterministic: bool, direct_only: bool) -> FunctionDefinition {
    FunctionDefinition { name: name.to_owned(), kind, deterministic, direct_only }
}

fn opened() -> (Connection, Rc<Mine>) {
    let mine = Rc::new(Mine::default());
    let definitions = vec![
        definition("twice", FunctionKind::Scalar, true, false),
        definition("private", FunctionKind::Scalar, true, true),
        definition("joined", FunctionKind::Window, false, false),
        definition("backwards", FunctionKind::Collation, true, false),
        definition("random_like", FunctionKind::Scalar, false, false),
    ];
    functions::add(definitions, mine.clone()).unwrap();
    (Connection::open(&PageFile::default()).unwrap(), mine)
}

fn value(connection: &Connection, sql: &str) -> Value {
    connection.value(sql, &[]).unwrap().unwrap()
}

#[test]
fn arguments_and_results_are_exact() {
    let (connection, _) = opened();
    for (given, expected) in [
        (Value::Null, Value::Null),
        (Value::Integer(i64::MAX / 2), Value::Integer(i64::MAX - 1)),
        (Value::Real(0.1), Value::Real(0.2)),
        (Value::from("é😀\0"), Value::from("é😀\0é😀\0")),
        (Value::from(""), Value::from("")),
        (Value::Blob(vec![0, 255]), Value::Blob(vec![0, 255, 0, 255])),
        (Value::Blob(vec![]), Value::Blob(vec![])),
    ] {
        assert_eq!(connection.value("SELECT twice(?1)", &[given]).unwrap(), Some(expected));
    }
    assert_eq!(value(&connection, "SELECT twice() IS NULL"), Value::Integer(1));
    assert_eq!(value(&connection, "SELECT twice(CAST(x'ff' AS TEXT))"), Value::from("\u{fffd}\u{fffd}"));
}

#[test]
fn the_schema_may_use_them_and_every_connection_has_them() {
    let (connection, _) = opened();
    connection
        .exec(
            "CREATE TABLE t(a TEXT COLLATE backwards, b AS (twice(a)) STORED, CHECK (twice(a) <> 'nono'));
             CREATE INDEX i ON t(twice(a));
             CREATE VIEW v AS SELECT twice(b) AS c FROM t;
             CREATE TRIGGER r AFTER DELETE ON t BEGIN INSERT INTO t(a) VALUES (twice(OLD.a)); END;
             INSERT INTO t(a) VALUES ('x'), ('y'), ('z');
             DELETE FROM t WHERE a = 'x'",
        )
        .unwrap();
    assert_eq!(
        value(&connection, "SELECT group_concat(a, ' ') FROM (SELECT a FROM t ORDER BY a)"),
        Value::from("z y xx")
    );
    assert_eq!(value(&connection, "SELECT max(c) FROM v"), Value::from("zzzz"));
    let error = connection.exec("INSERT INTO t(a) VALUES ('no')").unwrap_err();
    assert!(error.is(ErrorCode::SqliteConstraint));
    // A function that is allowed only in statements, and one that isn't deterministic.
    let error = connection.exec("CREATE VIEW w AS SELECT private(1); SELECT * FROM w").unwrap_err();
    assert!(error.message.contains("unsafe use of private"), "{}", error.message);
    assert_eq!(value(&connection, "SELECT private(4)"), Value::Integer(8));
    let error = connection.exec("CREATE INDEX j ON t(random_like(a))").unwrap_err();
    assert!(error.message.contains("non-deterministic"), "{}", error.message);

    let copy = Connection::open(&PageFile::default()).unwrap();
    copy.replace_with(&connection.pin()).unwrap();
    assert_eq!(copy.quick_check().unwrap(), Vec::<String>::new());
    assert_eq!(value(&copy, "SELECT max(c) FROM v"), Value::from("zzzz"));
}

#[test]
fn aggregates_have_a_state_per_group_and_remove_rows_in_windows() {
    let (connection, mine) = opened();
    let rows = connection
        .rows(
            "SELECT column1 % 2, joined(column2) FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')) GROUP BY 1 ORDER BY 1",
            &[],
        )
        .unwrap();
    assert_eq!(rows, [[Value::Integer(0), Value::from("b,d")], [Value::Integer(1), Value::from("a,c")]]);
    assert_eq!(value(&connection, "SELECT joined(1) FROM (SELECT 1 WHERE 0)"), Value::from(""));
    let rows = connection
        .rows("SELECT joined(column1) OVER (ORDER BY column1 ROWS 1 PRECEDING) FROM (VALUES ('a'), ('b'), ('c'))", &[])
        .unwrap();
    assert_eq!(rows, [[Value::from("a")], [Value::from("a,b")], [Value::from("b,c")]]);
    // After a failed step the state's result is never requested.
    mine.calls.take();
    let error = connection.rows("SELECT joined(column1) FROM (VALUES ('a'), ('bad'), ('c'))", &[]).unwrap_err();
    assert_eq!(error.message, "The SQL function joined failed");
    assert_eq!(mine.calls.take(), ["2 Step 1", "2 Step 1"]);
}

#[test]
fn a_failure_names_the_function_and_undoes_the_statement() {
    let (connection, _) = opened();
    connection.exec("CREATE TABLE t(a)").unwrap();
    let error = connection.run("INSERT INTO t SELECT twice(column1) FROM (VALUES ('a'), ('bad'))", &[]).unwrap_err();
    assert!(error.is(ErrorCode::SqliteError));
    assert_eq!(error.message, "The SQL function twice failed");
    assert_eq!(error.cause.as_deref(), Some("that is bad"));
    assert!(!functions::running());
    assert_eq!(value(&connection, "SELECT count(*) FROM t"), Value::Integer(0));
    assert_eq!(value(&connection, "SELECT twice(2)"), Value::Integer(4));
}

#[test]
fn results_of_a_failed_collation_are_neither_returned_nor_committed() {
    let (connection, _) = opened();
    connection.exec("CREATE TABLE t(a TEXT COLLATE backwards); CREATE INDEX i ON t(a)").unwrap();
    connection.exec("INSERT INTO t VALUES ('a'), ('c')").unwrap();
    let reading = "SELECT * FROM (VALUES ('a'), ('bad'), ('b')) ORDER BY column1 COLLATE backwards";
    assert_eq!(connection.rows(reading, &[]).unwrap_err().message, "The SQL collation backwards failed");
    for sql in ["INSERT INTO t VALUES ('bad')", "UPDATE t SET a = 'bad' WHERE a = 'c'"] {
        assert_eq!(connection.run(sql, &[]).unwrap_err().message, "The SQL collation backwards failed");
        assert_eq!(value(&connection, "SELECT group_concat(a) FROM (SELECT a FROM t ORDER BY a)"), Value::from("c,a"));
    }
    // Inside a transaction, only a rollback of the whole transaction is possible.
    connection.exec("BEGIN; INSERT INTO t VALUES ('d')").unwrap();
    assert!(connection.run("INSERT INTO t VALUES ('bad')", &[]).is_err());
    assert!(!connection.in_transaction());
    assert_eq!(value(&connection, "SELECT group_concat(a) FROM (SELECT a FROM t ORDER BY a)"), Value::from("c,a"));
    assert_eq!(connection.quick_check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_database_without_its_functions_reports_them() {
    let (connection, _) = opened();
    connection.exec("CREATE TABLE t(a); CREATE INDEX i ON t(twice(a)); INSERT INTO t VALUES (1)").unwrap();
    let pin = PageFile::default();
    let copy = Connection::open(&pin).unwrap();
    copy.replace_with(&connection.pin()).unwrap();
    drop((connection, copy));
    functions::add(Vec::new(), Rc::new(Mine::default())).unwrap();
    let without = Connection::open(&pin).unwrap();
    assert_eq!(value(&without, "SELECT a FROM t"), Value::Integer(1));
    let error = without.run("INSERT INTO t VALUES (2)", &[]).unwrap_err();
    assert!(error.is(ErrorCode::SqliteError) && error.message.contains("twice"), "{}", error.message);
    assert!(
        functions::add(vec![definition("", FunctionKind::Scalar, false, false)], Rc::new(Mine::default())).is_err()
    );
}
