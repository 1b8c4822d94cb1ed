//! The one error type of the crate.

mod code;
mod details;

use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut},
};

pub use code::ErrorCode;
pub use details::{Detail, Details};
use serde::{Serialize, Serializer};

/// The result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct TidelockErrorJson<'a> {
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
        let json = TidelockErrorJson {
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
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
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
    /// A stored record was damaged. It was restored from its copy, or the rest is whole without it.
    StorageDamaged,
    /// The browser deleted its damaged storage, including the database.
    StorageLost,
    /// Realtime is unavailable, so remote changes wait for the next interval.
    RealtimeUnavailable,
    /// Maintenance found damage in the file.
    IntegrityFailed,
    /// Maintenance found foreign key violations.
    ForeignKeysViolated,
    /// An audited table doesn't exist.
    AuditTableMissing,
    /// A redacted column is in no audited table: if it was renamed, its values are recorded.
    AuditColumnMissing,
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
