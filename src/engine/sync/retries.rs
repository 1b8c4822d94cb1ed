//! Changes that automatic sync sends again after a refusal.

use crate::{
    collections::Map,
    error::Error,
    sync::{postgrest::response::remote_code, schedule::rounds::RETRY_BUDGET},
};

/// The time of the first refusal and the number of attempts of changes whose parent is missing remotely, by their ids.
#[derive(Default)]
pub(in crate::engine) struct Retries {
    tries: Map<i64, (f64, u32)>,
    kept: bool,
}

impl Retries {
    /// Returns whether a refused change waits for the next round instead of being rejected, since its parent may still be pushed.
    pub fn keep_for_retry(&mut self, id: i64, error: &Error, now: f64) -> bool {
        if remote_code(error) != "23503" {
            return false;
        }
        let (since, tries) = self.tries.get(&id).copied().unwrap_or((now, 0));
        self.tries.insert(id, (since, tries + 1));
        // Both limits must be exceeded, since other writes may cause many attempts in a short time.
        let keeps = now - since < RETRY_BUDGET.0 || tries < RETRY_BUDGET.1;
        self.kept |= keeps;
        keeps
    }

    /// Returns whether the push that just ended kept changes for a retry.
    pub fn take_kept_any(&mut self) -> bool {
        std::mem::take(&mut self.kept)
    }
}
