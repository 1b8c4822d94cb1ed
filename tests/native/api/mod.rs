//! The front for Rust programs, as they use it: over real folders, threads and clocks.

mod calls;
mod folders;
mod functions;
mod group;
mod live;
mod options;
#[cfg(feature = "sync")]
mod per_user;
#[cfg(feature = "realtime")]
mod realtime;
#[cfg(feature = "sync")]
mod sync;
mod transactions;

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use tidelock::{Database, ErrorCode, OpenOptions, Result, Storage};

/// Runs a test without any runtime.
fn block_on<T>(test: impl Future<Output = Result<T>>) -> T {
    futures_executor::block_on(test).unwrap()
}

/// Returns the options of a database in memory, without periodic snapshots.
fn memory() -> OpenOptions {
    OpenOptions::new("memory").storage(Storage::Memory).snapshots(None)
}

async fn in_memory(script: &str) -> Result<Database> {
    let db = tidelock::open(memory()).await?;
    db.exec(script).await?;
    Ok(db)
}

/// A folder that is removed after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tidelock-{}-api-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn options(&self) -> OpenOptions {
        OpenOptions::new("shop").storage(Storage::File).path(&self.0)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn code<T>(result: Result<T>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}
