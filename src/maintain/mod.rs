//! Maintenance: the steps of `maintain()` and its report. The engine schedules and runs them.
//!
//! | file | what |
//! |---|---|
//! | `expiry` | expired rows, slice by slice |
//! | `report` | the report |
//! | `checks` | statistics, and freeing of unused pages |

mod checks;
mod expiry;
mod report;

pub use checks::{analyze, free_pages, give_back};
pub use expiry::{Expiry, Sweep};
pub use report::{ExpiredRows, MaintenanceFailure, MaintenanceReport, MaintenanceStep};
