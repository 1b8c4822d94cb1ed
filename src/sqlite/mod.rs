//! SQLite: connection, statements, row codec and the page-tracking file system. The only `unsafe` of the crate.

mod authority;
mod bind;
mod codec;
mod connection;
mod copy;
mod deadline;
mod execute;
mod failure;
mod image;
mod page_file;
mod pages;
mod plan;
mod pragmas;
mod prepared;
mod script;
mod shapes;
mod statement;
mod text;
mod vfs;

#[cfg(test)]
mod tests;

pub use authority::{Authority, Facts};
pub use codec::{FlatParams, FlatRows, Integers, tag};
pub use connection::Connection;
pub use copy::FkViolation;
pub use execute::{Op, Outcome};
pub use image::{CHUNK_SIZE, Image};
pub use page_file::{Batch, PageFile, Pin};
pub use plan::PlanRow;
pub use script::ScriptOutline;
pub use statement::{Statement, Step};
