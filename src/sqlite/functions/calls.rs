//! The callbacks that SQLite calls for the users' functions and collations.

use std::{
    ffi::{c_int, c_uchar, c_void},
    rc::Rc,
};

use rusqlite::ffi;

use super::{
    arguments::{Arguments, text},
    user_functions::{CallPhase, FLAGS, FunctionDefinition, FunctionKind, Functions, GIVEN, fail, failed},
};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, failure},
    value::Value,
};

/// The state number of a failed aggregate, which is not called again.
const FAILED: u32 = u32::MAX;

/// Registers the users' functions and collations on a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
    GIVEN.with_borrow(|given| {
        let definitions = given.as_ref().map(|given| &*given.definitions).unwrap_or_default();
        for (index, (name, definition)) in definitions.iter().enumerate() {
            let FunctionDefinition { kind, deterministic, direct_only, .. } = *definition;
            let db = connection.raw();
            let (name, place) = (name.as_ptr(), std::ptr::without_provenance_mut::<c_void>(index));
            let mut flags = ffi::SQLITE_UTF8;
            if deterministic {
                flags |= ffi::SQLITE_DETERMINISTIC;
            }
            // Without one of these flags the schema can't call the function, since trusted_schema is off.
            flags |= if direct_only { ffi::SQLITE_DIRECTONLY } else { ffi::SQLITE_INNOCUOUS };
            // SAFETY: the connection is open and the name NUL-terminated. The context pointer is an index, which the callbacks never dereference.
            let code = unsafe {
                match kind {
                    FunctionKind::Scalar => {
                        ffi::sqlite3_create_function_v2(db, name, -1, flags, place, Some(scalar), None, None, None)
                    }
                    FunctionKind::Aggregate => ffi::sqlite3_create_function_v2(
                        db,
                        name,
                        -1,
                        flags,
                        place,
                        None,
                        Some(step),
                        Some(finish),
                        None,
                    ),
                    FunctionKind::Window => ffi::sqlite3_create_window_function(
                        db,
                        name,
                        -1,
                        flags,
                        place,
                        Some(step),
                        Some(finish),
                        Some(value),
                        Some(inverse),
                        None,
                    ),
                    FunctionKind::Collation => {
                        ffi::sqlite3_create_collation_v2(db, name, ffi::SQLITE_UTF8, place, Some(compare), None)
                    }
                }
            };
            if code != ffi::SQLITE_OK {
                return Err(failure::last(db, code));
            }
            if kind == FunctionKind::Collation {
                // SAFETY: the connection is open; the callback needs no context.
                unsafe { ffi::sqlite3_commit_hook(db, Some(may_commit), std::ptr::null_mut()) };
            }
        }
        Ok(())
    })
}

/// The called function, and its SQL name.
fn find(index: usize) -> Option<(Rc<dyn Functions>, String)> {
    GIVEN.with_borrow(|given| {
        let given = given.as_ref()?;
        let (_, definition) = given.definitions.get(index)?;
        Some((given.functions.clone(), definition.name.clone()))
    })
}

/// Runs a user's function, and keeps its error for the caller of the failed statement.
fn run<T>(index: usize, kind: &str, work: impl FnOnce(&dyn Functions) -> Result<T>) -> Option<T> {
    let (functions, name) = find(index)?;
    FLAGS.with(|flags| flags.running.set(true));
    let result = work(&*functions);
    FLAGS.with(|flags| flags.running.set(false));
    let cause = match result {
        Ok(value) => return Some(value),
        Err(cause) => cause,
    };
    if cause.is(ErrorCode::OutOfMemory) {
        // There was no room for its result.
        fail(cause.detail("function", name));
        return None;
    }
    let error = Error::new(ErrorCode::SqliteError, format!("The SQL {kind} {name} failed"))
        .detail("function", name)
        .detail("sqliteCode", "SQLITE_ERROR")
        .hint("The cause is the error that it threw")
        .cause(cause.message.clone());
    fail(error);
    None
}

/// Calls a function, and reports its result or failure to SQLite.
///
/// SAFETY: the context and arguments must be those of SQLite's running call.
unsafe fn call(
    context: *mut ffi::sqlite3_context,
    phase: CallPhase,
    state: u32,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) -> Option<Value> {
    // SAFETY: as the caller promises; without values the pointer may be null.
    let (index, arguments) = unsafe { (ffi::sqlite3_user_data(context).addr(), Arguments::of(count, values)) };
    let result = run(index, "function", |functions| functions.call(index, phase, state, &arguments));
    if result.is_none() {
        // SAFETY: the context is that of the call.
        unsafe { answer(context, None) };
    }
    result
}

/// Sets the result of a call; `None` makes the call fail.
///
/// SAFETY: the context must be the call's.
pub(super) unsafe fn answer(context: *mut ffi::sqlite3_context, value: Option<Value>) {
    let copied = ffi::SQLITE_TRANSIENT();
    // SAFETY: as the caller promises; SQLite copies texts, blobs and the message.
    unsafe {
        match value {
            None => ffi::sqlite3_result_error(context, c"an SQL function failed".as_ptr(), -1),
            Some(Value::Null) => ffi::sqlite3_result_null(context),
            Some(Value::Integer(value)) => ffi::sqlite3_result_int64(context, value),
            Some(Value::Real(value)) => ffi::sqlite3_result_double(context, value),
            Some(Value::Text(text)) => {
                let length = text.len() as u64;
                ffi::sqlite3_result_text64(context, text.as_ptr().cast(), length, copied, ffi::SQLITE_UTF8 as c_uchar);
            }
            Some(Value::Blob(bytes)) => {
                ffi::sqlite3_result_blob64(context, bytes.as_ptr().cast(), bytes.len() as u64, copied);
            }
        }
    }
}

unsafe extern "C" fn scalar(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite's call.
    unsafe { answer(context, call(context, CallPhase::Call, 0, count, values)) }
}

/// Returns the address of an aggregate's state number; null before the first row, unless it is to be allocated.
///
/// SAFETY: the context must be the call's.
unsafe fn state_of(context: *mut ffi::sqlite3_context, make: bool) -> *mut u32 {
    // SAFETY: as the caller promises. SQLite returns zeroed memory, aligned to 8.
    unsafe { ffi::sqlite3_aggregate_context(context, if make { size_of::<u32>() as c_int } else { 0 }).cast() }
}

unsafe extern "C" fn step(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite's call; the memory belongs to the group until it is finished.
    unsafe {
        let state = state_of(context, true);
        if state.is_null() {
            ffi::sqlite3_result_error_nomem(context);
        } else if *state != FAILED {
            *state = match call(context, CallPhase::Step, *state, count, values) {
                Some(Value::Integer(number)) => number as u32,
                _ => FAILED,
            };
        }
    }
}

unsafe extern "C" fn inverse(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: as for a step.
    unsafe {
        let state = state_of(context, false);
        if !state.is_null() && *state != FAILED && call(context, CallPhase::Inverse, *state, count, values).is_none() {
            *state = FAILED;
        }
    }
}

unsafe extern "C" fn value(context: *mut ffi::sqlite3_context) {
    // SAFETY: as for a step.
    unsafe { conclude(context, CallPhase::Value) }
}

unsafe extern "C" fn finish(context: *mut ffi::sqlite3_context) {
    // SAFETY: as for a step. SQLite also calls this to clean up after a failure.
    unsafe { conclude(context, CallPhase::Finish) }
}

/// SAFETY: the context must be the call's.
unsafe fn conclude(context: *mut ffi::sqlite3_context, phase: CallPhase) {
    // SAFETY: as the caller promises.
    unsafe {
        let state = state_of(context, false);
        let number = if state.is_null() { 0 } else { *state };
        if number != FAILED {
            answer(context, call(context, phase, number, 0, std::ptr::null_mut()));
        }
    }
}

unsafe extern "C" fn compare(
    place: *mut c_void,
    length: c_int,
    one: *const c_void,
    other_length: c_int,
    other: *const c_void,
) -> c_int {
    // A collation can't report an error to SQLite, which continues to sort; the next step of the statement checks for failures.
    if failed() {
        return 0;
    }
    // SAFETY: SQLite passes texts with their lengths, valid during the call.
    let (one, other) = unsafe { (text(one.cast(), length), text(other.cast(), other_length)) };
    let index = place.addr();
    let order = run(index, "collation", |functions| functions.compare(index, &one, &other));
    if order.is_none() {
        FLAGS.with(|flags| flags.misordered.set(true));
    }
    order.map_or(0, |order| order as c_int)
}

/// The commit hook: refuses a commit after a failed collation, since the statement may have written rows in the wrong order.
unsafe extern "C" fn may_commit(_: *mut c_void) -> c_int {
    c_int::from(failed())
}
