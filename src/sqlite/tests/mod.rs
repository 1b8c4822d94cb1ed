//! Tests of the SQLite layer, one file per subject.

mod authority;
mod basics;
mod execute;
mod flat;
mod limits;
mod pages;
mod replacing;

use crate::sqlite::{Connection, PageFile};

/// Opens a new database.
fn fresh() -> (PageFile, Connection) {
    let file = PageFile::default();
    let connection = Connection::open(&file).unwrap();
    (file, connection)
}
