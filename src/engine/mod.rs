//! Joins the concepts into a database: open → lock → recover → migrate → serve → flush → snapshot → close.
//!
//! | file | subject |
//! |---|---|
//! | `options`, `event` | what comes in at open, and what goes out unasked |
//! | `open` | the two ends of a database's life |
//! | `lock` | the lock from taking it to losing it |
//! | `database` | the handle, and what its parts share |
//! | `turn`, `signal` | one at a time: on the connection, among snapshots; who waits for somebody's sign |
//! | `statements` | running what users write |
//! | `flush` | committed pages into the log |
//! | `snapshots`, `restore` | snapshots, and going back to one |
//! | `reset` | dropping everything, to begin anew |
//! | `schema` | drift, generated scripts, lint |
//! | `rekey` | changing what the storage is encrypted with |
//! | `contents` | replacing the contents, all of them or nothing |
//! | `import` | contents that come as a file: `import`, `seed` |
//! | `snapshot_files` | snapshots as files to keep |
//! | `rescue` | a database that no longer opens |
//! | `folders` | a database in a folder that isn't opened: looking at it, deleting it |
//! | `migrations`, `sync` | drivers of the two concepts; `hosts` is what they ask of the database |
//! | `triggers`, `audit` | what watches the user's tables; the audit log |
//! | `tabs` | writes of other tabs, noted in their transactions |
//! | `maintain` | checks and cleaning up |
//! | `report` | health, from what all of them know |

mod audit;
mod contents;
mod database;
mod environment;
mod event;
pub mod flush;
mod folders;
mod fts5;
mod hosts;
mod import;
mod lifecycle;
mod lock;
mod maintain;
pub mod migrations;
mod open;
mod options;
mod rekey;
mod report;
mod rescue;
mod reset;
mod restore;
mod schema;
mod signal;
mod snapshot_files;
pub mod snapshots;
mod statements;
pub mod sync;
mod tabs;
mod triggers;
pub mod turn;

pub use database::{Callbacks, Database};
pub use environment::Environment;
pub use event::Event;
pub use folders::{Stored, delete, stored};
pub use import::{ImportOptions, PreparedImport};
pub use maintain::MaintainOptions;
pub use options::*;
pub use rescue::recover;
pub use statements::Call;
