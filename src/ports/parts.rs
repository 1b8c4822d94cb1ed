//! The parts of the code that are loaded only when they are needed.

use std::future::Future;

use super::LocalFuture;
use crate::error::Result;

/// A part of the wasm. scripts/split.mjs works out its content from its entries in scripts/parts.json: functions that
/// must not run before [`Parts::load`] has resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Migrations and schema comparison.
    Migrations,
    /// Stores other than the browser's: in memory, and in a folder.
    Stores,
    /// Encryption at rest, and of columns.
    Encryption,
    /// Everything about the remote, and the capture of local changes.
    Sync,
    /// The analysis of live queries.
    Live,
    /// SQLite's full-text search.
    Fts5,
}

impl Part {
    /// Returns its name in scripts/parts.json and in its file name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Migrations => "migrations",
            Self::Stores => "stores",
            Self::Encryption => "encryption",
            Self::Sync => "sync",
            Self::Live => "live",
            Self::Fts5 => "fts5",
        }
    }
}

/// The loader of the parts.
pub trait Parts {
    /// Resolves when the part's code can run; at once from the second time on. Fails with `wasm_load_failed`; the call
    /// can then be repeated.
    fn load(&self, part: Part) -> LocalFuture<'static, Result<()>>;

    /// Adds FTS5, once loaded, to a connection (an address of SQLite) opened before; later connections have it already.
    fn add_fts5(&self, connection: usize);
}

/// Boxes the future that an entry of a part returns. An entry is a function that is never inlined; the optimizer must
/// not know the future's type either, or the caller would run its code directly, before that code is loaded.
pub fn entered<'a, T>(future: impl Future<Output = T> + 'a) -> LocalFuture<'a, T> {
    std::hint::black_box(Box::pin(future))
}

/// A build in which all code is present from the start.
pub struct LoadedParts;

impl Parts for LoadedParts {
    fn load(&self, _part: Part) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn add_fts5(&self, _connection: usize) {}
}
