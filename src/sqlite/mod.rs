//! SQLite: connection, statements, row codec and the page-tracking file system. The only `unsafe` of the crate.
//!
//! From below:
//!
//! | room or file | what |
//! |---|---|
//! | `image`, `paged`, `lacking`, `contents` | the bytes of a database file: in memory, partly in memory, partly damaged, any of these |
//! | `pin`, `pages` | those bytes frozen; those bytes, and which of the pages are committed |
//! | `page_file`, `replacing` | that file as the store sees it: batches, touched chunks, pins; another content |
//! | `system`, `vfs` | that file as SQLite sees it |
//! | `failure` | SQLite's result codes as errors |
//! | `sql` | SQL text, as far as it is read here |
//! | `functions` | the users' SQL functions |
//! | `tracking` | what statements read and change, for live queries |
//! | `connection`, `statement`, `codec` | a connection, its statements, and their rows as JavaScript reads them |
//! | `tables` | the properties of tables |
//! | `database` | whole databases: copies, external files, SQL text, what is left of damaged ones |

mod codec;
mod connection;
mod contents;
mod database;
mod failure;
pub mod functions;
mod image;
mod lacking;
mod page_file;
mod paged;
mod pages;
mod pin;
mod replacing;
mod sql;
mod statement;
mod system;
mod tables;
mod tracking;
mod vfs;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

#[cfg(all(target_arch = "wasm32", feature = "npm"))]
pub(crate) use codec::Param;
pub use codec::{FlatParams, FlatRows, Integers, MAX_SAFE_INTEGER, tag};
pub use connection::Connection;
pub use connection::authority::{Authority, FIXED_PRAGMAS, StatementEffects};
pub use connection::deadline::{Deadline, check_ms};
pub use connection::triggers::CAPTURE_SUSPENDED;
pub use contents::FileContents;
pub use database::copy::FkViolation;
pub use database::dump::{Sink, plain_or_quoted};
pub use database::external_file::ExternalFile;
pub use database::salvage::{Salvaged, TimeLeft, salvage};
pub use failure::{needs_functions, needs_more};
pub use image::{CHUNK_SIZE, Image};
pub use lacking::lacking;
pub use page_file::{Batch, BatchPages, PageFile};
pub use paged::{CacheUsage, PagedBytes, StoredPages, paged};
pub use pin::Pin;
pub use sql::script::{ScriptOutline, TransactionMode};
pub use sql::text::{first_statement, is_reserved, line_of, literal, mentions, quote, statement_end, statements};
pub use sql::tokens::{Token, TokenKind, default_value, normal, tokens};
pub use statement::execute::{Op, Outcome};
pub use statement::explain::PlanRow;
pub use statement::{Statement, Step};
pub(crate) use tables::ROWID_NAMES;
pub use tables::{ColumnInfo, ForeignKey, TableInfo, TableKind};
pub use tracking::query_reads::{QueryReads, TableReads};
pub use tracking::row_changes::{RecordedTable, RowChange, RowChanges};
