//! One migration on a connection: all of it, with its tracking row, or nothing.
//!
//! [`Attempt::begin`] opens it, [`Attempt::script`] or the app's function does the work, [`Attempt::commit`] ends it. An
//! attempt that is dropped before that, for whatever reason, is undone. Foreign keys are off in between, because a table can
//! only be rebuilt that way, and checked at the end.
//!
//! Nothing here knows of triggers that capture changes: whoever runs the statements (see [`Run`]) takes them away around
//! those that change the schema, as for any script of a user.

use super::{
    foreign_keys::{self, Violation},
    history::{Applied, History},
    migration::{Body, Direction, Migration},
};
use crate::{
    error::{Detail, Error, ErrorCode, Result},
    sqlite::{Authority, Connection, PageFile, ScriptOutline, Statement, first_statement},
    time::Timestamp,
    value::Value,
};

/// Runs one statement of a script to its end.
pub type Run<'a> = &'a mut dyn FnMut(&mut Statement<'_>) -> Result<()>;

/// Characters of a failing statement that its error shows.
const SHOWN: usize = 200;

const ONE_TRANSACTION: &str = "A migration runs in one transaction of its own: leave BEGIN and COMMIT out, or give it \
                               transaction: false, as VACUUM needs it";

/// One migration under way. Dropping it undoes what it did.
pub struct Attempt<'c> {
    connection: &'c Connection,
    history: Option<&'c History>,
    migration: &'c Migration,
    direction: Direction,
    /// It is one of several in an open transaction, which is somebody else's to end.
    nested: bool,
    /// Foreign keys were enforced before.
    enforced: bool,
    /// What was violated before; `None` when SQLite couldn't say.
    before: Option<Vec<Violation>>,
    /// For one that runs outside a transaction: the database as it was.
    copy: Option<Connection>,
    ended: bool,
}

impl<'c> Attempt<'c> {
    /// Turns foreign keys off and opens the transaction. Without one (`transaction: false`) the database is copied instead,
    /// in memory, to go back to.
    ///
    /// The connection must not be in a transaction.
    pub fn begin(
        connection: &'c Connection,
        history: &'c History,
        migration: &'c Migration,
        direction: Direction,
    ) -> Result<Self> {
        Self::begin_with(connection, Some(history), migration, direction)
    }

    /// The same for one that no history shall know.
    pub fn untracked(connection: &'c Connection, migration: &'c Migration) -> Result<Self> {
        Self::begin_with(connection, None, migration, Direction::Up)
    }

    /// One of several in an open transaction, where foreign keys are off already; see [`super::Together`].
    pub(super) fn inside(
        connection: &'c Connection,
        history: &'c History,
        migration: &'c Migration,
        direction: Direction,
    ) -> Result<Self> {
        let before = foreign_keys::violations(connection).ok();
        connection.exec("SAVEPOINT tidelock_migration")?;
        let history = Some(history);
        Ok(Self {
            connection,
            history,
            migration,
            direction,
            nested: true,
            enforced: false,
            before,
            copy: None,
            ended: false,
        })
    }

    fn begin_with(
        connection: &'c Connection,
        history: Option<&'c History>,
        migration: &'c Migration,
        direction: Direction,
    ) -> Result<Self> {
        if connection.in_transaction() {
            return Err(Error::internal("A migration can't begin inside a transaction"));
        }
        let enforced = is_enforced(connection)?;
        let mut attempt = Self {
            connection,
            history,
            migration,
            direction,
            nested: false,
            enforced,
            before: None,
            copy: None,
            ended: false,
        };
        // Inside a transaction the pragma has no effect: it comes first.
        connection.exec("PRAGMA foreign_keys = OFF")?;
        // An error here is the schema's own (a key that doesn't fit its parent): not for this migration to answer.
        attempt.before = foreign_keys::violations(connection).ok();
        if migration.transaction {
            connection.exec("BEGIN IMMEDIATE")?;
        } else {
            let copy = Connection::open(&PageFile::default())?;
            copy.restore_from(connection)?;
            attempt.copy = Some(copy);
        }
        Ok(attempt)
    }

    /// Runs the body, where it is a script. A function is the caller's to run.
    ///
    /// `migration_failed` when a statement fails, or when it begins or ends a transaction inside this one.
    pub fn script(&self, run: Run<'_>) -> Result<()> {
        let Some(Body::Sql(sql)) = self.migration.body(self.direction) else { return Ok(()) };
        let authority = if self.migration.transaction { Authority::Migration } else { Authority::Script };
        let (mut under_way, mut done) = (None, 0);
        let result = self.connection.for_each_statement(sql, authority, &mut |statement, range| {
            done = range.end;
            under_way = Some(range);
            run(statement)?;
            under_way = None;
            Ok(())
        });
        result.map_err(|error| {
            // None under way: the next one doesn't compile, and only its end as it seems is known.
            let text = match under_way {
                Some(range) => sql.get(range),
                None => sql.get(done..).map(first_statement),
            };
            let statement: String = text.unwrap_or_default().trim().chars().take(SHOWN).collect();
            let outline = ScriptOutline::of(sql);
            let at_odds = self.migration.transaction && (outline.begins || outline.ends || outline.vacuum);
            let error = if at_odds { error.hint(ONE_TRANSACTION) } else { error };
            self.failure(error.detail("statement", statement))
        })
    }

    /// Writes the tracking row, checks the foreign keys and commits.
    ///
    /// `migration_failed` when rows lack a parent that had one before (`details.violations`), when the transaction is not as
    /// the migration found it, or when a statement fails; it is then undone.
    pub fn commit(mut self, at: Timestamp, execution_ms: i64) -> Result<()> {
        match self.complete(at, execution_ms) {
            Ok(()) => {
                self.ended = true;
                restore_enforcement(self.connection, self.enforced)
            }
            Err(error) => {
                let error = self.failure(error);
                Err(self.abort(error))
            }
        }
    }

    /// Undoes what was done, because of `error`; returns it, or why even that failed.
    pub fn abort(mut self, error: Error) -> Error {
        self.ended = true;
        match self.undo() {
            Ok(()) => error,
            Err(undo) => Error::internal(format!("Migration {} failed and couldn't be undone", self.migration))
                .hint("Close the database and open it again: what is stored is as before")
                .detail("version", self.migration.version.as_str())
                .cause(format!("{error}; then {undo}")),
        }
    }

    /// The error of a migration from the error underneath: `migration_failed` with the version, and where in its text.
    pub fn failure(&self, error: Error) -> Error {
        if error.is(ErrorCode::MigrationFailed) {
            return error;
        }
        let line = match error.details.get("line") {
            Some(Detail::Int(line)) => format!(" at line {line}"),
            _ => String::new(),
        };
        let message = format!("Migration {} failed{line}: {}", self.migration, error.message);
        let cause = error.to_string();
        let parts = error.into_parts();
        let hint = parts.hint.unwrap_or_else(|| "Nothing of it was kept: mend it and run it again".to_owned());
        let mut failed = Error::new(ErrorCode::MigrationFailed, message).hint(hint).cause(cause);
        failed.details = parts.details;
        failed
            .detail("version", self.migration.version.as_str())
            .detail("name", self.migration.name.as_str())
            .detail("direction", self.direction.as_str())
    }

    fn complete(&self, at: Timestamp, execution_ms: i64) -> Result<()> {
        if self.connection.in_transaction() != self.migration.transaction {
            let message = if self.migration.transaction {
                "it ended the transaction in which it runs"
            } else {
                "it left a transaction open"
            };
            return Err(Error::invalid(message).hint(ONE_TRANSACTION));
        }
        let record = |connection: &Connection| {
            self.check_foreign_keys()?;
            let Some(history) = self.history else { return Ok(()) };
            history.create(connection)?;
            match self.direction {
                Direction::Up => history.insert(connection, &Applied::new(self.migration, at, execution_ms)),
                Direction::Down => history.delete(connection, &self.migration.version).map(drop),
            }
        };
        if self.migration.transaction {
            record(self.connection)?;
            self.connection.exec(if self.nested { "RELEASE tidelock_migration" } else { "COMMIT" })
        } else {
            self.connection.atomically(record)
        }
    }

    fn check_foreign_keys(&self) -> Result<()> {
        let Some(before) = &self.before else { return Ok(()) };
        let added = foreign_keys::added(before, foreign_keys::violations(self.connection)?);
        let Some(first) = added.first() else { return Ok(()) };
        let message =
            format!("{} rows lack their parent, such as one of {} in {}", added.len(), first.at.table, first.at.parent);
        Err(Error::new(ErrorCode::SqliteConstraint, message)
            .hint("Insert the parents, or delete these rows, in the same migration")
            .detail("sqliteCode", "SQLITE_CONSTRAINT_FOREIGNKEY")
            .detail("violations", foreign_keys::details(&added)))
    }

    fn undo(&mut self) -> Result<()> {
        let undone = self.undo_changes();
        undone.and(restore_enforcement(self.connection, self.enforced))
    }

    fn undo_changes(&mut self) -> Result<()> {
        // Some errors (RAISE(ROLLBACK), a full disk) have already rolled back.
        if self.connection.in_transaction() {
            self.connection.exec(if self.nested {
                "ROLLBACK TO tidelock_migration; RELEASE tidelock_migration"
            } else {
                "ROLLBACK"
            })?;
        }
        match self.copy.take() {
            Some(copy) => self.connection.restore_from(&copy),
            None => Ok(()),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody is left to tell: the caller gave the attempt up, for its own reason.
            let _ = self.undo();
        }
    }
}

pub(super) fn is_enforced(connection: &Connection) -> Result<bool> {
    Ok(connection.value("PRAGMA foreign_keys", &[])? == Some(Value::Integer(1)))
}

pub(super) fn restore_enforcement(connection: &Connection, enforced: bool) -> Result<()> {
    connection.exec(if enforced { "PRAGMA foreign_keys = ON" } else { "PRAGMA foreign_keys = OFF" })
}
