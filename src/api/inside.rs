//! Whether a call is made by the function of a transaction, for whose end it would wait.

use std::cell::RefCell;

use super::session::LevelId;

/// A function of the program that is being polled.
#[derive(Debug)]
struct Polled {
    engine: usize,
    /// The transaction that waits for its end; `None`: the database itself.
    waiting: Option<LevelId>,
}

thread_local! {
    /// The functions being polled on this thread, outermost first.
    static POLLED: RefCell<Vec<Polled>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether a function of this engine is being polled on this thread.
pub(super) fn is_inside(engine: usize) -> bool {
    POLLED.with_borrow(|polled| polled.iter().any(|function| function.engine == engine))
}

/// Returns whether a transaction of this engine waits for the end of a function that is being polled on this thread.
pub(super) fn is_waiting(engine: usize, level: LevelId) -> bool {
    POLLED.with_borrow(|polled| {
        polled.iter().any(|function| function.engine == engine && function.waiting == Some(level))
    })
}

/// Polls a function of this engine, for whose end a transaction, or the database, waits.
pub(super) fn inside<T>(engine: usize, waiting: Option<LevelId>, poll: impl FnOnce() -> T) -> T {
    /// Removes the function again, also after a panic.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            POLLED.with_borrow_mut(|polled| _ = polled.pop());
        }
    }
    POLLED.with_borrow_mut(|polled| polled.push(Polled { engine, waiting }));
    let _end = End;
    poll()
}
