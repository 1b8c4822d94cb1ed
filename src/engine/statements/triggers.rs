//! The temporary triggers that watch the user's tables, for the remote and for the audit: they name today's columns, so they are away
//! while the schema changes.

use crate::{audit, engine::database::Inner, error::Result, sqlite::Connection, sync::outbox::capture};

impl Inner {
    /// Whether any table is watched: then changes of the schema must mind it.
    pub(in crate::engine) fn watching(&self) -> bool {
        self.capturing.get() || self.audit.get().is_some()
    }

    /// Drops the triggers.
    pub(in crate::engine) fn suspend_triggers(&self, connection: &Connection) -> Result<()> {
        if self.audit.get().is_some() {
            audit::suspend(connection)?;
        }
        if self.capturing.get() { capture::suspend(connection) } else { Ok(()) }
    }

    /// Builds them again, for the tables as they are now.
    pub(in crate::engine) fn resume_triggers(&self, connection: &Connection) -> Result<()> {
        // First: the log may be one of the tables whose changes are captured.
        if let Some(options) = self.audit.get() {
            audit::resume(connection, options)?;
        }
        if self.capturing.get() { capture::resume(connection) } else { Ok(()) }
    }

    /// Sees whether the contents of another database can be audited, before they become this one's.
    pub(in crate::engine) fn rehearse_audit(&self, scratch: &Connection) -> Result<()> {
        self.audit.get().map_or(Ok(()), |options| audit::resume(scratch, options))
    }
}
