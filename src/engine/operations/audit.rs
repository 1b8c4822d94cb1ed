//! The audit log of an open database.

use crate::{
    audit::{self, AuditOptions, Missing},
    collections::Set,
    engine::{Database, Event, database::Inner},
    error::{Result, Warning, WarningCode},
    sqlite::Connection,
};

impl Database {
    /// Sets the audit options: at most once, before [`start`](Self::start), which starts the audit.
    ///
    /// Fails with `invalid_argument` for tables that can't be audited or hold the log; this closes the database.
    pub async fn audit(&self, mut options: AuditOptions) -> Result<()> {
        let inner = &*self.inner;
        let mut seen = Set::default();
        options.tables.retain(|table| seen.insert(table.to_ascii_lowercase()));
        match options.check() {
            Ok(()) => {
                inner.migrations.ignore_audit_table(&options.table);
                inner.audit.get_or_init(|| options);
                Ok(())
            }
            Err(error) => {
                inner.close_after_failure().await;
                Err(error)
            }
        }
    }

    /// Sets the actor that the log records for later changes. The caller must have locked the connection, since a
    /// transaction has one actor.
    pub fn set_actor(&self, actor: Option<&str>) -> Result<()> {
        let connection = self.inner.connection()?;
        if self.inner.audit.get().is_some() { audit::set_actor(&connection, actor) } else { Ok(()) }
    }
}

impl Inner {
    /// Creates the triggers of the audit again, and warns of what its options name and the database doesn't have any more. An
    /// opening warns at its end: migrations may create it. An entry of the part `tools`: never inlined, so that the part
    /// can be split off here.
    #[inline(never)]
    pub(in crate::engine) fn resume_audit(&self, connection: &Connection, options: &AuditOptions) -> Result<()> {
        let missing = audit::resume(connection, options)?;
        let mut known = self.audit_missing.borrow_mut();
        if self.audit_warns.get() {
            self.warn_of_audit(&missing, &known);
        }
        *known = missing;
        Ok(())
    }

    /// Warns of what is missing so far, and from now on.
    pub(in crate::engine) fn begin_audit_warnings(&self) {
        if self.audit.get().is_some() {
            self.audit_warns.set(true);
            self.warn_of_audit(&self.audit_missing.borrow(), &Missing::default());
        }
    }

    /// Also an entry of the part `tools`.
    #[inline(never)]
    fn warn_of_audit(&self, missing: &Missing, known: &Missing) {
        let warn = |code, message| self.events.emit(Event::Warning(Warning { code, message }));
        for table in missing.tables.iter().filter(|table| !known.tables.contains(table)) {
            warn(WarningCode::AuditTableMissing, format!("The audited table '{table}' doesn't exist"));
        }
        for column in missing.columns.iter().filter(|column| !known.columns.contains(column)) {
            warn(WarningCode::AuditColumnMissing, format!("The redacted column '{column}' is in no audited table"));
        }
    }
}
