//! Pages are applied one after the other while others are read.

use super::driver::Sync;
use crate::{
    error::Result,
    sync::{
        postgrest::queue::beside,
        pull::{page::Page, reader::Pull},
    },
};

/// So long pages are applied one right after the other, before everything else on this thread has its turn.
const BUSY_MS: f64 = 16.0;

impl Sync {
    /// Takes in the pages of a reading while it goes on; those that it has brought, too, when it fails.
    pub(super) async fn take_in(
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
        beside(Box::pin(reading), Box::pin(taking)).await
    }
}
