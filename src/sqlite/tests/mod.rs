//! What the layer promises, one file a subject.

mod authority;
mod basics;
mod execute;
mod flat;
mod pages;

use super::{Connection, PageFile};

/// A new database.
fn fresh() -> (PageFile, Connection) {
    let file = PageFile::default();
    let connection = Connection::open(&file).unwrap();
    (file, connection)
}
