//! The loop of a flusher: batch after batch, what failed again after a while.

use std::pin::pin;

use futures_channel::oneshot;
use futures_util::future::select;

use super::{FlusherInner, Frozen, Issued, Pace, refuse};
use crate::{
    error::{Error, ErrorCode, Result},
    store::PART_BYTES,
    time::Backoff,
};

/// How long [`Pace::Soon`] gathers commits: of the 50 ms that are promised, the storage may take the rest.
const SOON_MS: u64 = 20;
/// Between retries.
const BACKOFF: Backoff = Backoff { first_ms: 100, longest_ms: 3_000 };

type Freezing = Vec<oneshot::Sender<Result<Frozen>>>;

impl FlusherInner {
    /// Flushes until nothing is left to do.
    pub(super) async fn run(&self) {
        while self.is_alive() {
            self.gather().await;
            let issued = self.state.borrow_mut().issued.take();
            let mut freezing = Freezing::new();
            let mut frozen = None;
            let Issued { commits, batch, stored } = match issued {
                Some(issued) => issued,
                None => {
                    // All at one point in time: the batch, the frozen contents, and how many commits these are.
                    let mut state = self.state.borrow_mut();
                    let issued = self.issue(&mut state, PART_BYTES);
                    freezing = std::mem::take(&mut state.freezing);
                    drop(state);
                    frozen = (!freezing.is_empty()).then(|| self.freeze());
                    issued
                }
            };
            self.state.borrow_mut().appending = true;
            self.hurry.clear_notification();
            let flushed = stored.await;
            self.state.borrow_mut().appending = false;
            match flushed {
                Ok(()) => {
                    self.succeeded(commits);
                    self.hand_over(frozen, freezing);
                    if let (Some(hook), true) = (self.on_stored.borrow().clone(), batch.is_some()) {
                        hook();
                    }
                    if self.is_done() {
                        return;
                    }
                }
                Err(error) => {
                    if let Some(batch) = &batch {
                        self.file.give_back(batch);
                    }
                    if let Some(frozen) = frozen {
                        self.file.touch(&frozen.touched);
                    }
                    refuse(freezing, &error);
                    if !self.make_room(&error).await && !self.failed(error).await {
                        break;
                    }
                }
            }
        }
        self.end();
    }

    /// Whether nothing is left to do; then the loop counts as ended.
    fn is_done(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let left = match self.pace {
            Pace::WhenAsked => !state.waiting.is_empty(),
            _ => self.file.has_ready(),
        };
        let done = !left && state.issued.is_none() && state.freezing.is_empty();
        if done {
            state.running = false;
        }
        done
    }

    /// Lets commits come together where the pace has time for it and no caller waits.
    async fn gather(&self) {
        let waits = {
            let state = self.state.borrow();
            self.pace == Pace::Soon
                && !self.prompt.get()
                && state.issued.is_none()
                && state.waiting.is_empty()
                && state.freezing.is_empty()
        };
        if waits {
            self.pause(SOON_MS).await;
        }
    }

    /// Waits that long, or until a caller needs it at once.
    async fn pause(&self, ms: u64) {
        select(self.platform.clock.sleep(ms), pin!(self.hurry.notified())).await;
    }

    fn hand_over(&self, frozen: Option<Frozen>, freezing: Freezing) {
        let Some(mut frozen) = frozen else { return };
        frozen.at = self.storage.position();
        let mut freezing = freezing.into_iter();
        let refused = match freezing.next().map(|sender| sender.send(Ok(frozen))) {
            Some(Err(Ok(frozen))) => Some(frozen),
            _ => None,
        };
        if let Some(frozen) = refused {
            self.file.touch(&frozen.touched);
        }
        // One place, one taker: the others freeze the next.
        self.state.borrow_mut().freezing.extend(freezing);
    }

    fn succeeded(&self, commits: u64) {
        let mut state = self.state.borrow_mut();
        state.stored = commits;
        state.failures = 0;
        let recovered = state.last_error.take().is_some();
        let waiting = std::mem::take(&mut state.waiting);
        let (done, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(target, _)| *target <= commits);
        state.waiting = waiting;
        drop(state);
        for (_, sender) in done {
            let _ = sender.send(Ok(()));
        }
        if recovered {
            self.report_health(None);
        }
    }

    /// Frees space on a full storage. Returns `false` for other errors, or if nothing is left to delete.
    async fn make_room(&self, error: &Error) -> bool {
        let Some(relief) = self.relief.borrow().clone().filter(|_| error.is(ErrorCode::StorageQuotaExceeded)) else {
            return false;
        };
        let freezing = {
            let mut state = self.state.borrow_mut();
            state.relieving = Some(error.clone());
            std::mem::take(&mut state.freezing)
        };
        refuse(freezing, error);
        let freed = relief().await;
        self.state.borrow_mut().relieving = None;
        freed
    }

    /// Informs the waiting callers, and waits before the next try; `false` when there is none.
    async fn failed(&self, error: Error) -> bool {
        if error.is(ErrorCode::LockLost) || error.is(ErrorCode::Closed) {
            self.lose(error);
            return false;
        }
        let (waiting, failures) = {
            let mut state = self.state.borrow_mut();
            state.failures += 1;
            state.last_error = Some(error.clone().detail("time", self.platform.clock.now().to_string()));
            (std::mem::take(&mut state.waiting), state.failures)
        };
        refuse(waiting.into_iter().map(|(_, sender)| sender), &error.clone().detail("applied", true));
        if failures == 1 {
            self.report_health(Some(&error));
        }
        self.pause(BACKOFF.ms(failures)).await;
        true
    }

    /// Nothing is stored from now on.
    pub(super) fn lose(&self, error: Error) {
        let running = {
            let mut state = self.state.borrow_mut();
            if state.lost.is_some() {
                return;
            }
            state.lost = Some(error.clone());
            state.running
        };
        if !running {
            self.end();
        }
        if self.stopped.get() {
            return;
        }
        self.report_health(Some(&error));
        let hook = self.on_lost.borrow().clone();
        if let Some(hook) = hook {
            hook();
        }
    }

    fn report_health(&self, error: Option<&Error>) {
        let hook = self.on_failure.borrow().clone();
        if let Some(hook) = hook {
            hook(error);
        }
    }
}
