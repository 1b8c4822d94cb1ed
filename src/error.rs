//! The one error type of the crate, and the codes that the public contract fixes.

use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut, Index},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

/// The result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
    /// A `timeoutMs` ran out.
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
    /// `maxBytes` was reached.
    DatabaseTooLarge => "database_too_large",
    /// With `integers: 'number'`, a result holds an integer beyond 2^53-1.
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
    /// Another tab holds the database.
    DatabaseInUse => "database_in_use",
    /// Another tab held the database until the wait timed out.
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

/// One value in [`Error::details`]. Never a value that the user bound to a statement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// A flag.
    Bool(bool),
    /// A count, an offset, a size.
    Int(i64),
    /// A name, an id, a code.
    Text(String),
    /// Several values.
    List(Vec<Detail>),
    /// Named values.
    Object(Details),
}

macro_rules! detail_from {
    ($($from:ty => |$v:ident| $into:expr,)*) => {
        $(impl From<$from> for Detail { fn from($v: $from) -> Self { $into } })*
    };
}
detail_from! {
    bool => |v| Detail::Bool(v),
    i32 => |v| Detail::Int(v.into()),
    u32 => |v| Detail::Int(v.into()),
    i64 => |v| Detail::Int(v),
    u64 => |v| Detail::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    usize => |v| Detail::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    &str => |v| Detail::Text(v.to_owned()),
    String => |v| Detail::Text(v),
    Vec<Detail> => |v| Detail::List(v),
}

/// Named values, each name once, in insertion order. A list, because there are never more than a few.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details(Vec<(Cow<'static, str>, Detail)>);

impl Details {
    /// Returns the value of that name.
    pub fn get(&self, name: &str) -> Option<&Detail> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns the value of that name, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Detail> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns whether there is a value of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a value; it replaces one of the same name.
    pub fn insert(&mut self, name: Cow<'static, str>, value: Detail) {
        match self.get_mut(&name) {
            Some(known) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Returns the names and their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Detail)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Index<&str> for Details {
    type Output = Detail;

    /// Returns the value of that name. Panics when there is none.
    fn index(&self, name: &str) -> &Detail {
        self.get(name).expect("no such detail")
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Detail)> for Details {
    fn from_iter<I: IntoIterator<Item = (N, Detail)>>(values: I) -> Self {
        let mut details = Self::default();
        values.into_iter().for_each(|(name, value)| details.insert(name.into(), value));
        details
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An error, with its context and a hint. In TypeScript: `TidelockError`.
///
/// One pointer wide: nearly every function returns one, and each `?` copies it.
#[derive(Clone, Debug, PartialEq)]
pub struct Error(Box<ErrorParts>);

/// The fields of an [`Error`], which derefs to them.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorParts {
    /// The stable code, for programs.
    pub code: ErrorCode,
    /// A description for people.
    pub message: String,
    /// What to do, if known.
    pub hint: Option<String>,
    /// Details for programs; keys are camelCase, as JavaScript reads them.
    pub details: Details,
    /// The error underneath, as text.
    pub cause: Option<String>,
}

/// A `TidelockError` as plain data.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TidelockErrorJson"))]
pub(crate) struct ErrorJson<'a> {
    /// The class of the error: always `TidelockError`.
    #[cfg_attr(test, ts(type = "'TidelockError'"))]
    name: &'static str,
    /// The stable code, for programs.
    code: ErrorCode,
    /// A description for people.
    message: &'a str,
    /// Whether the same call may succeed later without any change.
    retryable: bool,
    /// What to do, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    hint: Option<&'a str>,
    /// Details for programs, by code.
    details: &'a Details,
    /// The error underneath, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    cause: Option<&'a str>,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = ErrorJson {
            name: "TidelockError",
            code: self.code,
            message: &self.message,
            retryable: self.code.is_retryable(),
            hint: self.hint.as_deref(),
            details: &self.details,
            cause: self.cause.as_deref(),
        };
        json.serialize(serializer)
    }
}

impl Deref for Error {
    type Target = ErrorParts;

    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut ErrorParts {
        &mut self.0
    }
}

impl Error {
    /// Creates an error with a code and a message of one sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorParts {
            code,
            message: message.into(),
            hint: None,
            details: Details::default(),
            cause: None,
        }))
    }

    /// Creates an `invalid_argument` error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// Creates an `internal` error: a state that should be impossible.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message).hint("Please report this error, with what led to it")
    }

    /// Creates an `unsupported_environment` error for a part of the contract that this build lacks.
    pub fn unsupported(what: &str) -> Self {
        Self::new(ErrorCode::UnsupportedEnvironment, format!("{what} is not available in this build"))
    }

    /// Adds the hint: what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds one detail; a later one of the same name replaces the earlier.
    #[must_use]
    pub fn detail(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Detail>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Returns the fields by value.
    pub fn into_parts(self) -> ErrorParts {
        *self.0
    }

    /// Returns whether this error has the code.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The stable code of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineWarningCode"))]
pub enum WarningCode {
    /// A snapshot is damaged. The database opened without it, possibly without commits that only the snapshot had.
    SnapshotCorrupt,
    /// The browser deleted its damaged storage, including the database.
    StorageLost,
    /// Realtime is unavailable, so remote changes wait for the next interval.
    RealtimeUnavailable,
    /// Maintenance found damage in the file.
    IntegrityFailed,
    /// Maintenance found foreign key violations.
    ForeignKeysViolated,
}

/// A problem that needs attention, but stopped no operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineWarning"))]
pub struct Warning {
    /// The stable code, for programs.
    pub code: WarningCode,
    /// A description for people.
    pub message: String,
}
