//! Maintenance: what `maintain()` does and tells. The engine takes the turns and drives it.
//!
//! | file | what |
//! |---|---|
//! | `expiry` | rows whose time has passed, slice by slice |
//! | `report` | what is told |
//! | `checks` | statistics, and how space is given back |

mod checks;
mod expiry;
mod report;

pub use checks::{analyze, free_pages, give_back};
pub use expiry::{Expiry, Sweep};
pub use report::{Expired, Failed, MaintenanceReport};
