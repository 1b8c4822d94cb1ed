//! The rules that turn the health inputs into alerts and a status.

use super::report::{
    Alert, AlertCode, AlertSeverity, Health, HealthStatus, LockHealth, LockState, MigrationsHealth, QueriesHealth,
    SnapshotHealth, StorageHealth, SyncHealth,
};
use crate::{
    error::{Error, ErrorCode},
    time::{DAY_MS, Timestamp},
};

/// The limits beyond which an alert is raised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Milliseconds without a snapshot of changed data.
    pub no_snapshot_ms: f64,
    /// Milliseconds since the last complete sync, in cloud mode.
    pub sync_lag_ms: f64,
    /// The fraction of the origin's quota in use (0 to 1).
    pub storage_ratio: f64,
    /// The database's size relative to a day ago.
    pub growth_factor: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { no_snapshot_ms: DAY_MS as f64, sync_lag_ms: 5.0 * 60_000.0, storage_ratio: 0.8, growth_factor: 2.0 }
    }
}

/// Below this size in bytes, growth is no alert.
const GROWTH_FLOOR: u64 = 4 * 1024 * 1024;

/// The inputs of the health report: the state of a database.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthInputs {
    /// The database's name.
    pub name: String,
    /// Whether the database syncs automatically (`mode: 'cloud'`).
    pub cloud: bool,
    /// Whether the database was closed.
    pub closed: bool,
    /// Whether writes are refused, because the storage failed too often.
    pub refuses_writes: bool,
    /// Whether snapshots are taken periodically.
    pub snapshots_enabled: bool,
    /// Whether there were commits since the last snapshot.
    pub changed_since_snapshot: bool,
    /// When the database was created, where known.
    pub created_at: Option<Timestamp>,
    /// The size of the database in bytes a day ago, where known.
    pub bytes_a_day_ago: Option<u64>,
    /// Why the last migration failed; `None` after one succeeded.
    pub migration_failure: Option<Error>,
    /// The findings of the last maintenance.
    pub maintenance_findings: Vec<(AlertCode, String)>,
    /// The number of local changes that wait for columns that are missing at the remote.
    pub lacking_columns: u64,
    /// The snapshots.
    pub snapshot: SnapshotHealth,
    /// The lock.
    pub lock: LockHealth,
    /// The migrations.
    pub migrations: MigrationsHealth,
    /// The storage.
    pub storage: StorageHealth,
    /// The sync.
    pub sync: SyncHealth,
    /// The statements.
    pub queries: QueriesHealth,
}

/// Computes the health report from the inputs at `now`.
pub fn assess(inputs: HealthInputs, thresholds: &Thresholds, now: Timestamp) -> Health {
    let alerts = alerts(&inputs, thresholds, now);
    let lost_lock = matches!(inputs.lock.state, LockState::Lost | LockState::Released)
        || inputs.storage.last_error.as_ref().is_some_and(|error| error.is(ErrorCode::LockLost));
    let status = if inputs.closed || lost_lock || inputs.refuses_writes {
        HealthStatus::Failed
    } else if alerts.iter().any(|alert| alert.severity == AlertSeverity::Warning) {
        HealthStatus::Degraded
    } else {
        HealthStatus::Ok
    };
    Health {
        status,
        database: if inputs.cloud { "cloud" } else { "local" },
        name: inputs.name,
        timestamp: now,
        snapshot: inputs.snapshot,
        lock: inputs.lock,
        migrations: inputs.migrations,
        storage: inputs.storage,
        sync: inputs.sync,
        queries: inputs.queries,
        alerts,
    }
}

fn alerts(inputs: &HealthInputs, thresholds: &Thresholds, now: Timestamp) -> Vec<Alert> {
    let HealthInputs { snapshot, storage, sync, .. } = inputs;
    let mut alerts = Vec::new();
    let mut warn = |code, message: String| alerts.push(Alert { code, severity: AlertSeverity::Warning, message });
    // Of a time in the future, since when the clock was set back, the age isn't known.
    let is_old = |time: Timestamp| now.since(time).abs() as f64 > thresholds.no_snapshot_ms;
    if inputs.snapshots_enabled
        && inputs.changed_since_snapshot
        && inputs.created_at.is_some_and(is_old)
        && snapshot.last_success.is_none_or(is_old)
    {
        // A whole number, because formatting fractions would add much code to the wasm.
        let hours = (thresholds.no_snapshot_ms / 3_600_000.0).round() as i64;
        warn(
            AlertCode::NoRecentSnapshot,
            format!("No snapshot was taken for more than {hours} hours, though the data changed"),
        );
    }
    if snapshot.consecutive_failures > 0 {
        warn(AlertCode::SnapshotFailing, because("The last snapshot failed", snapshot.last_error.as_ref()));
    }
    if let Some(error) = &storage.last_error {
        warn(AlertCode::FlushFailing, because("Commits can't be stored", Some(error)));
    }
    if let (Some(usage), Some(quota @ 1..)) = (storage.usage, storage.quota)
        && usage as f64 > quota as f64 * thresholds.storage_ratio
    {
        let percent = usage.saturating_mul(100) / quota;
        warn(AlertCode::StorageNearlyFull, format!("{percent} % of the origin's storage is in use"));
    }
    let grown =
        |bytes: u64| storage.bytes >= GROWTH_FLOOR && storage.bytes as f64 >= bytes as f64 * thresholds.growth_factor;
    if let Some(bytes) = inputs.bytes_a_day_ago.filter(|bytes| grown(*bytes)) {
        let message = format!("The database grew from {bytes} to {} bytes in about a day", storage.bytes);
        warn(AlertCode::Growth, message);
    }
    if let Some(error) = &inputs.migration_failure {
        warn(AlertCode::MigrationFailed, error.message.clone());
    }
    for (code, message) in &inputs.maintenance_findings {
        warn(*code, message.clone());
    }
    if sync.rejected > 0 {
        warn(
            AlertCode::RejectedChanges,
            format!(
                "Local changes that the remote refused, or that are from before a restore: {}; see sync.rejected()",
                sync.rejected
            ),
        );
    }
    if inputs.lacking_columns > 0 {
        let changes = inputs.lacking_columns;
        let message =
            format!("Local changes that wait for columns missing in the remote: {changes}; see sync.pending()");
        warn(AlertCode::RemoteColumnMissing, message);
    }
    if inputs.cloud && sync.lag_ms.is_some_and(|ms| ms as f64 > thresholds.sync_lag_ms) {
        let message = "The last complete sync is too long ago";
        warn(AlertCode::SyncLag, because(message, sync.last_error.as_ref()));
    }
    if matches!(storage.kind, "indexeddb" | "opfs") && storage.persisted == Some(false) && !inputs.closed {
        alerts.push(Alert {
            code: AlertCode::StorageNotPersisted,
            severity: AlertSeverity::Info,
            message: "The browser may delete the data when space gets short: call db.persist()".to_owned(),
        });
    }
    alerts
}

fn because(what: &str, error: Option<&Error>) -> String {
    match error {
        Some(error) => format!("{what}: {}", error.message),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);
    const HOUR_MS: i64 = 3_600_000;

    fn healthy() -> HealthInputs {
        HealthInputs {
            name: "shop".into(),
            cloud: false,
            closed: false,
            refuses_writes: false,
            snapshots_enabled: true,
            changed_since_snapshot: true,
            created_at: Some(NOW.plus_ms(-100 * DAY_MS)),
            bytes_a_day_ago: None,
            migration_failure: None,
            maintenance_findings: Vec::new(),
            lacking_columns: 0,
            snapshot: SnapshotHealth { last_success: Some(NOW.plus_ms(-HOUR_MS)), count: 3, ..Default::default() },
            lock: LockHealth { state: LockState::Held, since: Some(NOW), epoch: Some(4) },
            migrations: MigrationsHealth { current: Some("0003".into()), ..Default::default() },
            storage: StorageHealth {
                kind: "indexeddb",
                durability: "relaxed",
                bytes: 8_000_000,
                usage: Some(80),
                quota: Some(100),
                persisted: Some(true),
                ..Default::default()
            },
            sync: SyncHealth { phase: "idle", ..Default::default() },
            queries: QueriesHealth::default(),
        }
    }

    /// Returns the status and the alerts' codes after one change to healthy inputs.
    fn after(change: impl FnOnce(&mut HealthInputs)) -> (HealthStatus, Vec<AlertCode>) {
        let mut inputs = healthy();
        change(&mut inputs);
        let health = assess(inputs, &Thresholds::default(), NOW);
        assert!(health.alerts.iter().all(|alert| alert.message.len() > 10));
        (health.status, health.alerts.iter().map(|alert| alert.code).collect())
    }

    fn error() -> Option<Error> {
        Some(Error::new(ErrorCode::StorageUnavailable, "the connection is gone"))
    }

    #[test]
    fn nothing_wrong_is_ok() {
        assert_eq!(after(|_| ()), (HealthStatus::Ok, vec![]));
    }

    #[test]
    fn each_warning_degrades() {
        let degraded =
            |code, change: fn(&mut HealthInputs)| assert_eq!(after(change), (HealthStatus::Degraded, vec![code]));
        degraded(AlertCode::NoRecentSnapshot, |inputs| inputs.snapshot.last_success = None);
        degraded(AlertCode::NoRecentSnapshot, |inputs| inputs.snapshot.last_success = Some(NOW.plus_ms(-25 * HOUR_MS)));
        degraded(AlertCode::SnapshotFailing, |inputs| inputs.snapshot.consecutive_failures = 1);
        degraded(AlertCode::FlushFailing, |inputs| inputs.storage.last_error = error());
        degraded(AlertCode::StorageNearlyFull, |inputs| inputs.storage.usage = Some(81));
        degraded(AlertCode::Growth, |inputs| inputs.bytes_a_day_ago = Some(4_000_000));
        degraded(AlertCode::MigrationFailed, |inputs| inputs.migration_failure = error());
        degraded(AlertCode::RejectedChanges, |inputs| inputs.sync.rejected = 1);
        degraded(AlertCode::RemoteColumnMissing, |inputs| inputs.lacking_columns = 1);
        degraded(AlertCode::SyncLag, |inputs| {
            inputs.cloud = true;
            inputs.sync.lag_ms = Some(5 * 60_000 + 1);
        });
    }

    #[test]
    fn harmless_states_raise_no_alert() {
        let fine = |change: fn(&mut HealthInputs)| assert_eq!(after(change), (HealthStatus::Ok, vec![]));
        let stale = |inputs: &mut HealthInputs| inputs.snapshot.last_success = None;
        // A young or unchanged database, or one with snapshots turned off.
        assert_eq!(
            after(|inputs| {
                stale(inputs);
                inputs.created_at = Some(NOW.plus_ms(-23 * HOUR_MS))
            })
            .0,
            HealthStatus::Ok
        );
        assert_eq!(
            after(|inputs| {
                stale(inputs);
                inputs.created_at = None
            })
            .0,
            HealthStatus::Ok
        );
        assert_eq!(
            after(|inputs| {
                stale(inputs);
                inputs.changed_since_snapshot = false
            })
            .0,
            HealthStatus::Ok
        );
        assert_eq!(
            after(|inputs| {
                stale(inputs);
                inputs.snapshots_enabled = false
            })
            .0,
            HealthStatus::Ok
        );
        fine(|inputs| inputs.storage.quota = None);
        fine(|inputs| inputs.bytes_a_day_ago = Some(4_000_001));
        fine(|inputs| inputs.sync.lag_ms = Some(500 * 60_000));
        fine(|inputs| {
            inputs.cloud = true;
            inputs.sync.lag_ms = Some(5 * 60_000);
        });
        fine(|inputs| {
            inputs.bytes_a_day_ago = Some(100);
            inputs.storage.bytes = 1_000_000;
        });
    }

    #[test]
    fn storage_that_may_be_evicted_is_only_information() {
        assert_eq!(
            after(|inputs| inputs.storage.persisted = Some(false)),
            (HealthStatus::Ok, vec![AlertCode::StorageNotPersisted])
        );
        let memory = |inputs: &mut HealthInputs| {
            inputs.storage.persisted = Some(false);
            inputs.storage.kind = "memory";
            inputs.lock = LockHealth { state: LockState::None, since: None, epoch: None };
        };
        assert_eq!(after(memory), (HealthStatus::Ok, vec![]));
    }

    #[test]
    fn closed_stolen_or_unwritable_is_failed() {
        for change in [
            (|inputs| inputs.closed = true) as fn(&mut HealthInputs),
            |inputs| inputs.refuses_writes = true,
            |inputs| inputs.lock.state = LockState::Lost,
            |inputs| inputs.lock.state = LockState::Released,
            |inputs| inputs.storage.last_error = Some(Error::new(ErrorCode::LockLost, "another tab stole it")),
        ] {
            assert_eq!(after(change).0, HealthStatus::Failed);
        }
    }

    #[test]
    fn the_thresholds_can_be_others() {
        let codes = |thresholds: Thresholds, change: fn(&mut HealthInputs)| {
            let mut inputs = healthy();
            change(&mut inputs);
            let alerts = assess(inputs, &thresholds, NOW).alerts;
            alerts.into_iter().map(|alert| alert.code).collect::<Vec<_>>()
        };
        let usual = Thresholds::default();
        let two_hours_ago = |inputs: &mut HealthInputs| inputs.snapshot.last_success = Some(NOW.plus_ms(-2 * HOUR_MS));
        assert_eq!(codes(usual, two_hours_ago), []);
        let hourly = Thresholds { no_snapshot_ms: HOUR_MS as f64, ..usual };
        assert_eq!(codes(hourly, two_hours_ago), [AlertCode::NoRecentSnapshot]);
        let sixty = |inputs: &mut HealthInputs| inputs.storage.usage = Some(60);
        assert_eq!(codes(Thresholds { storage_ratio: 0.5, ..usual }, sixty), [AlertCode::StorageNearlyFull]);
        let grown = |inputs: &mut HealthInputs| inputs.bytes_a_day_ago = Some(6_000_000);
        assert_eq!(codes(Thresholds { growth_factor: 1.3, ..usual }, grown), [AlertCode::Growth]);
        assert_eq!(codes(usual, grown), []);
        let found = |inputs: &mut HealthInputs| {
            inputs.maintenance_findings.push((AlertCode::IntegrityFailed, "page 7".to_owned()))
        };
        assert_eq!(codes(usual, found), [AlertCode::IntegrityFailed]);
    }

    #[test]
    fn is_written_as_the_contract_says() {
        let mut inputs = healthy();
        inputs.sync.rejected = 2;
        let text = serde_json::to_string(&assess(inputs, &Thresholds::default(), NOW)).unwrap();
        let expected = concat!(
            r#"{"status":"degraded","database":"local","name":"shop","timestamp":"2026-01-01T00:00:00.000Z","#,
            r#""snapshot":{"lastAttempt":null,"lastSuccess":"2025-12-31T23:00:00.000Z","lastError":null,"#,
            r#""consecutiveFailures":0,"nextAt":null,"count":3,"bytes":0},"#,
            r#""lock":{"state":"held","since":"2026-01-01T00:00:00.000Z","epoch":4},"#,
            r#""migrations":{"current":"0003","pending":0,"modified":0},"#,
            r#""storage":{"kind":"indexeddb","durability":"relaxed","bytes":8000000,"logBytes":0,"usage":80,"quota":100,"#,
            r#""persisted":true,"cache":null,"lastError":null},"#,
            r#""sync":{"phase":"idle","pending":0,"rejected":2,"lagMs":null,"lastError":null},"#,
            r#""queries":{"count":0,"errors":0,"p50Ms":0.0,"p95Ms":0.0,"slow":[]},"#,
            r#""alerts":[{"code":"rejected_changes","severity":"warning","#,
            r#""message":"Local changes that the remote refused, or that are from before a restore: 2; see sync.rejected()"}]}"#,
        );
        assert_eq!(text, expected);
    }
}
