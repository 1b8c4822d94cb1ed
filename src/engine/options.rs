//! The options of an opening, as plain data. TypeScript has already checked names and types.

use serde::Deserialize;

use crate::ports::Durability;

/// Where the data lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// IndexedDB.
    Indexeddb,
    /// Nowhere: gone with the page.
    Memory,
}

/// When a write's promise resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DurabilityMode {
    /// Its pages survive a power cut.
    Strict,
    /// Its pages survive the death of the browser.
    Relaxed,
}

impl From<DurabilityMode> for Durability {
    fn from(mode: DurabilityMode) -> Self {
        match mode {
            DurabilityMode::Strict => Durability::Strict,
            DurabilityMode::Relaxed => Durability::Relaxed,
        }
    }
}

/// Who the opener is, for whoever finds the database in use.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HolderOptions {
    /// The page's title.
    pub title: String,
    /// The page's address.
    pub url: String,
}
