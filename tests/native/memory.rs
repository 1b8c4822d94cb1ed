//! Failed allocations: typed errors, after which the database still works. (Those of SQLite are tested in the browser.)

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tidelock::{
    ErrorCode, Result,
    engine::{Call, Database, ImportOptions},
    memory::room_for,
    snapshot::Reason,
    sqlite::{FlatRows, Image, Op},
};

use crate::{
    files::{image, made_by},
    world::World,
};

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// An allocator that refuses allocations beyond the limit of the thread's test. Code that can't report a failed
/// allocation aborts the process.
pub struct Limited;

// SAFETY: forwards to the system allocator, except for the refusal, which returns null.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST.try_with(Cell::get).unwrap_or(usize::MAX) {
            return std::ptr::null_mut();
        }
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > LARGEST.try_with(Cell::get).unwrap_or(usize::MAX) {
            return std::ptr::null_mut();
        }
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Limits single allocations of this thread to `bytes` from now on.
pub fn allow(bytes: usize) {
    LARGEST.set(bytes);
}

fn execute(database: &Database, permit: u32, sql: &str) -> Result<FlatRows> {
    let mut rows = FlatRows::default();
    let call = Call { op: Op::Query, sql, params: None, names: "", timeout_ms: 0.0 };
    database.execute(permit, &call, &mut rows).map(|_| rows)
}

async fn query(database: &Database, sql: &str) -> Result<FlatRows> {
    let guard = database.mutex().acquire().await.unwrap();
    execute(database, guard.permit(), sql)
}

#[test]
fn the_check_fails_where_the_allocation_would() {
    assert!(room_for(10_000_000).is_ok());
    allow(1_000_000);
    let error = room_for(10_000_000).unwrap_err();
    allow(usize::MAX);
    assert_eq!(error.code, ErrorCode::OutOfMemory);
    assert_eq!(room_for(u64::MAX).unwrap_err().code, ErrorCode::OutOfMemory);
}

#[test]
fn a_result_without_memory_is_an_error_and_rolls_back_its_writes() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        query(&database, "CREATE TABLE t(a)").await.unwrap();
        for sql in [
            "SELECT hex(zeroblob(1000000))",
            "SELECT zeroblob(2000000)",
            "SELECT CAST(x'ff' || zeroblob(2000000) AS TEXT)",
            "WITH n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 300000) SELECT x FROM n",
            "INSERT INTO t VALUES (zeroblob(2000000)) RETURNING a",
        ] {
            allow(1_000_000);
            let result = query(&database, sql).await;
            allow(usize::MAX);
            assert_eq!(result.unwrap_err().code, ErrorCode::OutOfMemory, "{sql}");
            assert_eq!(query(&database, "SELECT count(*) FROM t").await.unwrap().slots, [0.0_f64.to_bits()]);
        }
        assert_eq!(query(&database, "SELECT hex(zeroblob(1000000))").await.unwrap().text.len(), 2_000_000);
        database.close().await.unwrap();
    });
}

#[test]
fn a_commit_without_memory_for_the_log_is_stored_later() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        query(&database, "CREATE TABLE t(a)").await.unwrap();
        database.flush().await.unwrap();
        query(&database, "INSERT INTO t VALUES (zeroblob(3000000))").await.unwrap();
        allow(1_000_000);
        let error = database.flush().await.unwrap_err();
        allow(usize::MAX);
        assert_eq!(error.code, ErrorCode::OutOfMemory);
        assert_eq!(serde_json::to_value(&error.details).unwrap()["applied"], true);
        database.flush().await.unwrap();
        let taken = database.snapshots().create(None, Reason::Manual).await.unwrap();
        database.close().await.unwrap();

        // Opening the database again fails, too, until there is memory.
        allow(1_000_000);
        let error = tab.open("{}").await.err().unwrap();
        allow(usize::MAX);
        assert_eq!(error.code, ErrorCode::OutOfMemory);
        let database = tab.open("{}").await.unwrap();
        assert_eq!(query(&database, "SELECT length(a) FROM t").await.unwrap().slots, [3_000_000.0_f64.to_bits()]);
        // A snapshot takes little memory: what changed is stored in as many parts as are needed.
        query(&database, "INSERT INTO t VALUES (zeroblob(2000000))").await.unwrap();
        database.flush().await.unwrap();
        allow(100_000);
        let error = database.snapshots().create(None, Reason::Manual).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::OutOfMemory);
        allow(1_000_000);
        assert_eq!(database.restore(&taken.id, false).await.unwrap_err().code, ErrorCode::OutOfMemory);
        assert!(database.snapshots().create(None, Reason::Manual).await.unwrap().verified);
        allow(usize::MAX);
        database.restore(&taken.id, false).await.unwrap();
        database.close().await.unwrap();
    });
}

#[test]
fn a_file_without_memory_changes_nothing() {
    let file = made_by("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('file');");
    let sql = format!("CREATE TABLE t(a); -- {}", "x".repeat(2_000_000));
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        query(&database, "CREATE TABLE t(a TEXT)").await.unwrap();
        allow(50_000);
        let read = Image::read(200_000, |_, _| Ok(()));
        allow(usize::MAX);
        assert_eq!(read.unwrap_err().code, ErrorCode::OutOfMemory);
        let text = image(sql.as_bytes());
        allow(1_000_000);
        let imported = database.snapshot_import(text, None).await;
        let mut sink = |_: &[u8]| Ok(());
        let exported = database.export_sql(&mut sink).await;
        allow(usize::MAX);
        assert_eq!(imported.unwrap_err().code, ErrorCode::OutOfMemory);
        assert_eq!(exported.unwrap_err().code, ErrorCode::OutOfMemory);
        database.import(image(&file), ImportOptions::default()).await.unwrap();
        assert_eq!(query(&database, "SELECT a FROM t").await.unwrap().text, b"file");
        database.close().await.unwrap();
    });
}
