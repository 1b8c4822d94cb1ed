//! Operations on an open database.
//!
//! | file | subject |
//! |---|---|
//! | `maintain` | checks and cleaning up |
//! | `report` | health, from what all parts know |
//! | `audit` | the audit log |
//! | `schema` | drift, generated scripts, lint |
//! | `rekey` | changing what the storage is encrypted with |

mod audit;
pub(super) mod maintain;
mod rekey;
mod report;
mod schema;
