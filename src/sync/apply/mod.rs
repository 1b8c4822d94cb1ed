//! Applies pulled rows to local tables.
//!
//! | file | subject |
//! |---|---|
//! | `parents` | foreign keys while rows are applied |
//! | `park` | frees unique values for other rows |
//! | `writer` | inserts, updates and deletes rows |
//! | `key_lists` | the lists of the keys that the remote has |
//! | `swap` | rows that exchange unique values |
//! | `normalized_key` | adopts the server's spelling of a key |
//! | `orphans` | which of these refer to rows that lack a parent |
//! | `staged` | rows that can't be applied yet |

pub mod key_lists;
pub(crate) mod normalized_key;
mod orphans;
pub mod parents;
mod park;
pub mod staged;
pub mod swap;
pub mod writer;
