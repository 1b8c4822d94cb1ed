//! SQLite: connection, statements, row codec and the page-tracking file system. The only `unsafe` of the crate.

mod authority;
mod connection;
mod copy;
mod execute;
mod failure;
mod image;
mod page_file;
mod pages;
mod pragmas;
mod prepared;
mod script;
mod statement;
mod text;
mod vfs;

#[cfg(test)]
mod tests;

pub use authority::{Authority, Facts};
pub use connection::Connection;
pub use copy::FkViolation;
pub use image::{CHUNK_SIZE, Image};
pub use page_file::{Batch, PageFile, Pin};
pub use statement::{Statement, Step};
