//! The areas that both sides read and write.

use crate::{error::Error, sqlite::FlatRows};

/// The areas that both sides read and write. Their addresses go to JavaScript, which makes views over them.
#[derive(Default)]
pub(super) struct Buffers {
    /// The parameters, with room to begin at a multiple of 8.
    pub(super) params: Vec<u8>,
    /// Where in `params` they begin.
    pub(super) offset: usize,
    /// The last result.
    pub(super) rows: FlatRows,
    /// Where everything of the last result is; boxed, so that its address never changes.
    pub(super) header: Box<Header>,
    /// Why the last [`Core::again`](super::handle::Core::again) failed.
    pub(super) failure: Option<Error>,
}

/// Read by `pkg-js/src/engine/codec/rows.ts`; 72 bytes.
#[repr(C)]
#[derive(Default)]
pub(super) struct Header {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) shape: u32,
    pub(super) tags: u32,
    pub(super) slots: u32,
    pub(super) text: u32,
    pub(super) text_bytes: u32,
    pub(super) wide: u32,
    pub(super) wide_bytes: u32,
    pub(super) blobs: u32,
    pub(super) blob_bytes: u32,
    pub(super) flags: u32,
    /// The statement's number for [`Core::again`](super::handle::Core::again); 0: it has none.
    pub(super) statement: u32,
    pub(super) reserved: u32,
    pub(super) changes: f64,
    pub(super) last_insert_rowid: i64,
}
