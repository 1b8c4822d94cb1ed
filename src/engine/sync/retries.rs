//! Changes that the remote refuses for now, while the database keeps in step.

use crate::{
    collections::Map,
    error::{Detail, Error},
    sync::schedule::rounds::RETRY_BUDGET,
};

/// Since when, and how often, changes were sent that the remote refuses because of something that isn't there (yet), by their ids.
#[derive(Default)]
pub(in crate::engine) struct Retries {
    tries: Map<i64, (f64, u32)>,
    kept: bool,
}

impl Retries {
    /// Whether a refused change waits for the next round, instead of moving to the rejected ones: what it refers to may still come.
    pub fn keeps(&mut self, id: i64, error: &Error, now: f64) -> bool {
        if error.details.get("remoteCode") != Some(&Detail::Text("23503".to_owned())) {
            return false;
        }
        let (since, tries) = self.tries.get(&id).copied().unwrap_or((now, 0));
        self.tries.insert(id, (since, tries + 1));
        // Other writes make it try more often than time does.
        let keeps = now - since < RETRY_BUDGET.0 || tries < RETRY_BUDGET.1;
        self.kept |= keeps;
        keeps
    }

    /// Whether the push that has just ended keeps any.
    pub fn take_kept(&mut self) -> bool {
        std::mem::take(&mut self.kept)
    }
}
