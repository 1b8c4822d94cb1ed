//! Lifecycle events of the page, or the worker, that a database lives in.

use std::{any::Any, rc::Rc};

/// A lifecycle event of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleEvent {
    /// The page is visible, or runs again.
    Shown,
    /// The page is hidden: its timers slow down, and it may end without further events.
    Hidden,
    /// The page is leaving or being frozen: a request not yet issued may never be.
    Leaving,
    /// The network is back.
    Online,
    /// The network was lost.
    Offline,
}

/// Reports the page's lifecycle.
pub trait Lifecycle {
    /// Returns whether the page is visible now. Always `false` in a worker, which gets no event before it ends.
    fn visible(&self) -> bool;

    /// Calls `on_event` at each event, until the returned value is dropped.
    fn watch(&self, on_event: Rc<dyn Fn(LifecycleEvent)>) -> Box<dyn Any>;
}
