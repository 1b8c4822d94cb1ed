//! Collects the inputs of the health report from all parts of a database.

use crate::{
    engine::{
        Database,
        database::Inner,
        options::{Mode, StorageKind},
    },
    error::Result,
    health::{Health, HealthInputs, LockHealth, LockState, StorageHealth, SyncHealth, Thresholds, assess},
    sqlite::Connection,
    sync::{config::checked::Config, outbox::entries, status},
    time::{DAY_MS, Timestamp},
};

impl Database {
    /// Returns the health report with the default thresholds. Works on a closed database, too.
    pub async fn health(&self) -> Health {
        self.health_by(&Thresholds::default()).await
    }

    /// Returns the health report with other thresholds.
    pub async fn health_by(&self, thresholds: &Thresholds) -> Health {
        let inner = &*self.inner;
        let estimate = inner.ports.stores.estimate().await;
        let in_memory = inner.options.storage == StorageKind::Memory;
        let storage = StorageHealth {
            kind: match inner.options.storage {
                StorageKind::Indexeddb => "indexeddb",
                StorageKind::Opfs => "opfs",
                StorageKind::File => "file",
                StorageKind::Memory => "memory",
            },
            durability: inner.options.durability.as_str(),
            bytes: inner.file.bytes(),
            log_bytes: if in_memory { 0 } else { inner.storage.usage().log_bytes },
            usage: estimate.usage,
            quota: estimate.quota,
            persisted: Some(estimate.persisted),
            cache: inner.file.cache_usage(),
            last_error: inner.flusher.last_error(),
        };
        let inputs = HealthInputs {
            name: inner.options.name.clone(),
            cloud: inner.options.mode == Mode::Cloud,
            closed: inner.connection.borrow().is_none(),
            refuses_writes: inner.flusher.admit_write().is_err(),
            snapshots_enabled: inner.options.snapshots.enabled,
            changed_since_snapshot: !inner.snapshots.is_unchanged(),
            created_at: Some(inner.created_at()),
            bytes_a_day_ago: inner.bytes_a_day_ago(),
            migration_failure: inner.migrations.failure(),
            maintenance_findings: inner.maintenance_findings.borrow().clone(),
            lacking_columns: inner
                .connection()
                .and_then(|connection| entries::lacking_columns(&connection, None))
                .unwrap_or_default(),
            snapshot: inner.snapshots.status(),
            lock: inner.lock_health(),
            migrations: inner.migrations.summary(),
            storage,
            sync: inner.sync_health(),
            queries: inner.stats.borrow().report(&|sql| inner.plan_of(sql)),
        };
        assess(inputs, thresholds, inner.ports.platform.clock.now())
    }
}

impl Inner {
    /// Returns the earliest known time of the database: that of its oldest snapshot, or of this opening.
    fn created_at(&self) -> Timestamp {
        let oldest = self.storage.manifests().into_iter().map(|manifest| manifest.created_at).min();
        oldest.map_or(self.opened_at, |oldest| oldest.min(self.opened_at))
    }

    /// Returns the database's size in the newest snapshot or checkpoint that is at least a day old.
    fn bytes_a_day_ago(&self) -> Option<u64> {
        let day_ago = self.ports.platform.clock.now().plus_ms(-DAY_MS);
        let old = self.storage.manifests().into_iter().filter(|manifest| manifest.created_at <= day_ago);
        old.max_by_key(|manifest| manifest.created_at).map(|manifest| manifest.db_bytes)
    }

    fn sync_health(&self) -> SyncHealth {
        let counts = self.connection().and_then(|connection| entries::counts(&connection, None));
        let (pending, rejected) = counts.unwrap_or_default();
        let Some(sync) = self.sync.get() else {
            return SyncHealth { phase: "off", pending, rejected, ..SyncHealth::default() };
        };
        let lag_ms = self.connection().and_then(|connection| self.lag(&connection, sync.config())).unwrap_or_default();
        SyncHealth { phase: sync.phase().as_str(), pending, rejected, lag_ms, last_error: sync.last_error() }
    }

    /// Returns the query plan of a slow statement; empty if it no longer compiles.
    fn plan_of(&self, sql: &str) -> Vec<String> {
        let plan = self.connection().and_then(|connection| connection.explain_query_plan(sql));
        plan.unwrap_or_default().into_iter().map(|step| step.detail).collect()
    }

    /// Returns the milliseconds since the last complete sync. In cloud mode this includes the time before the first
    /// pull, and the age of the oldest unpushed change. An entry of the part `sync`: never inlined, so that the part can
    /// be split off here.
    #[inline(never)]
    fn lag(&self, connection: &Connection, config: &Config) -> Result<Option<i64>> {
        let now = self.ports.platform.clock.now();
        let lag = status::lag(connection, config, now)?;
        if self.options.mode == Mode::Local {
            return Ok(lag);
        }
        let lag = lag.unwrap_or_else(|| now.since(self.opened_at));
        Ok(Some(lag.max(status::unpushed_for(connection, now)?)))
    }

    fn lock_health(&self) -> LockHealth {
        let state = match (self.options.storage, self.connection.borrow().is_some()) {
            (StorageKind::Memory, _) => LockState::None,
            _ if self.lost.borrow().is_some() => LockState::Lost,
            (_, true) => LockState::Held,
            (_, false) => LockState::Released,
        };
        let is_locked = state != LockState::None;
        LockHealth { state, since: is_locked.then_some(self.opened_at), epoch: is_locked.then(|| self.storage.epoch()) }
    }
}
