//! Operations on an open database.
//!
//! | file | subject |
//! |---|---|
//! | `maintain` | maintenance |
//! | `health` | the inputs of the health report |
//! | `audit` | the audit log |
//! | `schema` | drift, generated migrations, lint |
//! | `rekey` | changes the encryption: secret and data key |

mod audit;
mod health;
pub(super) mod maintain;
mod rekey;
mod schema;

pub(super) use rekey::continue_rotation;
