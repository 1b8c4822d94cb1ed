//! What of the code itself is loaded only when it is needed.

use std::future::Future;

use super::{LocalFuture, Platform};
use crate::error::Result;

/// A part of the wasm. What is in it is worked out by scripts/split.mjs from its entries in scripts/parts.json: functions that must
/// not run before [`Parts::load`] has resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Making the object stores of a new database.
    Create,
    /// Taking and deleting snapshots, the health report, and what other parts share.
    Operations,
    /// Checking snapshots and bringing them back.
    Restore,
    /// Running migrations.
    Migrations,
    /// Keeping what is stored in memory.
    Memory,
    /// Encrypting what is stored. AES-GCM itself is the part `cipher`, which comes with it.
    Encryption,
    /// Everything about the remote, and capturing local changes.
    Sync,
    /// SQLite's full-text search.
    Fts5,
    /// SQLite's JSON functions.
    Json,
}

impl Part {
    /// Its name in scripts/parts.json, and in the name of its file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Operations => "operations",
            Self::Restore => "restore",
            Self::Migrations => "migrations",
            Self::Memory => "memory",
            Self::Encryption => "encryption",
            Self::Sync => "sync",
            Self::Fts5 => "fts5",
            Self::Json => "json",
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

impl Platform {
    /// Loads a part that may be asked for later, when there may be no network. Nobody waits for it; what doesn't come is loaded when it
    /// is asked for.
    pub fn load_ahead(&self, part: Part) {
        let loading = self.parts.load(part);
        self.spawner.spawn(Box::pin(async move { drop(loading.await) }));
    }
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
