//! The memory areas that Rust and JavaScript share.

use crate::{error::Error, sqlite::FlatRows};

/// The memory areas that Rust and JavaScript share. JavaScript gets their addresses and creates views of them.
#[derive(Default)]
pub(super) struct Buffers {
    /// The parameters, with room to begin at a multiple of 8.
    pub(super) params: Vec<u8>,
    /// The offset of the parameters in `params`.
    pub(super) offset: usize,
    /// The last result.
    pub(super) rows: FlatRows,
    /// The addresses of the last result; boxed, so that the address of the header never changes.
    pub(super) header: Box<Header>,
    /// The error of the last [`Core::again`](super::handle::Core::again) that failed.
    pub(super) failure: Option<Error>,
}

/// Read by `pkg-js/src/engine/codec/layout.ts`; 72 bytes.
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
    /// The statement's id for [`Core::again`](super::handle::Core::again); 0 if it isn't cached.
    pub(super) statement: u32,
    pub(super) reserved: u32,
    pub(super) changes: f64,
    pub(super) last_insert_rowid: i64,
}
