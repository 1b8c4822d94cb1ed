//! Applies pages one by one while further pages are read.

use super::driver::Sync;
use crate::{
    error::Result,
    sync::{
        postgrest::queue::run_both,
        pull::{page::Page, reader::Pull},
    },
};

/// Milliseconds for which pages are applied before yielding to the event loop.
const BUSY_MS: f64 = 16.0;

impl Sync {
    /// Calls `take` for each page of a running pull. If the pull fails, the pages until then are still taken.
    pub(super) async fn consume_pages(
        &self,
        pull: &Pull<'_>,
        reading: impl Future<Output = Result<()>>,
        mut take: impl AsyncFnMut(Box<Page>) -> Result<()>,
    ) -> Result<()> {
        let clock = &*self.platform.clock;
        let taking = async {
            let mut rested = clock.monotonic_ms();
            loop {
                let waits = pull.pages.is_empty();
                let Some(page) = pull.pages.next().await else { return Ok(()) };
                if !waits && clock.monotonic_ms() - rested > BUSY_MS {
                    clock.sleep(0).await;
                }
                if waits || clock.monotonic_ms() - rested > BUSY_MS {
                    rested = clock.monotonic_ms();
                }
                take(page).await?;
            }
        };
        run_both(Box::pin(reading), Box::pin(taking)).await
    }
}
