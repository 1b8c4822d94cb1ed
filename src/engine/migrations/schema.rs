//! Drift, generated migrations and lint: in the wasm part `migrations`.

use super::{
    driver::{Migrations, has_data},
    host::{MigrationsHost, Runner},
    run::{is_interrupted, timed_out},
};
use crate::{
    engine::connection::mutex::MutexPermit,
    error::{Detail, Error, Result},
    migrate::{AppliedMigration, Attempt, Body, LintFinding, Migration, MigrationDirection, lint, plan},
    schema::{Drift, GeneratedMigration, Renames, Schema, change, drift, generate, script::SchemaScript},
    sqlite::{Authority, Connection, PageFile},
    time::Timestamp,
};

/// The default name of the audit table.
const AUDIT_TABLE: &str = "audit_log";
/// The columns of an audit table, sorted by name: a table with other columns belongs to the user.
const AUDITED: &str = "action,actor,id,new_values,old_values,record_id,table_name,timestamp";

/// The time limit for a script that creates the wanted schema, in milliseconds.
const SCHEMA_MS: f64 = 30_000.0;

impl Migrations {
    /// Returns the differences between the schema and that of the applied migrations in a scratch database: `made`, in
    /// which the app has run them, or one in which only their scripts run.
    ///
    /// From `ends_ms` on (monotonic clock, milliseconds), the scripts are interrupted: `timeout`.
    ///
    /// Fails as running does when the applied migrations don't match the supplied ones, with `migration_failed` when a
    /// script fails in the scratch database, and `invalid_argument` without the option `migrations`.
    pub async fn drift(
        &self,
        host: &dyn MigrationsHost,
        made: Option<&Connection>,
        ends_ms: Option<f64>,
    ) -> Result<Drift> {
        let (applied, actual) = {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            (self.history.read(&connection)?, self.schema(&connection)?)
        };
        if let Some(made) = made {
            plan::check(self.supplied()?, &applied)?;
            return Ok(drift(&self.schema(made)?, &actual));
        }
        let scratch = scratch()?;
        let limit = ends_ms.map(|ends_ms| self.limit(&scratch, ends_ms));
        let skipped = self.replay(&applied, &scratch)?;
        drop(limit);
        Ok(Drift { skipped, ..drift(&self.schema(&scratch)?, &actual) })
    }

    /// Generates the scripts from the current schema to that of `sql`, and back. The wasm parts that `sql` needs must
    /// be loaded. From `ends_ms` on (monotonic clock, milliseconds), `sql` is interrupted: `timeout`.
    ///
    /// Fails with SQLite's error, with its line, for an invalid schema; `invalid_argument` for renames that match
    /// neither schema.
    pub async fn generate(
        &self,
        host: &dyn MigrationsHost,
        sql: &str,
        renames: &[(String, String)],
        ends_ms: Option<f64>,
    ) -> Result<GeneratedMigration> {
        let wanted = self.wanted(sql, ends_ms)?;
        let today = {
            let _guard = host.lock_connection().await?;
            self.schema(&*host.connection()?)?
        };
        let renames = Renames::read(renames, &today, &wanted)?;
        generate(&today, &wanted, &renames)
    }

    /// Changes the schema to that of `sql`, in one transaction that the history doesn't record. Takes a snapshot first
    /// if there is data. Returns the script that ran. `sql` and the script are interrupted from `ends_ms` on: `timeout`.
    ///
    /// Fails as [`generate`](Self::generate) does, and with `migration_failed`.
    pub async fn sync(
        &self,
        host: &dyn MigrationsHost,
        permit: MutexPermit,
        sql: &str,
        ends_ms: Option<f64>,
    ) -> Result<SchemaScript> {
        let wanted = self.wanted(sql, ends_ms)?;
        let connection = host.connection()?;
        let script = change::change(&self.schema(&connection)?, &wanted);
        if script.sql.is_empty() {
            return Ok(script);
        }
        if has_data(&connection)? {
            host.safety_snapshot().await?;
        }
        let migration = Migration {
            version: "sync".to_owned(),
            name: "the generated script".to_owned(),
            up: Body::Sql(script.sql.clone()),
            down: None,
            checksum: String::new(),
            transaction: true,
        };
        self.run_untracked(Runner { host, connection: &connection, permit, ends_ms }, &migration).await?;
        Ok(script)
    }

    /// Returns warnings about probable mistakes in the supplied migrations. Fails with `invalid_argument` without the
    /// option `migrations`.
    pub fn lint(&self) -> Result<Vec<LintFinding>> {
        self.supplied().map(lint)
    }

    /// Returns the schema without tidelock's own tables.
    fn schema(&self, connection: &Connection) -> Result<Schema> {
        let audit = self.audit_table.get().map_or(AUDIT_TABLE, String::as_str);
        let audits = connection.is_table_of(audit, AUDITED)? == Some(true);
        let ignored = [self.history.name(), audit];
        Schema::read(connection, &ignored[..1 + usize::from(audits)])
    }

    /// Returns the schema that a script creates in an empty database.
    fn wanted(&self, sql: &str, ends_ms: Option<f64>) -> Result<Schema> {
        let scratch = scratch()?;
        let longest = self.clock.monotonic_ms() + SCHEMA_MS;
        let limit = self.limit(&scratch, ends_ms.map_or(longest, |ends_ms| ends_ms.min(longest)));
        let made = scratch.for_each_statement(sql, Authority::Script, &mut |statement, _| statement.finish().map(drop));
        made.map_err(|mut error| {
            let line = match error.details.get("line") {
                Some(Detail::Int(line)) => format!(" at line {line}"),
                _ => String::new(),
            };
            error.message = format!("The wanted schema can't be made{line}: {}", error.message);
            error
        })?;
        drop(limit);
        self.schema(&scratch)
    }

    /// Runs the scripts of the applied migrations. Returns the versions of the skipped ones, which are functions.
    fn replay(&self, applied: &[AppliedMigration], scratch: &Connection) -> Result<Vec<String>> {
        let supplied = self.supplied()?;
        plan::check(supplied, applied)?;
        let mut skipped = Vec::new();
        for migration in applied.iter().filter_map(|row| supplied.find(&row.version)) {
            if migration.body(MigrationDirection::Up) == Some(&Body::Code) {
                skipped.push(migration.version.clone());
                continue;
            }
            let attempt = Attempt::untracked(scratch, migration)?;
            let ran = attempt.script(&mut |statement| statement.finish().map(drop));
            ran.and_then(|()| attempt.commit(Timestamp(0), 0)).map_err(|error| in_scratch(error, &skipped))?;
        }
        Ok(skipped)
    }
}

fn scratch() -> Result<Connection> {
    let scratch = Connection::open(&PageFile::default())?;
    scratch.exec("PRAGMA foreign_keys = OFF")?;
    Ok(scratch)
}

fn in_scratch(mut error: Error, skipped: &[String]) -> Error {
    if is_interrupted(&error) {
        return timed_out(error);
    }
    error.message.insert_str(0, "In a scratch database: ");
    let error = error.detail("scratch", true);
    match skipped.last() {
        Some(version) => error.hint(format!(
            "In a scratch database functions don't run, so what migration {version} makes is missing there"
        )),
        None => error.hint("There it finds none of this database's data. The database itself is as before"),
    }
}
