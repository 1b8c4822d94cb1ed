//! A local database: SQLite with durable commits, snapshots, migrations and live queries.
//!
//! This is the engine of the npm package `tidelock`, for Rust programs on a desktop, a server, a command line, and in
//! [browsers](#in-browsers). A database is a folder, in a browser it is in IndexedDB or OPFS, or it lives in memory. What one
//! of the two has written, the other one opens.
//!
//! ```
//! use tidelock::{Migration, OpenOptions, Storage, params};
//!
//! # futures_executor::block_on(async {
//! # let folder = std::env::temp_dir().join(format!("tidelock-guide-{}.tidelock", std::process::id()));
//! let options = OpenOptions::new("notes")
//!     .storage(Storage::File)
//!     .path(&folder)
//!     .migrations([Migration::new("1", "notes", "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)")]);
//! let db = tidelock::open(options).await?;
//! db.run("INSERT INTO notes(body) VALUES (?)", params!["buy tea"]).await?;
//! let bodies: Vec<String> = db.query_as("SELECT body FROM notes", ()).await?;
//! assert_eq!(bodies, ["buy tea"]);
//! db.close().await?;
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok::<_, tidelock::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Any runtime, or none
//!
//! SQLite runs on a thread that [`open`] starts. Futures wait for its answers: they are `Send`, and run on tokio, in Tauri,
//! on any other executor, or in `futures_executor::block_on`. A [`Database`] is a handle: clone it, and keep it wherever
//! you need it; a second [`open`] of the same folder is `database_in_use`, in the same process, too. Dropping a future
//! cancels its call where it waits.
//!
//! # In browsers
//!
//! Compiled to `wasm32-unknown-unknown`, the crate needs neither npm nor JavaScript of its own: Leptos, Dioxus and Yew
//! apps use it as above. `docs/rust.md` has what to install. The engine runs on the thread of the program, that of the page
//! or of a dedicated worker; a [`Database`] and the futures of its calls are `Send` there, too. What differs:
//!
//! - [`Storage::Indexeddb`] is the default. With the feature `opfs`, in a dedicated worker, there is [`Storage::Opfs`], too,
//!   which opens databases larger than memory. Otherwise it is `unsupported_environment`, as [`Storage::File`] is.
//! - The lock is a Web Lock: one tab has the database, others get `database_in_use`, which names that tab. With
//!   [`LockOptions`] they wait, ask for it ([`OnBusy::Takeover`]) or steal it ([`OnBusy::Steal`]). The tab that lost it sees
//!   [`Event::Lock`] or [`Event::Close`], and its live queries end or fail.
//! - Dropping the last handle doesn't wait. The next [`open`] of that name in the page waits until everything is stored.
//! - Functions of the program needn't be `Send`: see [`ThreadSafe`]. SQL functions ([`SqlFunction`]) are native only.
//! - [`databases`] takes no folder, and lists the databases of the origin.
//!
//! # Statements
//!
//! [`Database::query`] returns rows, [`Database::query_as`] reads them by serde into structs, tuples or single values,
//! [`Database::run`] returns the number of changes. [`Database::iterate`] returns the rows of a large result one at a
//! time. Values are always bound, by [`params!`] for `?` and by
//! [`named_params!`] for `:name`.
//!
//! ```
//! use tidelock::{OpenOptions, Storage, named_params, params};
//!
//! #[derive(serde::Deserialize)]
//! struct Product {
//!     name: String,
//!     sold: bool,
//! }
//!
//! # futures_executor::block_on(async {
//! let db = tidelock::open(OpenOptions::new("shop").storage(Storage::Memory)).await?;
//! db.exec("CREATE TABLE products(name TEXT, sold BOOLEAN)").await?;
//! db.run_many("INSERT INTO products VALUES (?, ?)", [params!["tea", false], params!["cup", true]]).await?;
//! let filter = named_params! { "sold": true };
//! let products: Vec<Product> = db.query_as("SELECT * FROM products WHERE sold = :sold", filter).await?;
//! assert!(products.len() == 1 && products[0].name == "cup" && products[0].sold);
//! # Ok::<_, tidelock::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Transactions
//!
//! [`Database::transaction`] commits when its function returns `Ok`. It rolls back when the function returns `Err`, and
//! when its future is dropped. Inside of it, use `tx`. [`Transaction::transaction`] is a savepoint.
//!
//! # The schema
//!
//! Put SQL files into a folder and the folder into the program: `migrations!("migrations")` understands
//! `0001_name.sql`, and the folders of dbmate, Flyway, Prisma, drizzle-kit and node-pg-migrate. [`open`] runs what is
//! pending, each migration in one transaction, and refuses data of a newer program with `schema_too_new`.
//!
//! ```ignore
//! let db = tidelock::open(options.migrations(tidelock::migrations!("migrations")?)).await?;
//! ```
//!
//! # Live queries
//!
//! [`Database::live`] is a stream of results. The query runs again only after a commit that may have changed them.
//!
//! # What is stored when
//!
//! With [`Durability::Relaxed`], the default, a write resolves when its pages are written to the folder: the end of the
//! process loses nothing. [`Durability::Strict`] adds a power cut, and waits for the disk. [`Durability::Deferred`] and
//! [`Durability::Snapshot`] don't wait. In each mode what is stored is a consistent database: whole commits, in order. A
//! database that is dropped without [`Database::close`] stores its commits, and frees its lock.
//!
//! [`Database::snapshots`] are taken every hour when something has changed. `restore` goes back to one of them,
//! `restore_at` to any time that the log still has, a week by default. [`recover`] opens what damage has left.
//! [`OpenOptions::encryption`] encrypts all of it.
//!
//! # Sync
//!
//! With the feature `sync`, a database syncs its tables with a Supabase project or any PostgREST, by the rules of the npm
//! package. Local changes are recorded in the same transaction, also offline. `db.sync().run()` sends them, and pulls the
//! remote's rows; `start` does so every 30 seconds and after writes, as `Mode::Cloud` does from the opening on.
//!
#![cfg_attr(feature = "sync", doc = "```no_run")]
#![cfg_attr(not(feature = "sync"), doc = "```ignore")]
//! use tidelock::{ConflictPolicy, Migration, OpenOptions, RemoteOptions, Storage, TableSync};
//!
//! # futures_executor::block_on(async {
//! let orders = TableSync::new("orders").cursor("updated_at").deleted("compare").conflict(ConflictPolicy::KeepLocal);
//! let remote = RemoteOptions::new("https://<project>.supabase.co", "<publishable key>")
//!     .tables([orders, "countries".into()])
//!     .access_token(|| async { Ok::<_, std::env::VarError>(Some(std::env::var("SHOP_TOKEN")?)) });
//! let db = tidelock::open(OpenOptions::new("shop").storage(Storage::File).remote(remote)).await?;
//! let report = db.sync().run().await?;
//! println!("{} orders are new", report.pull.tables[0].inserted);
//! # Ok::<_, tidelock::Error>(())
//! # }).unwrap();
//! ```
//!
//! Requests go over rustls, on threads of their own, and through the proxy that `HTTPS_PROXY` names. The certificates of
//! public servers are checked against Mozilla's list of authorities; `RemoteOptions::root_certificates` replaces it.
//! With `RemoteOptions::realtime`, Supabase Realtime reports changes at once. In native programs that needs the feature
//! `realtime`, and connects without the proxy. `RemoteOptions::per_user` opens a database for each user. The SQL helpers are
//! in the npm package.
//!
//! `use tidelock::*` hides the trait `Sync` of the standard library behind the `Sync` of this crate: import names one by
//! one, or write `std::marker::Sync`.
//!
//! # Errors
//!
//! Every function fails with an [`Error`]: `code` is for programs, `hint` says what to do, `details` has what the message
//! names. The codes are those of the npm package. Values that you bind never appear in an error.
//!
//! Hints are those of the npm package, too. They name options and calls as TypeScript does; in Rust these are:
//!
//! | in a hint | in Rust |
//! |---|---|
//! | `maxBytes`, `migrationsTable`, `auditTable` | [`max_bytes`](OpenOptions::max_bytes) and so on: methods of [`OpenOptions`] |
//! | `outOfOrder: 'apply'`, `lock: { onBusy: 'wait' }` | `.out_of_order(OutOfOrder::Apply)`, `.lock(LockOptions { on_busy: OnBusy::Wait, .. })` |
//! | `snapshots.intervalMs`, `snapshots: false` | `interval_ms` of [`SnapshotOptions`], `.snapshots(None)` |
//! | `timeoutMs`, also in `details` | [`Database::with_timeout_ms`], `lock.timeout_ms` |
//! | `remote: { url, key, tables }`, `remote.pageSize`, `remote.perUser` | `.remote(RemoteOptions::new(url, key).tables([..]))`, `.page_size(..)`, `.per_user(true)` |
//! | `snapshots.list()`, `migrations.forget()` | `db.snapshots().list()`, `db.migrations().forget(..)` |
//! | `{ force: true }`, `discardUnpushed`, `restore({ at })` | `force`, `discard_unpushed`: an argument, or a field of the options; `restore_at(..)` |
//! | an array for `?`, an object for `:name`, null | [`params!`], [`named_params!`], `None::<i64>` |
//!
//! ```
//! use tidelock::{ErrorCode, OpenOptions, Storage};
//!
//! # futures_executor::block_on(async {
//! let db = tidelock::open(OpenOptions::new("shop").storage(Storage::Memory)).await?;
//! db.exec("CREATE TABLE users(email UNIQUE); INSERT INTO users VALUES ('a@b.c')").await?;
//! match db.run("INSERT INTO users VALUES ('a@b.c')", ()).await {
//!     Err(error) if error.code == ErrorCode::SqliteConstraint => println!("known already"),
//!     other => drop(other?),
//! }
//! # Ok::<_, tidelock::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `sync` | sync with PostgREST; in native programs with an HTTP client for it: ureq with rustls |
//! | `realtime` | `sync`, and in native programs the WebSockets of `RemoteOptions::realtime`: tungstenite with the same rustls |
//! | `opfs` | in browsers: [`Storage::Opfs`], in a dedicated worker |
//! | `npm` | the classes of the npm package's wasm, which Rust programs don't need. It promises nothing |
//! | `internals` | makes the modules of the engine public, for tidelock's own tests and its npm package. It promises nothing |
//! | `testing` | simulated platforms for tidelock's own tests. It promises nothing, either |
//!
//! Natively SQLite is compiled with what `LIBSQLITE3_FLAGS` says when the program is built. Put this into the `.cargo/config.toml` of
//! your program to have the same SQLite as in the npm package: mathematical functions, and live queries that look at the
//! changed rows of a commit instead of its tables only.
//!
//! ```toml
//! [env]
//! LIBSQLITE3_FLAGS = "SQLITE_ENABLE_PREUPDATE_HOOK SQLITE_ENABLE_MATH_FUNCTIONS"
//! ```
//!
//! # What only the npm package has
//!
//! - Workers that `open` starts, OPFS from the page's thread, `tabs: 'shared'`, SQL functions in a page.
//! - Windows and differences of live queries (`limit`, `changes`, `initial: 'last'`): a stream has whole results.
//! - `columnKey` with `encrypt` and `decrypt`, `moveStorage`, `cron` and targets of snapshots, and compressed or encrypted
//!   exports.

// Without the feature `internals`, what only tests and the npm package use is dead.
#![cfg_attr(not(feature = "internals"), allow(dead_code, unused_imports))]

// The modules are layers, and dependencies point down only. `tests/native/layers.rs` checks that, and
// `tests/native/rooms.rs` checks the order inside of modules:
//
// | layer | modules | what |
// |---|---|---|
// | L0 | `error`, `value`, `time`, `collections`, `memory`, `panics` | shared types |
// | L1 | `sqlite` | connection, statements, row codec, page-tracking VFS; the only `unsafe` |
// | L2 | `ports` | the platform services that the concepts need, as small traits |
// | L2 | `format` | the stored records and their bytes |
// | L2 | `store`, `migrate`, `schema`, `snapshot`, `lock`, `sync`, `live`, `health`, `audit`, `maintain`, `tabs` | a folder per concept |
// | | `engine` | joins the concepts into a database |
// | L3 | `browser` (wasm only), `native` (all others) | one thin file per capability of the platform |
// | L4 | `wasm` (wasm only, feature `npm`) | the wasm-bindgen classes: convert, decide nothing |
// | L4 | `api` | what Rust programs use: converts, decides nothing |

#[cfg(not(feature = "internals"))]
mod collections;
#[cfg(feature = "internals")]
pub mod collections;
#[cfg(not(feature = "internals"))]
mod error;
#[cfg(feature = "internals")]
pub mod error;
#[cfg(not(feature = "internals"))]
mod memory;
#[cfg(feature = "internals")]
pub mod memory;
#[cfg(not(feature = "internals"))]
mod panics;
#[cfg(feature = "internals")]
pub mod panics;
#[cfg(not(feature = "internals"))]
mod time;
#[cfg(feature = "internals")]
pub mod time;
#[cfg(not(feature = "internals"))]
mod value;
#[cfg(feature = "internals")]
pub mod value;

#[cfg(not(feature = "internals"))]
mod sqlite;
#[cfg(feature = "internals")]
pub mod sqlite;

#[cfg(not(feature = "internals"))]
mod ports;
#[cfg(feature = "internals")]
pub mod ports;

#[cfg(not(feature = "internals"))]
mod format;
#[cfg(feature = "internals")]
pub mod format;

#[cfg(not(feature = "internals"))]
mod audit;
#[cfg(feature = "internals")]
pub mod audit;
#[cfg(not(feature = "internals"))]
mod health;
#[cfg(feature = "internals")]
pub mod health;
#[cfg(not(feature = "internals"))]
mod live;
#[cfg(feature = "internals")]
pub mod live;
#[cfg(not(feature = "internals"))]
mod lock;
#[cfg(feature = "internals")]
pub mod lock;
#[cfg(not(feature = "internals"))]
mod maintain;
#[cfg(feature = "internals")]
pub mod maintain;
#[cfg(not(feature = "internals"))]
mod migrate;
#[cfg(feature = "internals")]
pub mod migrate;
#[cfg(not(feature = "internals"))]
mod schema;
#[cfg(feature = "internals")]
pub mod schema;
#[cfg(not(feature = "internals"))]
mod snapshot;
#[cfg(feature = "internals")]
pub mod snapshot;
#[cfg(not(feature = "internals"))]
mod store;
#[cfg(feature = "internals")]
pub mod store;
#[cfg(not(feature = "internals"))]
mod sync;
#[cfg(feature = "internals")]
pub mod sync;
#[cfg(not(feature = "internals"))]
mod tabs;
#[cfg(feature = "internals")]
pub mod tabs;

#[cfg(not(feature = "internals"))]
mod engine;
#[cfg(feature = "internals")]
pub mod engine;

#[cfg(all(target_arch = "wasm32", not(feature = "internals")))]
mod browser;
#[cfg(all(target_arch = "wasm32", feature = "internals"))]
pub mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

mod api;
#[cfg(all(target_arch = "wasm32", feature = "npm"))]
pub mod wasm;

pub use error::{Error, ErrorCode, Result};
pub use time::Timestamp;
pub use value::Value;

#[cfg(not(target_arch = "wasm32"))]
pub use crate::api::SqlFunction;
pub use crate::{
    api::{
        AuditOptions, ColumnIndex, Database, DatabaseInfo, Encryption, Event, Events, Group, GroupHealth,
        GroupMemberState, GroupMigrations, ImportOptions, LiveQuery, LockOptions, ManualTransaction, Migration,
        Migrations, OpenOptions, Params, Row, RowIterator, RunResult, SnapshotOptions, Snapshots, Statement,
        ThreadSafe, Transaction, TransactionMode, databases, delete_database, migrations_from, open, open_group,
        recover,
    },
    engine::{
        ChangeEvent, CloseReason, DurabilityMode as Durability, EngineCloseEvent as CloseEvent,
        FlushEvent as HealthEvent, LockChange, LockEvent, StorageKind as Storage, StoredDatabase,
        migrations::{
            host::MigrationEvent,
            options::{Atomic, RunOptions},
        },
        storage::snapshots::{SnapshotEvent, history::SnapshotHistory},
    },
    error::{Detail, Details, ErrorParts, Warning, WarningCode},
    health::{
        Alert, AlertCode, AlertSeverity, Health, HealthStatus, LockHealth, LockState, MigrationsHealth, QueriesHealth,
        SlowQuery, SnapshotHealth, StorageHealth, SyncHealth, Thresholds as HealthThresholds,
    },
    lock::OnBusy,
    maintain::{ExpiredRows, MaintenanceFailure, MaintenanceReport, MaintenanceStep},
    migrate::{
        LintCode, LintFinding, MigrationDirection, MigrationReport, MigrationResult, MigrationState, MigrationStatus,
        OutOfOrder, PlannedMigration,
    },
    schema::{Drift, DriftEntry, GeneratedMigration, script::SchemaScript},
    snapshot::{Reason as SnapshotReason, SnapshotInfo, Verification, VerifyMode},
    sqlite::{CacheUsage, FkViolation, PlanRow},
    store::{HistoryPoint, LogRange, PointInTime, RecoveryReport},
};
#[cfg(feature = "sync")]
pub use crate::{
    api::{PullOptions, RemoteOptions, RunReport, Sync, TableSync},
    engine::{Mode, sync::host::SyncEvent},
    sync::{
        config::options::{ConflictPolicy, SyncDirection},
        outbox::change::{Change as OutboxEntry, ChangeOp, ChangeReason},
        report::{
            Cells, Conflict, ConflictEntry, PullMode, PullProgress, PullReport, PushReport,
            TablePushed as TablePushReport, TableReport as TablePullReport,
        },
        status::{SyncPhase, TableStatus as SyncStatus},
        values::types::WireKind as RemoteType,
    },
};
pub use tidelock_macros::migrations;

/// The Rust code of README.md, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
