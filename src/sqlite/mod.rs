//! SQLite: connection, statements, row codec and the page-tracking file system. The only `unsafe` of the crate.

mod connection;
mod image;
mod page_file;

pub use connection::{Authority, Connection, Statement, Step};
pub use image::{CHUNK_SIZE, Image};
pub use page_file::{Batch, PageFile, Pin};
