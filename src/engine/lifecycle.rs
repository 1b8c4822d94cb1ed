//! What a database does when its page is hidden or goes away.

use std::rc::Rc;

use super::database::{Inner, SyncTrigger};
use crate::ports::Moment;

impl Inner {
    /// Follows the page's life until the database is closed.
    pub(super) fn watch_page(self: &Rc<Self>) {
        let lifecycle = self.ports.lifecycle.clone();
        self.flusher.set_prompt(!lifecycle.visible());
        let inner = Rc::downgrade(self);
        let watch = lifecycle.watch(Rc::new(move |moment| {
            if let Some(inner) = inner.upgrade() {
                inner.page_is(moment);
            }
        }));
        self.watching_page.replace(Some(watch));
    }

    fn page_is(&self, moment: Moment) {
        self.notify_automatic_sync(SyncTrigger::Page(moment));
        match moment {
            Moment::Online | Moment::Offline => {}
            Moment::Shown => {
                self.leaving.set(false);
                // A worker stays prompt: it hears of its end too late.
                self.flusher.set_prompt(!self.ports.lifecycle.visible());
            }
            Moment::Hidden => {
                self.flusher.flush_now();
                self.flusher.set_prompt(true);
                // One that goes away is hidden last: there is no time left for a snapshot then.
                if !self.leaving.get() {
                    self.snapshots.page_hidden();
                }
            }
            Moment::Leaving => {
                self.leaving.set(true);
                self.flusher.flush_now();
            }
        }
    }
}
