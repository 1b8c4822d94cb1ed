//! What the functions of a program must be, so that the engine can call them.

/// `Send` and `Sync` where the engine has a thread of its own; nothing in a browser, where it runs beside the program.
#[cfg(not(target_arch = "wasm32"))]
pub trait ThreadSafe: Send + Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + Sync + ?Sized> ThreadSafe for T {}

/// `Send` and `Sync` where the engine has a thread of its own; nothing in a browser, where it runs beside the program.
#[cfg(target_arch = "wasm32")]
pub trait ThreadSafe {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> ThreadSafe for T {}
