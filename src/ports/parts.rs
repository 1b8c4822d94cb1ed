//! What of the code itself is loaded only when it is needed.

use std::future::Future;

use super::LocalFuture;
use crate::error::Result;

/// A part of the wasm. What is in it is worked out by scripts/split.mjs from its entries in scripts/parts.json: functions that must
/// not run before [`Parts::load`] has resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Migrations, and what compares schemas.
    Migrations,
    /// Stores other than the browser's: in memory, and in a folder.
    Stores,
    /// Encrypting what is stored, and columns.
    Encryption,
    /// Everything about the remote, and capturing local changes.
    Sync,
    /// SQLite's full-text search.
    Fts5,
}

impl Part {
    /// Its name in scripts/parts.json, and in the name of its file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Migrations => "migrations",
            Self::Stores => "stores",
            Self::Encryption => "encryption",
            Self::Sync => "sync",
            Self::Fts5 => "fts5",
        }
    }
}

/// The loader of the parts.
pub trait Parts {
    /// Resolves when the part's code can run; at once from the second time on. Fails with `wasm_load_failed`, and can then be
    /// tried again.
    fn load(&self, part: Part) -> LocalFuture<'static, Result<()>>;

    /// Gives FTS5, once loaded, to a connection (an address of SQLite) that was opened before. Those opened later have it.
    fn add_fts5(&self, connection: usize);
}

/// What an entry of a part gives. An entry is a function that is never inlined; and the optimizer must not know what it gives
/// either, or it would have the caller run the future's code directly, which isn't there yet.
pub fn entered<'a, T>(future: impl Future<Output = T> + 'a) -> LocalFuture<'a, T> {
    std::hint::black_box(Box::pin(future))
}

/// Code that is all there from the start.
pub struct Whole;

impl Parts for Whole {
    fn load(&self, _part: Part) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn add_fts5(&self, _connection: usize) {}
}
