//! The codes of errors, which the public contract fixes.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $text:literal,)*) => {
        /// The stable code of an error, which programs may compare. The texts never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub enum ErrorCode { $($(#[$doc])* #[cfg_attr(test, ts(rename = $text))] $variant,)* }

        impl ErrorCode {
            /// Every code, in the order of the contract.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// Returns the stable text of the code, as users compare it.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $text,)* }
            }

            /// The code of that text.
            pub fn from_name(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    /// A wrong option, parameter or call order.
    InvalidArgument => "invalid_argument",
    /// The database was closed.
    Closed => "closed",
    /// A timeout ran out.
    Timeout => "timeout",
    /// A defect of tidelock, or a trap in the wasm instance.
    Internal => "internal",
    /// The browser, the page or this build lacks what the call needs.
    UnsupportedEnvironment => "unsupported_environment",
    /// The wasm module could not be fetched or compiled.
    WasmLoadFailed => "wasm_load_failed",
    /// An allocation failed.
    OutOfMemory => "out_of_memory",
    /// SQLite refused a statement.
    SqliteError => "sqlite_error",
    /// A constraint of the schema was violated.
    SqliteConstraint => "sqlite_constraint",
    /// SQLite reported a lock conflict.
    SqliteBusy => "sqlite_busy",
    /// The stored data is damaged beyond what the log can repair.
    DatabaseCorrupt => "database_corrupt",
    /// The database reached its largest size.
    DatabaseTooLarge => "database_too_large",
    /// An integer of a result doesn't fit into the type that it is read as.
    IntegerOutOfRange => "integer_out_of_range",
    /// A transaction handle was used after its end.
    TransactionClosed => "transaction_closed",
    /// The supplied migrations are malformed, or the tracking table is not one.
    MigrationInvalid => "migration_invalid",
    /// An applied migration's text was changed.
    MigrationChecksumMismatch => "migration_checksum_mismatch",
    /// An applied migration is not supplied.
    MigrationMissing => "migration_missing",
    /// A pending migration is older than the newest applied one.
    MigrationOutOfOrder => "migration_out_of_order",
    /// A migration failed; none of its effects were kept.
    MigrationFailed => "migration_failed",
    /// A migration has no `down`.
    MigrationIrreversible => "migration_irreversible",
    /// The data was written by a newer version of the app.
    SchemaTooNew => "schema_too_new",
    /// Another tab or process holds the database.
    DatabaseInUse => "database_in_use",
    /// Another tab or process held the database until the wait timed out.
    LockTimeout => "lock_timeout",
    /// The lock was stolen; this instance can't write any more.
    LockLost => "lock_lost",
    /// The storage can't be reached.
    StorageUnavailable => "storage_unavailable",
    /// The storage is full.
    StorageQuotaExceeded => "storage_quota_exceeded",
    /// Another connection blocks the storage.
    StorageBlocked => "storage_blocked",
    /// No such snapshot.
    SnapshotNotFound => "snapshot_not_found",
    /// A snapshot's stored bytes are damaged.
    SnapshotCorrupt => "snapshot_corrupt",
    /// A snapshot has a newer format or schema.
    SnapshotIncompatible => "snapshot_incompatible",
    /// The key is wrong or missing.
    DecryptionFailed => "decryption_failed",
    /// The remote could not be reached.
    SyncNetwork => "sync_network",
    /// The remote refused the credentials.
    SyncUnauthorized => "sync_unauthorized",
    /// The remote refused the request permanently.
    SyncRejected => "sync_rejected",
    /// The remote failed, or asked for too long a wait.
    SyncServer => "sync_server",
    /// The remote's answer is not one that PostgREST sends.
    SyncProtocol => "sync_protocol",
    /// Local and remote schema don't fit.
    SyncSchemaMismatch => "sync_schema_mismatch",
    /// The database belongs to another user.
    SyncUserMismatch => "sync_user_mismatch",
    /// Local changes would be lost.
    UnpushedChanges => "unpushed_changes",
    /// The remote sent so little that most local rows would be deleted.
    RemoteEmpty => "remote_empty",
    /// The leader tab changed during a call.
    LeaderChanged => "leader_changed",
    /// The leader tab doesn't answer.
    LeaderUnreachable => "leader_unreachable",
    /// The worker died.
    WorkerCrashed => "worker_crashed",
}

impl ErrorCode {
    /// Returns whether the same call may succeed later without any change.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::WasmLoadFailed
                | Self::SqliteBusy
                | Self::DatabaseInUse
                | Self::LockTimeout
                | Self::StorageBlocked
                | Self::StorageUnavailable
                | Self::SyncNetwork
                | Self::SyncServer
                | Self::LeaderUnreachable
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
