//! SQLite: connection, statements, row codec and the page-tracking file system. The only `unsafe` of the crate.
//!
//! From below: `pages` holds the bytes of a file (`paged` those of one that is larger than memory), `vfs` presents them to SQLite,
//! `page_file` to the store, as `contents`, an `image`, a batch or a pin. A `connection` (`opening`, with its `pragmas`) consults its `authority`, and compiles statements
//! (`prepared`, stored in a `cache`; `queries`). On top of that: `statement` for the engine's own code, `execute` with the flat `codec`
//! and `bind` for JavaScript, `script` for texts of several statements, `tokens` for comparing texts, and `copy`, `explain` and
//! `deadline`. `query_analysis`, `query_reads` and `row_changes` are for live queries: what a query reads, and which rows a transaction changes. External files come in through `external_file`, and databases go out as text through `dump`; `scratch` runs text from outside. `functions` are the users' SQL functions.

mod authority;
mod bind;
mod cache;
mod codec;
mod connection;
mod contents;
mod copy;
mod deadline;
mod dump;
mod execute;
mod explain;
mod external_file;
mod failure;
pub mod functions;
mod image;
mod mem;
mod modules;
mod opening;
mod page_file;
mod paged;
mod pages;
mod pragmas;
mod prepared;
mod queries;
mod query_analysis;
mod query_reads;
mod row_changes;
mod scratch;
mod script;
mod shapes;
mod statement;
mod system;
mod table_expressions;
mod tables;
mod text;
mod tokens;
mod triggers;
mod vfs;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

pub use authority::{Authority, FIXED_PRAGMAS, StatementEffects};
#[cfg(target_arch = "wasm32")]
pub(crate) use codec::Param;
pub use codec::{FlatParams, FlatRows, Integers, MAX_SAFE_INTEGER, tag};
pub use connection::Connection;
pub use contents::FileContents;
pub use copy::FkViolation;
pub use deadline::Deadline;
pub use dump::{Sink, plain_or_quoted};
pub use execute::{Op, Outcome};
pub use explain::PlanRow;
pub use external_file::ExternalFile;
pub use failure::needs_more;
pub use image::{CHUNK_SIZE, Image};
pub use page_file::{Batch, PageFile, Pin};
pub use paged::{CacheUsage, PagedBytes, StoredPages, paged};
pub use query_reads::{QueryReads, TableReads};
pub use row_changes::{RecordedTable, RowChange, RowChanges};
pub use script::{ScriptOutline, TransactionMode};
pub use statement::{Statement, Step};
pub(crate) use tables::ROWID_NAMES;
pub use tables::{ColumnInfo, ForeignKey, TableInfo, TableKind};
pub use text::{first_statement, is_reserved, line_of, literal, mentions, quote, statement_end, statements};
pub use tokens::{Token, TokenKind, default_value, normal, tokens};
pub use triggers::CAPTURE_SUSPENDED;
