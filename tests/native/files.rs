//! Database files created by plain SQLite, for imports.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use tidelock::sqlite::Image;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Creates a file with plain SQLite from a script, which may write to `sqlite_schema`. Returns the bytes.
pub fn made_by(script: &str) -> Vec<u8> {
    let path = scratch_path();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch(script).unwrap();
    // In WAL mode, closing the last connection writes the log into the file.
    drop(connection);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

/// Returns the rows of a query on a file, by plain SQLite, each as one text.
pub fn rows_of(bytes: &[u8], sql: &str) -> Vec<String> {
    let path = scratch_path();
    fs::write(&path, bytes).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let rows = connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>();
    drop(connection);
    fs::remove_file(path).unwrap();
    rows.unwrap()
}

/// Returns a unique file path.
pub fn scratch_path() -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("tidelock-native-{}-{number}.sqlite", std::process::id()))
}

/// Returns the bytes as an image.
pub fn image(bytes: &[u8]) -> Image {
    Image::from_bytes(bytes)
}
