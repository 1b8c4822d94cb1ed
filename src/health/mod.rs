//! Health: what is known of a database, and what of it deserves attention. Pure: everything known comes as arguments.
//!
//! | file | what |
//! |---|---|
//! | `report` | the documented object |
//! | `assess` | the rules: which facts are alerts, and what they make of the status |
//! | `queries` | figures over the statements that ran |

mod assess;
mod queries;
mod report;

pub use assess::{HealthInputs, Thresholds, assess};
pub use queries::{QueryStats, Took};
pub use report::{
    Alert, AlertCode, Health, LockHealth, LockState, MigrationsHealth, QueriesHealth, Severity, SlowQuery,
    SnapshotHealth, Status, StorageHealth, SyncHealth,
};
