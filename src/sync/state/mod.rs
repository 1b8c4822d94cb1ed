//! What sync remembers inside the database file.
//!
//! | file | subject |
//! |---|---|
//! | `spans` | a table read in several spans of its key at once, and how far each came |
//! | `metadata` | the tables of sync, and what is kept in them |

pub mod metadata;
pub mod spans;
