//! Health: the state of a database, and which conditions raise alerts. Pure: the whole state is an argument.
//!
//! | file | what |
//! |---|---|
//! | `report` | the result of `health()` |
//! | `assess` | the rules: which inputs raise alerts, and the resulting status |
//! | `queries` | statistics of the executed statements |

mod assess;
mod queries;
mod report;

pub use assess::{HealthInputs, Thresholds, assess};
pub use queries::{QueryStats, StatementTime};
pub use report::{
    Alert, AlertCode, AlertSeverity, Health, HealthStatus, LockHealth, LockState, MigrationsHealth, QueriesHealth,
    SlowQuery, SnapshotHealth, StorageHealth, SyncHealth,
};
