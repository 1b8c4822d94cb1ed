//! What befalls the page, or the worker, that a database lives in.

use std::{any::Any, rc::Rc};

/// A turn in a page's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It is visible, or runs again.
    Shown,
    /// It is hidden: its timers slow down, and it may end without another word.
    Hidden,
    /// It goes away or is frozen: what isn't on its way when this was heard may never go.
    Leaving,
    /// There is a network again.
    Online,
    /// There is no network.
    Offline,
}

/// Tells of the page's life.
pub trait Lifecycle {
    /// Whether the page is in sight now. A worker never is: nobody tells it when its end comes.
    fn visible(&self) -> bool;

    /// Calls `heard` in each such moment, until the answer is dropped.
    fn watch(&self, heard: Rc<dyn Fn(Moment)>) -> Box<dyn Any>;
}
