//! Malformed, mismatched and failing migrations; schemas that can't be compared.

use tidelock::{
    Error, Result, Timestamp,
    migrate::{
        AppliedMigration, Attempt, History, Migration, MigrationDirection, MigrationGroup, MigrationSource,
        MigrationTarget, OutOfOrder, SuppliedMigrations,
        plan::{check, to_apply, to_mark, to_revert},
    },
    schema::{Renames, Schema},
    sqlite::{Connection, PageFile},
};

use super::Shown;

fn source(version: &str, name: &str, up: &str) -> MigrationSource {
    MigrationSource { version: version.into(), name: name.into(), up: Some(up.into()), ..MigrationSource::default() }
}

fn supplied(versions: &[&str]) -> SuppliedMigrations {
    SuppliedMigrations::new(versions.iter().map(|version| source(version, "change", "SELECT 1")).collect()).unwrap()
}

fn applied(versions: &[&str]) -> Vec<AppliedMigration> {
    supplied(versions).iter().map(|migration| AppliedMigration::new(migration, Timestamp(0), 1)).collect()
}

fn connection(script: &str) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec(script).unwrap();
    connection
}

fn attempt(connection: &Connection, source: MigrationSource) -> Result<()> {
    let history = History::new("schema_migrations").unwrap();
    let migration = SuppliedMigrations::new(vec![source]).unwrap().iter().next().unwrap().clone();
    let attempt = Attempt::begin(connection, &history, &migration, MigrationDirection::Up)?;
    match attempt.script(&mut |statement| statement.finish().map(drop)) {
        Ok(()) => attempt.commit(Timestamp(1000), 7),
        Err(error) => Err(attempt.abort(error)),
    }
}

#[test]
fn supplied_migrations() {
    let mut shown = Shown::of("migrations");
    let one = |source: MigrationSource| SuppliedMigrations::new(vec![source]);
    shown.fails("a version without digits", one(source("first", "users", "SELECT 1")));
    shown.fails("no name", one(source("0001", " ", "SELECT 1")));
    shown.fails("an empty up", one(source("0001", "users", " \n")));
    shown.fails(
        "an empty checksum",
        one(MigrationSource { checksum: Some(String::new()), ..source("0001", "users", "SELECT 1") }),
    );
    let twice = vec![source("1", "users", "SELECT 1"), source("0001", "people", "SELECT 1")];
    shown.fails("a version twice", SuppliedMigrations::new(twice));
    shown.fails("a table of migrations with a reserved name", History::new("sqlite_migrations"));

    let all = supplied(&["1", "2", "3"]);
    shown.fails("data of a newer app", check(&all, &applied(&["1", "9"])));
    shown.fails("data of an app with migrations, in one without", check(&supplied(&[]), &applied(&["1"])));
    shown.fails("an applied one that is missing", check(&supplied(&["1", "3"]), &applied(&["1", "2", "3"])));
    let mut changed = applied(&["1"]);
    changed[0].checksum = "abc".into();
    shown.fails("an applied one that was changed", check(&all, &changed));
    let go = |target: &MigrationTarget| to_apply(&all, &applied(&["1", "3"]), target, OutOfOrder::Error).map(drop);
    shown.fails("an older one that is pending", go(&MigrationTarget::default()));
    shown.fails("a target that isn't there", go(&MigrationTarget { to: Some("7".into()), steps: None }));
    shown.fails("a baseline that isn't there", to_mark(&all, &[], "7"));
    shown.fails("the way back of one that has none", to_revert(&all, &applied(&["1"]), &MigrationTarget::default()));
    let alone =
        SuppliedMigrations::new(vec![MigrationSource { transaction: Some(false), ..source("1", "vacuum", "VACUUM") }])
            .unwrap();
    let plan: Vec<&Migration> = alone.iter().collect();
    shown.fails("one that can't be in a transaction, with all others", MigrationGroup::check(&plan));

    let open =
        connection("CREATE TABLE schema_migrations(a); CREATE TABLE p(a PRIMARY KEY); CREATE TABLE c(a REFERENCES p)");
    shown.fails("a table of another kind under its name", History::new("schema_migrations").unwrap().exists(&open));
    let open = connection("CREATE TABLE p(a PRIMARY KEY); CREATE TABLE c(a REFERENCES p)");
    let mut fails = |done: &str, sql: &str, transaction: bool| {
        let given = MigrationSource { transaction: Some(transaction), ..source("0002", "change", sql) };
        shown.fails(done, attempt(&open, given));
    };
    fails("a statement that fails in the third line", "CREATE TABLE t(a);\n\nINSERT INTO nowhere VALUES (1);", true);
    fails("a statement that doesn't end", "CREATE TABLE t(a", true);
    fails("a text in quotes that doesn't end", "INSERT INTO p VALUES ('a);", true);

    fails("a transaction of its own", "BEGIN; CREATE TABLE t(a); COMMIT;", true);
    fails("VACUUM", "VACUUM", true);
    fails("ATTACH", "CREATE TABLE t(a);\nATTACH 'x' AS y;", true);
    fails("rows without a parent", "INSERT INTO c VALUES (7), (8)", true);
    fails("a transaction left open", "BEGIN; CREATE TABLE t(a);", false);
    let (history, migration) = (History::new("m").unwrap(), all.find("1").unwrap());
    let begun = Attempt::begin(&open, &history, migration, MigrationDirection::Up).unwrap();
    open.exec("ROLLBACK").unwrap();
    shown.fails("a function that catches an error which rolled back", begun.commit(Timestamp(1000), 1));
    open.exec("BEGIN").unwrap();
    shown.fails("a migration inside a transaction", Attempt::begin(&open, &history, migration, MigrationDirection::Up));
    open.exec("ROLLBACK").unwrap();
    let begun = Attempt::begin(&open, &history, migration, MigrationDirection::Up).unwrap();
    let reader = open.statement("SELECT 1 FROM p").unwrap();
    shown.add("one that fails", &begun.abort(begun_failure()));
    drop(reader);
    shown.check();
}

fn begun_failure() -> Error {
    Error::invalid("why it failed")
}

#[test]
fn schemas() {
    let mut shown = Shown::of("schemas");
    let schema = |script: &str| Schema::read(&connection(script), &[]).unwrap();
    let (from, to) = (
        schema("CREATE TABLE users(id, mail); CREATE TABLE old(a)"),
        schema("CREATE TABLE users(id, email); CREATE TABLE new(a)"),
    );
    let renames = |old: &str, new: &str| Renames::read(&[(old.to_owned(), new.to_owned())], &from, &to);
    shown.fails("a rename of what isn't there", renames("users.address", "users.email"));
    shown.fails("a rename to what isn't there", renames("users.mail", "users.address"));
    shown.fails("a rename of a table to a column", renames("old", "users.email"));
    shown.fails("a rename to another table's column", renames("users.mail", "new.a"));
    shown.check();
}
