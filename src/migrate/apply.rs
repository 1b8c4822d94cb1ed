//! One migration on a connection: completely, with its tracking row, or not at all.
//!
//! [`Attempt::begin`] starts it, [`Attempt::script`] or the app's function does the work, [`Attempt::commit`] ends it.
//! An attempt that is dropped before that is undone. In between foreign keys are off, because only then can a table be
//! rebuilt; they are checked at the end.
//!
//! Triggers that capture changes are not handled here: the caller that runs the statements (see [`RunStatement`])
//! suspends them during schema changes, as for any script of a user.

use super::{
    foreign_keys::{self, Violation},
    history::{AppliedMigration, History},
    migration::{Body, Migration, MigrationDirection},
};
use crate::{
    error::{Detail, Error, ErrorCode, Result},
    sqlite::{Authority, Connection, Pin, ScriptOutline, Statement, first_statement},
    time::Timestamp,
};

/// Runs one statement of a script to its end.
pub type RunStatement<'a> = &'a mut dyn FnMut(&mut Statement<'_>) -> Result<()>;

/// How much of a failing statement its error shows, in characters.
const SHOWN: usize = 200;

const ONE_TRANSACTION: &str = "A migration runs in one transaction of its own: leave BEGIN and COMMIT out, or give it \
                               transaction: false, as VACUUM needs it";

const ROLLED_BACK: &str =
    "ON CONFLICT ROLLBACK and RAISE(ROLLBACK) undo the whole migration: use ABORT there, or don't catch the error";

/// A migration in progress. Dropping it undoes its effects.
pub struct Attempt<'c> {
    connection: &'c Connection,
    history: Option<&'c History>,
    migration: &'c Migration,
    direction: MigrationDirection,
    /// Whether it is one of several in an open transaction, which its owner ends.
    nested: bool,
    /// Whether foreign keys were enforced before.
    enforced: bool,
    /// The foreign key violations before; `None` when SQLite couldn't check them.
    before: Option<Vec<Violation>>,
    /// For a migration outside a transaction: the contents before it.
    contents: Option<Pin>,
    ended: bool,
}

impl<'c> Attempt<'c> {
    /// Turns foreign keys off and starts the transaction. Without one (`transaction: false`) it copies the database in
    /// memory instead, to restore it after a failure.
    ///
    /// The connection must not be in a transaction.
    pub fn begin(
        connection: &'c Connection,
        history: &'c History,
        migration: &'c Migration,
        direction: MigrationDirection,
    ) -> Result<Self> {
        Self::begin_with(connection, Some(history), migration, direction)
    }

    /// Starts a migration that is not recorded in the history.
    pub fn untracked(connection: &'c Connection, migration: &'c Migration) -> Result<Self> {
        Self::begin_with(connection, None, migration, MigrationDirection::Up)
    }

    /// Starts one of several migrations in an open transaction, where foreign keys are off already; see
    /// [`super::MigrationGroup`].
    pub(super) fn inside(
        connection: &'c Connection,
        history: &'c History,
        migration: &'c Migration,
        direction: MigrationDirection,
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
            contents: None,
            ended: false,
        })
    }

    fn begin_with(
        connection: &'c Connection,
        history: Option<&'c History>,
        migration: &'c Migration,
        direction: MigrationDirection,
    ) -> Result<Self> {
        if connection.in_transaction() {
            return Err(Error::internal("A migration can't begin inside a transaction"));
        }
        let enforced = connection.enforces_foreign_keys()?;
        let mut attempt = Self {
            connection,
            history,
            migration,
            direction,
            nested: false,
            enforced,
            before: None,
            contents: None,
            ended: false,
        };
        // The pragma has no effect inside a transaction, so it comes first.
        connection.exec("PRAGMA foreign_keys = OFF")?;
        // The check fails when the existing schema has a key that doesn't fit its parent: not this migration's failure.
        attempt.before = foreign_keys::violations(connection).ok();
        if migration.transaction {
            connection.exec("BEGIN IMMEDIATE")?;
        } else {
            attempt.contents = Some(connection.pin());
        }
        Ok(attempt)
    }

    /// Runs the body if it is a script. The caller runs a function.
    ///
    /// Fails with `migration_failed` when a statement fails, or when one begins or ends a transaction inside this one.
    pub fn script(&self, run: RunStatement<'_>) -> Result<()> {
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
            // No statement is running: the next one doesn't compile, and its end is estimated.
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
    /// Fails with `migration_failed` for new foreign key violations (`details.violations`), when the migration ended
    /// the transaction or left one open, or when a statement fails; its effects are then undone.
    pub fn commit(mut self, at: Timestamp, execution_ms: i64) -> Result<()> {
        match self.complete(at, execution_ms) {
            Ok(()) => {
                self.ended = true;
                self.connection.enforce_foreign_keys(self.enforced)
            }
            Err(error) => {
                let error = self.failure(error);
                Err(self.abort(error))
            }
        }
    }

    /// Undoes the effects because of `error`. Returns it, or an `internal` error if the undo failed.
    pub fn abort(mut self, error: Error) -> Error {
        self.ended = true;
        match self.undo() {
            Ok(()) => error,
            Err(undo) => Error::internal(format!("Migration {} failed and couldn't be undone", self.migration))
                .hint("Close the database and open it again: the stored data is as before")
                .detail("version", self.migration.version.as_str())
                .cause(format!("{error}; then {undo}")),
        }
    }

    /// Converts an error to `migration_failed`, with the version and the line.
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
        let hint = parts.hint.unwrap_or_else(|| "The migration was rolled back: fix it and run it again".to_owned());
        let mut failed = Error::new(ErrorCode::MigrationFailed, message).hint(hint).cause(cause);
        failed.details = parts.details;
        failed
            .detail("version", self.migration.version.as_str())
            .detail("name", self.migration.name.as_str())
            .detail("direction", self.direction.as_str())
    }

    fn complete(&self, at: Timestamp, execution_ms: i64) -> Result<()> {
        if self.connection.in_transaction() != self.migration.transaction {
            // No statement may end the transaction, so its own error did, which a function has caught.
            let (message, hint) = if self.migration.transaction {
                ("an error rolled back its transaction, and the function caught the error", ROLLED_BACK)
            } else {
                ("the script left a transaction open", "End each transaction that it begins")
            };
            return Err(Error::invalid(message).hint(hint));
        }
        let record = |connection: &Connection| {
            self.check_foreign_keys()?;
            let Some(history) = self.history else { return Ok(()) };
            history.create(connection)?;
            match self.direction {
                MigrationDirection::Up => {
                    history.insert(connection, &AppliedMigration::new(self.migration, at, execution_ms))
                }
                MigrationDirection::Down => history.delete(connection, &self.migration.version).map(drop),
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
        let message = format!(
            "Foreign key violations: {}; the first is a row of {} without a parent in {}",
            added.len(),
            first.at.table,
            first.at.parent
        );
        Err(Error::new(ErrorCode::SqliteConstraint, message)
            .hint("Insert the parent rows, or delete the violating rows, in the same migration")
            .detail("sqliteCode", "SQLITE_CONSTRAINT_FOREIGNKEY")
            .detail("violations", foreign_keys::details(&added)))
    }

    fn undo(&mut self) -> Result<()> {
        let connection = self.connection;
        connection.without_deadline(|| {
            let undone = self.undo_changes();
            undone.and(connection.enforce_foreign_keys(self.enforced))
        })
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
        match self.contents.take() {
            Some(contents) => self.connection.replace_with(&contents),
            None => Ok(()),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // A failed undo has no receiver: the caller dropped the attempt for a reason of its own.
            let _ = self.undo();
        }
    }
}
