//! Random schemas A and B: the scripts of `generate` change A to B without any difference, keep the values of the
//! columns that both have, and change B back to A.

use proptest::prelude::*;
use tidelock::{
    ErrorCode, Result, Value,
    schema::{Renames, Schema, SchemaObjectKind, drift, generate},
    sqlite::{Connection, PageFile, quote},
};

use crate::sample::{draws, usual_or_all};

/// A random generator with a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }

    /// Returns one of the spellings of a name.
    fn write(&mut self, name: &str) -> String {
        match self.below(8) {
            0 => format!("\"{name}\""),
            1 => format!("`{name}`"),
            2 => format!("[{name}]"),
            3 => name.to_uppercase(),
            _ => name.to_owned(),
        }
    }

    fn space(&mut self) -> &'static str {
        [" ", " ", " ", "\n  ", " /* , ( */ ", " -- ) ,\n"][self.below(6) as usize]
    }
}

struct Table {
    name: String,
    /// The stored columns.
    columns: Vec<String>,
    all: Vec<String>,
    is_virtual: bool,
}

/// A random schema: its tables first, then the objects on them.
struct Random {
    tables: Vec<(Table, String)>,
    objects: Vec<String>,
}

/// Returns the column of a name and a variant. Two random schemas often have equal columns.
fn column(table: u64, column: u64, variant: u64, strict: bool) -> (String, bool) {
    let mut chance = Chance((table * 100 + column * 10 + variant) * 7919 + 1);
    chance.below(2);
    let mut text = String::new();
    let declared = if strict {
        chance.of(&["INTEGER", "TEXT", "REAL", "ANY", "INT"])
    } else {
        chance.of(&["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "", "VARCHAR(10)"])
    };
    text += declared;
    if chance.one_in(4) {
        text += " NOT NULL";
    }
    if chance.one_in(3) {
        let value =
            if strict { chance.of(&["7", "NULL"]) } else { chance.of(&["7", "'x, y'", "(1 + 2)", "abc", "-1"]) };
        text += &format!(" DEFAULT {value}");
    }
    if chance.one_in(6) {
        text += " COLLATE NOCASE";
    }
    if chance.one_in(10) {
        text += " UNIQUE";
    }
    if chance.one_in(6) {
        text += &format!(" CHECK (c{column} IS NOT 'never')");
    }
    if chance.one_in(8) {
        text += &format!(" REFERENCES t{}", chance.below(4));
    }
    if column > 0 && chance.one_in(9) {
        let kept = if chance.one_in(2) { " STORED" } else { "" };
        return (format!("{declared} AS (c0 + {column}){kept}"), true);
    }
    (text, false)
}

fn random(seed: u64) -> Random {
    let mut chance = Chance(seed);
    let mut schema = Random { tables: Vec::new(), objects: Vec::new() };
    for number in 0..4 {
        if chance.one_in(5) {
            continue;
        }
        let name = format!("t{number}");
        if number == 3 && chance.one_in(3) {
            let sql = format!("CREATE VIRTUAL TABLE t3 USING fts5(c0, c{})", 1 + chance.below(3));
            let table = Table { name, columns: Vec::new(), all: vec!["c0".into()], is_virtual: true };
            schema.tables.push((table, sql));
            continue;
        }
        schema.tables.push(table(&mut chance, number, name));
    }
    objects(&mut chance, &mut schema);
    schema
}

fn table(chance: &mut Chance, number: u64, name: String) -> (Table, String) {
    let strict = number == 1 && !chance.one_in(4);
    let mut table = Table { name, columns: Vec::new(), all: Vec::new(), is_virtual: false };
    let mut pieces = Vec::new();
    let key = chance.below(6);
    let counted = if chance.one_in(2) { " AUTOINCREMENT" } else { "" };
    let mut order: Vec<u64> = (0..5).collect();
    if chance.one_in(4) {
        order.reverse();
    }
    for at in order {
        let (mut text, computed) = column(number, at, u64::from(chance.one_in(6)), strict);
        // The first column always exists: a table needs one.
        if at > 0 && chance.one_in(3) {
            continue;
        }
        let name = format!("c{at}");
        if at == 0 && key == 0 {
            text = format!("INTEGER PRIMARY KEY{counted}");
        } else if at == 0 && key == 1 {
            text = text.replace(" UNIQUE", "") + " PRIMARY KEY";
        }
        pieces.push(format!("{}{}{}", chance.write(&name), chance.space(), text));
        table.all.push(name.clone());
        if !computed {
            table.columns.push(name);
        }
    }
    if key == 2 || key == 3 {
        let second = table.columns.get(1).map(|name| format!(", {name}")).unwrap_or_default();
        pieces.push(format!("PRIMARY KEY (c0{})", if table.columns[0] == "c0" { second } else { String::new() }));
    }
    if chance.one_in(5) {
        pieces.push("CONSTRAINT positive CHECK (c0 IS NULL OR c0 <> -1)".to_owned());
    }
    if chance.one_in(6) {
        pieces.push(format!("FOREIGN KEY (c0) REFERENCES t{} ON DELETE CASCADE", chance.below(4)));
    }
    let mut options = Vec::new();
    if key == 3 {
        options.push("WITHOUT ROWID");
    }
    if strict {
        options.push("STRICT");
    }
    let body = pieces.join(",").to_owned();
    let sql = format!(
        "CREATE TABLE{}{}({body}{}){}",
        chance.space(),
        chance.write(&table.name),
        chance.space(),
        options.join(", ")
    );
    (table, sql)
}

fn objects(chance: &mut Chance, schema: &mut Random) {
    let mut views: Vec<String> = Vec::new();
    for number in 0..4 {
        let at = chance.below(schema.tables.len().max(1) as u64) as usize;
        let Some((table, _)) = schema.tables.get(at) else { return };
        let column = &table.all[chance.below(table.all.len() as u64) as usize];
        let (on, column) = (chance.write(&table.name), chance.write(column));
        if !table.is_virtual && !chance.one_in(3) {
            let unique = if chance.one_in(4) { "UNIQUE " } else { "" };
            let indexed = match chance.below(3) {
                0 => format!("{column} COLLATE nocase DESC"),
                1 => format!("({column} || 'x')"),
                _ => column.clone(),
            };
            let only = if chance.one_in(3) { format!(" WHERE {column} IS NOT NULL") } else { String::new() };
            schema.objects.push(format!("CREATE {unique}INDEX i{number} ON {on} ({indexed}){only}"));
        }
        if chance.one_in(2) {
            let view = format!("v{number}");
            let source = if views.is_empty() || chance.one_in(2) { on.clone() } else { views[0].clone() };
            let what = if source == on { column.as_str() } else { "*" };
            let what = if chance.one_in(2) { "*" } else { what };
            let end = if chance.one_in(4) { " -- what is read" } else { "" };
            schema.objects.push(format!("CREATE VIEW {view} AS SELECT {what} FROM {source}{end}"));
            if chance.one_in(3) {
                schema.objects.push(format!(
                    "CREATE TRIGGER w{number} INSTEAD OF DELETE ON {view} BEGIN DELETE FROM {on} WHERE {column} = 'a;b'; END"
                ));
            }
            views.push(view);
        }
        if !table.is_virtual && chance.one_in(2) {
            let when = chance.of(&["AFTER INSERT", "BEFORE DELETE", "AFTER UPDATE"]);
            let (other, _) = &schema.tables[chance.below(schema.tables.len() as u64) as usize];
            let (other, its) = (other.name.clone(), other.all[0].clone());
            schema.objects.push(format!(
                "CREATE TRIGGER g{number} {when} ON {on} BEGIN DELETE FROM {other} WHERE {its} = '; end'; END"
            ));
        }
    }
}

/// Creates a database of that schema; with `rows`, row `r` has `10 r + n` in its column `n`, sometimes NULL.
fn database(schema: &Random, rows: bool) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec("PRAGMA foreign_keys = OFF").unwrap();
    for (table, sql) in &schema.tables {
        connection.exec(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for row in (1..=3).filter(|_| rows && !table.is_virtual) {
            let value = |column: &String| 10 * row + column[1..].parse::<i64>().unwrap();
            let insert = |with: &dyn Fn(&String) -> String| {
                let values: Vec<_> = table.columns.iter().map(with).collect();
                let (name, columns) = (&table.name, table.columns.join(", "));
                connection.exec(&format!("INSERT INTO {name} ({columns}) VALUES ({})", values.join(", ")))
            };
            let sparse =
                |column: &String| if value(column) % 7 == 0 { "NULL".into() } else { value(column).to_string() };
            if insert(&sparse).is_err() {
                insert(&|column| value(column).to_string()).unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
        }
    }
    for sql in &schema.objects {
        connection.exec(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    connection
}

fn read(connection: &Connection) -> Schema {
    Schema::read(connection, &[]).unwrap()
}

/// Runs a script as a migration runs it.
fn run(connection: &Connection, script: &str) -> Result<()> {
    connection.atomically(|connection| connection.exec(script))
}

/// Returns the rows of the stored columns that two schemas share, by rowid.
fn rows(connection: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Option<i64>>> {
    let list: Vec<_> = columns.iter().map(|column| format!("CAST({} AS INTEGER)", quote(column))).collect();
    let rows = connection.rows(&format!("SELECT {} FROM {}", list.join(", "), quote(table)), &[]).unwrap();
    let mut rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(Value::as_integer).collect()).collect();
    rows.sort_by_key(|row| row.iter().flatten().map(|value| value / 10).max());
    rows
}

/// Returns whether values were kept. NULL may have become the default of a NOT NULL column.
fn kept(before: &[Vec<Option<i64>>], after: &[Vec<Option<i64>>]) -> bool {
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(before, after)| before.iter().zip(after).all(|(before, after)| before.is_none() || before == after))
}

struct Common {
    table: String,
    columns: Vec<String>,
}

fn common(a: &Random, b: &Random) -> Vec<Common> {
    let stored = |table: &Table| !table.is_virtual && !table.columns.is_empty();
    let both = a.tables.iter().filter_map(|(table, _)| {
        let (other, _) = b.tables.iter().find(|(other, _)| other.name == table.name)?;
        if !stored(table) || !stored(other) {
            return None;
        }
        let columns = table.columns.iter().filter(|column| other.columns.contains(column)).cloned().collect();
        Some(Common { table: table.name.clone(), columns })
    });
    both.collect()
}

fn check(seeds: (u64, u64)) -> std::result::Result<bool, TestCaseError> {
    let (a, b) = (random(seeds.0), random(seeds.1));
    let (today, wanted) = (read(&database(&a, false)), read(&database(&b, false)));
    let generated = generate(&today, &wanted, &Renames::default()).unwrap();
    let context = || format!("up:\n{}\ndown:\n{}", generated.up, generated.down);

    // Without rows, both scripts succeed.
    let connection = database(&a, false);
    run(&connection, &generated.up).map_err(|error| TestCaseError::fail(format!("{error}\n{}", context())))?;
    let left = drift(&wanted, &read(&connection));
    prop_assert!(left.is_empty(), "{left:?}\n{}", context());
    let again = generate(&read(&connection), &wanted, &Renames::default()).unwrap();
    prop_assert_eq!((again.up, again.down), (String::new(), String::new()));
    run(&connection, &generated.down).map_err(|error| TestCaseError::fail(format!("{error}\n{}", context())))?;
    let left = drift(&today, &read(&connection));
    prop_assert!(left.is_empty(), "{left:?}\n{}", context());

    // With rows, the script succeeds unless they violate a constraint; then nothing changes.
    let connection = database(&a, true);
    let shared = common(&a, &b);
    let before: Vec<_> = shared.iter().map(|one| rows(&connection, &one.table, &one.columns)).collect();
    for (script, schema) in [(&generated.up, &wanted), (&generated.down, &today)] {
        if let Err(error) = run(&connection, script) {
            prop_assert_eq!(error.code, ErrorCode::SqliteConstraint, "{}\n{}", error, context());
            return Ok(false);
        }
        prop_assert!(drift(schema, &read(&connection)).is_empty());
        for (one, before) in shared.iter().zip(&before) {
            let after = rows(&connection, &one.table, &one.columns);
            prop_assert!(kept(before, &after), "{}: {before:?} {after:?}\n{}", one.table, context());
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(draws(80, 200)))]
    #[test]
    fn leads_from_any_schema_to_any_other_and_back(a: u64, b: u64) {
        check((a, b))?;
    }
}

#[test]
fn most_random_schemas_can_be_reached_with_rows() {
    let all = usual_or_all(80, 200);
    let reached = (0..all).filter(|seed| check((seed * 31 + 1, seed * 17 + 5)).unwrap()).count() as u64;
    assert!(reached > all * 2 / 5, "{reached} of {all}: too few cases say anything about rows");
    let kinds: Vec<_> =
        (0..50).flat_map(|seed| read(&database(&random(seed), false)).objects).map(|one| one.kind).collect();
    assert!(
        [SchemaObjectKind::Index, SchemaObjectKind::View, SchemaObjectKind::Trigger]
            .iter()
            .all(|kind| kinds.contains(kind))
    );
}
