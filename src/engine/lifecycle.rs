//! Reacts to lifecycle events of the page: stores commits and takes a snapshot before the page may end.

use std::rc::Rc;

use super::database::{Inner, SyncTrigger};
use crate::ports::LifecycleEvent;

impl Inner {
    /// Subscribes to the page's lifecycle events until the database is closed.
    pub(super) fn watch_lifecycle(self: &Rc<Self>) {
        let lifecycle = self.ports.lifecycle.clone();
        self.flusher.set_prompt(!lifecycle.visible());
        let inner = Rc::downgrade(self);
        let watch = lifecycle.watch(Rc::new(move |event| {
            if let Some(inner) = inner.upgrade() {
                inner.handle_lifecycle_event(event);
            }
        }));
        self.lifecycle_subscription.replace(Some(watch));
    }

    fn handle_lifecycle_event(&self, event: LifecycleEvent) {
        self.notify_automatic_sync(SyncTrigger::Page(event));
        match event {
            LifecycleEvent::Online | LifecycleEvent::Offline => {}
            LifecycleEvent::Shown => {
                self.page_leaving.set(false);
                // A worker always flushes at once, since it gets no event before its end.
                self.flusher.set_prompt(!self.ports.lifecycle.visible());
            }
            LifecycleEvent::Hidden => {
                self.flusher.flush_now();
                self.flusher.set_prompt(true);
                // `Leaving` comes before the last `Hidden`: then there is no time left for a snapshot.
                if !self.page_leaving.get() {
                    self.snapshots.page_hidden();
                }
            }
            LifecycleEvent::Leaving => {
                self.page_leaving.set(true);
                self.flusher.flush_now();
            }
        }
    }
}
