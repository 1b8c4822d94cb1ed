//! The temporary triggers on users' tables, for capture and audit. They name the current columns, so they are dropped
//! during schema changes.

use crate::{audit, engine::database::Inner, error::Result, sqlite::Connection, sync::outbox::capture};

impl Inner {
    /// Returns whether any table is captured or audited.
    pub(in crate::engine) fn has_triggers(&self) -> bool {
        self.capturing.get() || self.audit.get().is_some()
    }

    /// Drops the triggers before a schema change.
    pub(in crate::engine) fn suspend_triggers(&self, connection: &Connection) -> Result<()> {
        if self.audit.get().is_some() {
            audit::suspend(connection)?;
        }
        if self.capturing.get() { capture::suspend(connection) } else { Ok(()) }
    }

    /// Adapts pending changes between two changes of the schema, while the triggers are dropped.
    pub(in crate::engine) fn follow_schema_change(&self, connection: &Connection) -> Result<()> {
        if self.capturing.get() { capture::follow(connection) } else { Ok(()) }
    }

    /// Drops the triggers before all contents are replaced.
    pub(in crate::engine) fn drop_triggers(&self, connection: &Connection) -> Result<()> {
        if self.audit.get().is_some() {
            audit::suspend(connection)?;
        }
        if self.capturing.get() { connection.drop_temp_triggers(capture::TRIGGERS) } else { Ok(()) }
    }

    /// Creates the triggers again, for the current schema.
    pub(in crate::engine) fn resume_triggers(&self, connection: &Connection) -> Result<()> {
        // The audit comes first, since its log may be a captured table.
        if let Some(options) = self.audit.get() {
            self.resume_audit(connection, options)?;
        }
        if self.capturing.get() { capture::resume(connection) } else { Ok(()) }
    }

    /// Checks that another database can be audited, before it replaces this one's contents.
    pub(in crate::engine) fn check_audit(&self, scratch: &Connection) -> Result<()> {
        self.audit.get().map_or(Ok(()), |options| audit::resume(scratch, options).map(drop))
    }
}
