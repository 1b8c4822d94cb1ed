//! Whether a call is made by the function of a transaction, for whose end it would wait.

use std::cell::Cell;

thread_local! {
    /// The engine whose transaction's function is being polled on this thread; 0: none.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Returns whether the function of a transaction of this engine is being polled on this thread.
pub(super) fn is_inside(engine: usize) -> bool {
    INSIDE.with(|inside| inside.get() == engine)
}

/// Polls the function of a transaction of this engine.
pub(super) fn inside<T>(engine: usize, poll: impl FnOnce() -> T) -> T {
    /// Restores the engine around this one, also after a panic.
    struct Around(usize);
    impl Drop for Around {
        fn drop(&mut self) {
            INSIDE.with(|inside| inside.set(self.0));
        }
    }
    let _around = Around(INSIDE.with(|inside| inside.replace(engine)));
    poll()
}
