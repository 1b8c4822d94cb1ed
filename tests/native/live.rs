//! Live queries: a query runs again after every commit that changes its result, and not after commits that can't change
//! it.

use std::rc::Rc;

use tidelock::{
    Value,
    collections::Set,
    live::{Difference, LiveRead, Registry, Window},
    sqlite::{
        Authority, Connection, FlatParams, FlatRows, Integers, PageFile,
        functions::{self, Arguments, CallPhase, FunctionDefinition, FunctionKind, Functions},
        tag,
    },
};

/// A database, its live queries, and the tables that the open transaction has written.
struct Live {
    connection: Connection,
    registry: Registry,
    written: Set<Rc<str>>,
}

impl Live {
    fn new(script: &str) -> Self {
        let mut live = Self::without_analysis(script);
        live.refine();
        live
    }

    fn without_analysis(script: &str) -> Self {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection.exec(script).unwrap();
        Self { connection, registry: Registry::default(), written: Set::default() }
    }

    /// Analyses the queries from now on.
    fn refine(&mut self) {
        self.registry.refine(&self.connection);
    }

    fn watch(&mut self, sql: &str, params: &[Value], names: &str) -> u32 {
        let buffer = buffer(params);
        let params = (!params.is_empty()).then(|| FlatParams::parse(&buffer).unwrap());
        self.registry.watch(&self.connection, sql, params.as_ref(), names).unwrap()
    }

    /// Runs a script; a failed statement has no effect.
    fn run(&mut self, script: &str) {
        for sql in tidelock::sqlite::statements(script) {
            let mut statement = self.connection.statement_for(sql, Authority::Script).expect(sql);
            let writes = statement.effects().writes.clone();
            if statement.run().is_ok() {
                self.written.extend(writes);
            }
        }
    }

    /// Runs and commits a script. Returns the queries to run again.
    fn commit(&mut self, script: &str) -> Vec<u32> {
        self.run("BEGIN");
        self.run(script);
        self.run("COMMIT");
        self.registry.committed(&self.connection, &std::mem::take(&mut self.written))
    }
}

/// Returns the buffer of one row of parameters, encoded as JavaScript does.
fn buffer(values: &[Value]) -> Vec<u8> {
    let mut texts = String::new();
    let (mut slots, mut tags) = (Vec::new(), Vec::new());
    for value in values {
        let (tag, slot) = match value {
            Value::Integer(number) => (tag::BIGINT, number.to_le_bytes()),
            Value::Real(number) => (tag::REAL, number.to_le_bytes()),
            Value::Text(text) => {
                texts += text;
                (tag::TEXT, (text.encode_utf16().count() as f64).to_le_bytes())
            }
            _ => (tag::NULL, [0; 8]),
        };
        slots.extend(slot);
        tags.push(tag);
    }
    let head = [1, values.len(), texts.len(), 0].map(|length| (length as u32).to_le_bytes());
    [head.concat(), slots, tags, texts.into_bytes()].concat()
}

const SCHEMA: &str = "
    CREATE TABLE tasks (id INTEGER PRIMARY KEY, list TEXT COLLATE NOCASE, title TEXT, rank REAL, done INTEGER);
    CREATE TABLE notes (id INTEGER PRIMARY KEY, task INTEGER REFERENCES tasks ON DELETE CASCADE, text TEXT);
    CREATE TABLE tags (name TEXT PRIMARY KEY, n) WITHOUT ROWID;
    CREATE TABLE bare (a);
    CREATE TABLE temporary (a);
    CREATE TEMP TABLE temporary (a);
    CREATE TABLE sums (a, b, c AS (a + b));
    CREATE VIEW open AS SELECT * FROM tasks WHERE NOT done;
    CREATE VIRTUAL TABLE words USING fts5(body);
    INSERT INTO tasks VALUES (1, 'home', 'a', 1, 0), (2, 'home', 'b', 2, 1), (3, 'work', 'c', 3, 0);
    INSERT INTO notes VALUES (1, 1, 'x'), (2, 3, 'y');
    INSERT INTO tags VALUES ('t', 1);
    INSERT INTO sums VALUES (1, 2);";

#[test]
fn a_commit_that_cannot_change_a_result_does_not_run_the_query() {
    for (sql, params, changing, other) in [
        (
            "SELECT * FROM tasks WHERE id = ?",
            vec![Value::from(2)],
            vec![
                "UPDATE tasks SET title = 'z' WHERE id = 2",
                "DELETE FROM tasks WHERE id < 3",
                "REPLACE INTO tasks(id) VALUES (2)",
            ],
            vec![
                "UPDATE tasks SET title = 'z' WHERE id = 1",
                "INSERT INTO tasks(id) VALUES (9)",
                "UPDATE tasks SET done = 1 WHERE 0",
            ],
        ),
        (
            "SELECT title FROM tasks WHERE list = ? AND NOT done ORDER BY rank LIMIT 5",
            vec![Value::from("HOME")],
            vec![
                "UPDATE tasks SET rank = 9 WHERE id = 1",
                "UPDATE tasks SET done = 0 WHERE id = 2",
                "DELETE FROM tasks",
            ],
            vec!["UPDATE tasks SET rank = 9 WHERE id <> 1", "INSERT INTO tasks(list, done) VALUES ('home', 1)"],
        ),
        (
            "SELECT count(*) AS n FROM tasks AS t WHERE t.rank > ?1 AND lower(t.title) LIKE ?2",
            vec![Value::from("1.5"), Value::from("B%")],
            vec!["INSERT INTO tasks(rank, title) VALUES (2, 'BB')", "UPDATE tasks SET rank = 1 WHERE id = 2"],
            vec!["INSERT INTO tasks(rank, title) VALUES (1, 'BB')", "UPDATE tasks SET done = 7"],
        ),
        (
            "SELECT tasks.title, n.text FROM tasks JOIN notes n ON n.task = tasks.id",
            vec![],
            vec![
                "UPDATE tasks SET title = 'z' WHERE id = 1",
                "INSERT INTO notes(task) VALUES (2)",
                "DELETE FROM tasks WHERE id = 3",
            ],
            vec!["UPDATE tasks SET done = 1, rank = 4", "UPDATE notes SET text = text"],
        ),
        (
            "SELECT count(*) AS n FROM notes",
            vec![],
            vec!["DELETE FROM tasks WHERE id = 1", "INSERT INTO notes(text) VALUES ('z')"],
            vec!["UPDATE notes SET text = 'z'", "DELETE FROM tasks WHERE id = 2"],
        ),
    ] {
        for (script, expected) in
            changing.into_iter().map(|script| (script, true)).chain(other.into_iter().map(|script| (script, false)))
        {
            let mut live = Live::new(SCHEMA);
            let id = live.watch(sql, &params, "");
            assert_eq!(live.commit(script), if expected { vec![id] } else { vec![] }, "{sql}\n{script}");
        }
    }
}

#[test]
fn in_doubt_a_query_runs_again() {
    for (sql, script) in [
        ("SELECT * FROM tags WHERE name = 'x'", "INSERT INTO tags VALUES ('y', 1)"),
        ("SELECT * FROM sums WHERE a = 9", "INSERT INTO sums(a, b) VALUES (2, 2)"),
        ("SELECT * FROM open WHERE id = 9", "INSERT INTO tasks(id) VALUES (8)"),
        ("SELECT * FROM words WHERE words MATCH 'x'", "INSERT INTO words VALUES ('y')"),
        ("SELECT * FROM tasks WHERE rank > random()", "UPDATE tasks SET rank = -1 WHERE id = 1"),
        ("SELECT * FROM tasks WHERE title < datetime('now')", "UPDATE tasks SET title = 'zz' WHERE id = 1"),
        ("SELECT * FROM bare WHERE rowid = 9", "INSERT INTO bare VALUES (8)"),
        ("SELECT count(*) FROM temporary", "INSERT INTO temporary VALUES (8)"),
        ("SELECT notes.text FROM tasks NATURAL JOIN notes", "UPDATE tasks SET rank = 3 WHERE id = 2"),
        ("SELECT * FROM tasks WHERE id IN (SELECT task FROM notes)", "INSERT INTO tasks(id) VALUES (8)"),
        ("SELECT * FROM tasks WHERE id = 9", "INSERT INTO tasks(title) SELECT hex(zeroblob(40000))"),
        (
            "SELECT * FROM tasks WHERE id = 99999",
            "INSERT INTO tasks(id) WITH RECURSIVE k(i) AS (VALUES (10) UNION ALL SELECT i + 1 FROM k WHERE i < 80) SELECT i FROM k",
        ),
    ] {
        let mut live = Live::new(SCHEMA);
        let id = live.watch(sql, &[], "");
        assert_eq!(live.commit(script), [id], "{sql}");
    }
    let mut live = Live::new(SCHEMA);
    let sql = "SELECT * FROM tasks WHERE title LIKE 'A'";
    live.connection.exec("PRAGMA case_sensitive_like = 1").unwrap();
    let id = live.watch(sql, &[], "");
    assert_eq!(live.commit("INSERT INTO tasks(title) VALUES ('b')"), [id]);
}

#[test]
fn what_users_define_may_do_anything() {
    struct Constant;
    impl Functions for Constant {
        fn call(&self, _: usize, _: CallPhase, _: u32, _: &Arguments<'_>) -> tidelock::Result<Value> {
            Ok(Value::from(0))
        }
        fn compare(&self, _: usize, one: &str, other: &str) -> tidelock::Result<std::cmp::Ordering> {
            Ok(one.len().cmp(&other.len()))
        }
    }
    let define = |name: &str, kind| {
        let definition = FunctionDefinition { name: name.to_owned(), kind, deterministic: true, direct_only: false };
        functions::add(vec![definition], Rc::new(Constant)).unwrap();
    };
    let insert = "INSERT INTO tasks(id, title) VALUES (8, 'b')";
    define("LOWER", FunctionKind::Scalar);
    let mut live = Live::new(SCHEMA);
    let id = live.watch("SELECT * FROM tasks WHERE lower(title) = 'x'", &[], "");
    assert_eq!(live.commit(insert), [id]);
    define("length", FunctionKind::Collation);
    let mut live = Live::new(SCHEMA);
    let id = live.watch("SELECT * FROM tasks WHERE title = 'x'", &[], "");
    assert_eq!(live.commit(insert), [id]);
}

#[test]
fn of_many_queries_with_one_text_only_those_run_that_a_row_concerns() {
    let mut live = Live::new(SCHEMA);
    let ids: Vec<u32> =
        (0..1000).map(|id| live.watch("SELECT * FROM tasks WHERE id = :id", &[Value::from(id)], "id")).collect();
    let all = live.watch("SELECT max(rank) AS rank FROM tasks", &[], "");
    assert_eq!(live.commit("UPDATE tasks SET title = 'z' WHERE id = 2"), [ids[2]]);
    assert_eq!(live.commit("INSERT INTO tasks(id, rank) VALUES (500, 5)"), [ids[500], all]);
    assert_eq!(live.commit("UPDATE tasks SET id = 7 WHERE id = 2"), [ids[2], ids[7], all]);
    live.registry.unwatch(Some(&live.connection), ids[7]);
    live.registry.unwatch(Some(&live.connection), 99_999);
    assert_eq!(live.commit("DELETE FROM tasks WHERE id = 7"), [all]);
    ids.iter().for_each(|id| live.registry.unwatch(Some(&live.connection), *id));
    live.registry.unwatch(Some(&live.connection), all);
    assert!(live.registry.is_empty());
    assert_eq!(live.commit("DELETE FROM tasks"), [0; 0]);
}

#[test]
fn a_query_registered_in_the_middle_of_a_transaction_loses_no_change_of_the_others() {
    let mut live = Live::new(SCHEMA);
    let tasks = live.watch("SELECT * FROM tasks WHERE id = 9", &[], "");
    live.connection.statement("DELETE FROM notes").unwrap().run().unwrap();
    live.run("BEGIN; INSERT INTO tasks(id) VALUES (9)");
    let notes = live.watch("SELECT * FROM notes", &[], "");
    live.run("COMMIT");
    let written = std::mem::take(&mut live.written);
    assert_eq!(live.registry.committed(&live.connection, &written), [tasks]);
    assert_eq!(live.commit("INSERT INTO notes(text) VALUES ('z')"), [notes]);
    // A statement that was compiled before any row was recorded.
    assert_eq!(live.commit("DELETE FROM notes"), [notes]);
}

#[test]
fn after_a_change_of_the_schema_all_run_and_are_read_again() {
    let mut live = Live::new(SCHEMA);
    let viewed = live.watch("SELECT * FROM open WHERE id = 9", &[], "");
    let task = live.watch("SELECT * FROM tasks WHERE id = ?", &[Value::from(9)], "");
    let commit = |live: &mut Live, script: &str| {
        live.commit(script);
        live.registry.everything_changed(&live.connection)
    };
    assert_eq!(commit(&mut live, "DROP VIEW open; CREATE VIEW open AS SELECT * FROM notes"), [viewed, task]);
    assert_eq!(live.commit("INSERT INTO notes(text) VALUES ('z')"), [viewed]);
    assert_eq!(live.commit("UPDATE tasks SET title = 'z'"), [0; 0]);
    assert_eq!(commit(&mut live, "ALTER TABLE tasks ADD COLUMN more TEXT DEFAULT 'x'"), [viewed, task]);
    assert_eq!(live.commit("UPDATE tasks SET more = 'z'"), [0; 0]);
    assert_eq!(live.commit("INSERT INTO tasks(id) VALUES (9)"), [task]);
    assert_eq!(live.commit("UPDATE tasks SET more = 'y' WHERE id = 9"), [task]);
    assert_eq!(
        commit(&mut live, "ALTER TABLE notes RENAME TO remarks; ALTER TABLE tasks RENAME TO jobs"),
        [viewed, task]
    );
    // The table of the query was dropped, until it is created again.
    assert_eq!(live.commit("INSERT INTO jobs(id) VALUES (10)"), [0; 0]);
    assert_eq!(live.commit("ALTER TABLE jobs RENAME TO tasks"), [task]);
    // The view reads the renamed table, of which deleted tasks may delete rows.
    assert_eq!(live.commit("INSERT INTO remarks(text) VALUES ('z')"), [viewed]);
    assert_eq!(live.commit("DELETE FROM tasks WHERE id = 10"), [viewed]);
    assert_eq!(live.commit("UPDATE tasks SET title = 'z' WHERE id <> 9"), [0; 0]);
}

#[test]
fn what_a_query_reads_is_read_from_the_present_schema() {
    for mut live in [Live::new(SCHEMA), Live::without_analysis(SCHEMA)] {
        let sql = "SELECT * FROM open";
        // A compiled statement of the earlier schema is in the cache.
        drop(live.connection.statement_for(sql, Authority::User).unwrap());
        live.commit("DROP VIEW open; CREATE VIEW open AS SELECT * FROM notes");
        let id = live.watch(sql, &[], "");
        assert_eq!(live.commit("INSERT INTO notes(text) VALUES ('z')"), [id]);
        live.commit("DROP VIEW open; CREATE VIEW open AS SELECT * FROM tags");
        assert_eq!(live.registry.everything_changed(&live.connection), [id]);
        assert_eq!(live.commit("INSERT INTO tags VALUES ('y', 1)"), [id]);
    }
}

/// A random generator with a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// Literals, many of which are equal only for columns of some affinities or collations.
const LITERALS: [&str; 16] = [
    "0",
    "1",
    "2",
    "-0.0",
    "1.0",
    "1.5",
    "'a'",
    "'A'",
    "'a '",
    "'1'",
    "'1.0'",
    "' 1'",
    "NULL",
    "x'61'",
    "9007199254740993",
    "''",
];

fn schema(chance: &mut Chance) -> String {
    let types =
        ["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "TEXT UNIQUE"];
    let mut column = || chance.of(&types);
    let (a, b, c) = (column(), column(), column());
    let table = match chance.below(6) {
        0 => format!("CREATE TABLE t (id PRIMARY KEY, a {a}, b {b}, c {c}) WITHOUT ROWID"),
        1 => format!("CREATE TABLE t (id PRIMARY KEY, a {a}, b {b}, c {c})"),
        2 => format!("CREATE TABLE t (id INTEGER PRIMARY KEY, a {a}, b {b}, c AS (a || b))"),
        _ => format!("CREATE TABLE t (id INTEGER PRIMARY KEY, a {a}, b {b}, c {c})"),
    };
    let child = "CREATE TABLE u (id INTEGER PRIMARY KEY, t REFERENCES t(id) ON DELETE CASCADE ON UPDATE SET NULL, d)";
    let extras = [
        "CREATE INDEX ta ON t(a, b)",
        "CREATE INDEX tb ON t(b) WHERE a",
        "CREATE TRIGGER t1 AFTER INSERT ON u BEGIN UPDATE t SET b = NEW.d WHERE id = NEW.t; END",
        "CREATE TRIGGER t2 AFTER DELETE ON u BEGIN DELETE FROM t; END",
        "CREATE TRIGGER t3 BEFORE UPDATE OF a ON t BEGIN UPDATE u SET d = OLD.a WHERE t = OLD.id; END",
        "",
    ];
    format!(
        "{table}; {child}; CREATE VIEW v AS SELECT a, d FROM t JOIN u ON u.t = t.id; {}; {}",
        chance.of(&extras[..3]),
        chance.of(&extras[3..])
    )
}

fn query(chance: &mut Chance) -> String {
    let term = |chance: &mut Chance| {
        let column = chance.of(&["t.id", "a", "b", "t.a", "\"b\"", "A"]);
        let literal = chance.of(&LITERALS);
        match chance.below(9) {
            0..4 => format!("{column} = ?"),
            4 => format!("?1 == {column}"),
            5 => format!(
                "{column} {} {literal}",
                chance.of(&["<", ">=", "<>", "IS", "LIKE", "IN (1, 'a',"]).replace("(1, 'a',", "(1, 'a') OR a =")
            ),
            6 => format!("{column} BETWEEN {literal} AND 2"),
            7 => format!("coalesce({column}, {literal}) = ?2"),
            _ => format!("({column} = ? OR b IS NOT {literal})"),
        }
    };
    let mut condition = term(chance);
    for _ in 0..chance.below(3) {
        condition = format!("{condition} {} {}", chance.of(&["AND", "AND", "OR", "AND NOT"]), term(chance));
    }
    match chance.below(15) {
        0 => format!("SELECT count(*), sum(a), max(b) FROM t WHERE {condition}"),
        1 => format!("SELECT a, count(*) FROM t WHERE {condition} GROUP BY a HAVING count(*) > 1 ORDER BY a"),
        2 => format!("SELECT id, a FROM t WHERE {condition} ORDER BY id LIMIT 2 OFFSET 1"),
        3 => format!("SELECT DISTINCT b FROM t WHERE {condition}"),
        4 => format!("SELECT t.a, u.d FROM t JOIN u ON u.t = t.id WHERE {condition}"),
        5 => "SELECT * FROM v".to_owned(),
        6 => "SELECT id, d FROM u WHERE t = ? ORDER BY id".to_owned(),
        7 => "SELECT count(*) FROM u".to_owned(),
        8 => format!("SELECT a FROM t WHERE id IN (SELECT t FROM u) AND ({condition})"),
        9 => format!("SELECT b FROM t WHERE {} ORDER BY id", condition.replace("t.id", "id")),
        10 => format!("SELECT *, b AS last FROM t WHERE {condition} ORDER BY last COLLATE NOCASE DESC, 1"),
        11 => "SELECT b, a FROM t ORDER BY a, b DESC, id;".to_owned(),
        _ => format!("SELECT * FROM t WHERE {condition} ORDER BY id"),
    }
}

fn change(chance: &mut Chance) -> String {
    let mut literal = || chance.of(&LITERALS).to_owned();
    let (one, two, three, four) = (literal(), literal(), literal(), literal());
    let (key, other) = (chance.below(6), chance.below(6));
    match chance.below(16) {
        0..3 => format!("INSERT OR REPLACE INTO t(id, a, b) VALUES ({key}, {one}, {two})"),
        3 => format!("INSERT INTO t(id, a, b) VALUES ({key}, {one}, {two}) ON CONFLICT DO UPDATE SET a = {three}"),
        4 => format!("UPDATE t SET a = {one} WHERE id = {key}"),
        5 => format!("UPDATE t SET b = {one} WHERE a = {two}"),
        6 => format!("UPDATE OR REPLACE t SET id = {other} WHERE id = {key}"),
        7 => format!("DELETE FROM t WHERE id = {key}"),
        8 => "DELETE FROM t".to_owned(),
        9 => format!("INSERT OR IGNORE INTO u(id, t, d) VALUES ({key}, {other}, {one})"),
        10 => format!("UPDATE u SET d = {one} WHERE id = {key}"),
        11 => format!("DELETE FROM u WHERE id = {key}"),
        12 => format!("UPDATE u SET t = {other} WHERE d = {four}"),
        13 => format!("SAVEPOINT s; UPDATE t SET a = {one}; ROLLBACK TO s; RELEASE s"),
        14 => "INSERT INTO u(d) WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < 70) SELECT i FROM k".to_owned(),
        _ => "DELETE FROM u WHERE d BETWEEN 3 AND 70; INSERT OR IGNORE INTO t(id, a, b) SELECT id + 3, a, b FROM t WHERE id < 3".to_owned(),
    }
}

/// The reader of a live query: how many results it has, its window and the rows in it.
#[derive(Default)]
struct Reader {
    reads: u32,
    window: Window,
    rows: Vec<String>,
    differences: usize,
}

impl Reader {
    /// Returns the rows of its window.
    fn shown<'r>(&self, rows: &'r [String]) -> &'r [String] {
        let Window { offset, limit } = self.window;
        let rows = &rows[rows.len().min(offset as usize)..];
        &rows[..rows.len().min(limit.map_or(usize::MAX, |limit| limit as usize))]
    }

    /// Reads the present result, whose rows are `all`: all rows of the window, or only what differs.
    fn read(&mut self, live: &mut Live, id: u32, all: &[String]) {
        let after = self.shown(all);
        let out = &mut FlatRows::default();
        let read = LiveRead { reads: self.reads, rows: self.rows.len() as u32, window: self.window };
        let difference = live.registry.read_difference(&live.connection, id, read, Integers::Auto, out);
        self.reads += 1;
        let Some(Difference { removed, inserted, total }) = difference else {
            self.rows = after.to_vec();
            return;
        };
        self.differences += 1;
        assert_eq!(out.rows, inserted.len());
        assert_eq!(total as usize, all.len());
        removed.iter().rev().for_each(|position| drop(self.rows.remove(*position as usize)));
        inserted.iter().for_each(|position| self.rows.insert(*position as usize, after[*position as usize].clone()));
    }
}

#[test]
fn whenever_a_result_changes_its_query_runs_again_or_differs_as_reported() {
    let (mut runs, mut commits, mut differences) = (0, 0, 0);
    for seed in 1..=150 {
        let chance = &mut Chance(seed * 7919);
        let script = schema(chance);
        let mut live = Live::without_analysis(&script);
        let literal = |live: &Live, chance: &mut Chance| {
            let value = live.connection.value(&format!("SELECT {}", chance.of(&LITERALS)), &[]).unwrap().unwrap();
            if matches!(value, Value::Blob(_)) { Value::Null } else { value }
        };
        let mut watches: Vec<(u32, String, Vec<Value>)> = Vec::new();
        for _ in 0..12 {
            let sql = if watches.is_empty() || chance.below(3) > 0 { query(chance) } else { watches[0].1.clone() };
            let takes = live
                .connection
                .statement(&sql)
                .unwrap_or_else(|error| panic!("{sql}: {}", error.message))
                .parameter_count();
            let params: Vec<Value> = (0..takes).map(|_| literal(&live, chance)).collect();
            watches.push((live.watch(&sql, &params, ""), sql, params));
        }
        let result = |live: &Live, (_, sql, params): &(u32, String, Vec<Value>)| {
            let rows = live.connection.rows(sql, params).unwrap();
            rows.into_iter().map(|row| format!("{row:?}")).collect::<Vec<String>>()
        };
        // The rows of a query without an order may change places.
        let same = |(_, sql, _): &(u32, String, Vec<Value>), one: &[String], other: &[String]| {
            let (mut one, mut other) = (one.to_vec(), other.to_vec());
            if !sql.contains("ORDER BY") {
                one.sort();
                other.sort();
            }
            one == other
        };
        let mut before: Vec<_> = watches.iter().map(|watch| result(&live, watch)).collect();
        let mut readers: Vec<Reader> = watches.iter().map(|_| Reader::default()).collect();
        for commit in 0..25 {
            if commit == seed % 6 {
                live.refine();
            }
            let changes: Vec<String> = (0..=chance.below(3)).map(|_| change(chance)).collect();
            let changes = changes.join("; ");
            let due = live.commit(&changes);
            commits += watches.len();
            runs += due.len();
            for ((watch, before), reader) in watches.iter().zip(&mut before).zip(&mut readers) {
                let after = result(&live, watch);
                let (id, sql, params) = watch;
                let moves = chance.below(6) == 0;
                if moves {
                    let limit = (chance.below(3) > 0).then(|| chance.below(5) as u32);
                    reader.window = Window { offset: chance.below(4) as u32, limit };
                }
                // A slow reader misses some.
                if moves || due.contains(id) && chance.below(4) > 0 {
                    reader.read(&mut live, *id, &after);
                    let shown = reader.shown(&after);
                    assert_eq!(
                        reader.rows, shown,
                        "seed {seed}: {script}\n{sql} {params:?}\n{changes}\n{:?}",
                        reader.window
                    );
                    reader.reads += u32::from(chance.below(20) == 0);
                }
                assert!(
                    same(watch, &after, before) || due.contains(id),
                    "seed {seed}: {script}\n{sql} {params:?}\n{changes}\n{before:?}\n{after:?}"
                );
                *before = after;
            }
        }
        differences += readers.iter().map(|reader| reader.differences).sum::<usize>();
    }
    assert!(differences > 500, "{differences}");
    // Many changes are to rows that no query selects.
    assert!(runs * 3 < commits * 2, "{runs} of {commits}");
}
