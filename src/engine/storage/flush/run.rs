//! The loop of a flusher: stores batches, and retries failed ones after a delay.

use std::{future::ready, pin::pin};

use futures_channel::oneshot;
use futures_util::future::select;

use super::{FlushPolicy, FlusherInner, FlusherState, Frozen, IssuedBatch};
use crate::{
    engine::connection::mutex::closed,
    error::{Error, ErrorCode, Result},
    memory::{reserved, room_for_pieces},
    ports::Durability,
    store::PART_BYTES,
    time::Backoff,
};

/// The delay of [`FlushPolicy::Delayed`] in milliseconds. The storage has the rest of the promised 50 ms.
const DELAY_MS: u64 = 20;
/// The delays between retries.
const BACKOFF: Backoff = Backoff { first_ms: 100, longest_ms: 3_000 };

type FreezeRequests = Vec<oneshot::Sender<Result<Frozen>>>;

impl FlusherInner {
    /// Flushes until everything is stored.
    pub(super) async fn run(&self) {
        while self.is_active() {
            self.delay().await;
            let issued = self.state.borrow_mut().issued.take();
            let mut freeze_requests = FreezeRequests::new();
            let mut frozen = None;
            let IssuedBatch { commits, pages, stored } = match issued {
                Some(issued) => issued,
                None => {
                    // No await in between: the batch, the frozen contents and the number of commits must correspond.
                    let mut state = self.state.borrow_mut();
                    let issued = self.issue(&mut state, PART_BYTES);
                    freeze_requests = std::mem::take(&mut state.freeze_requests);
                    drop(state);
                    frozen = (!freeze_requests.is_empty()).then(|| self.freeze());
                    issued
                }
            };
            self.state.borrow_mut().appending = true;
            self.wake.clear_notification();
            let flushed = stored.await;
            self.state.borrow_mut().appending = false;
            match flushed {
                Ok(()) => {
                    self.succeeded(commits);
                    self.deliver_frozen(frozen, freeze_requests);
                    if let (Some(hook), true) = (self.on_stored.borrow().clone(), pages.is_some()) {
                        hook();
                    }
                    if self.is_done() {
                        return;
                    }
                }
                Err(error) => {
                    if let Some(pages) = &pages {
                        self.file.give_back(pages);
                    }
                    if let Some(frozen) = frozen {
                        self.file.touch(&frozen.touched);
                    }
                    fail_all(freeze_requests, &error);
                    if !self.make_room(&error).await && !self.failed(error).await {
                        break;
                    }
                }
            }
        }
        self.finish();
    }

    /// Returns whether everything is stored, and then marks the loop as ended.
    fn is_done(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let left = match self.policy {
            FlushPolicy::OnRequest => !state.waiters.is_empty(),
            _ => self.file.has_ready(),
        };
        let done = !left && state.issued.is_none() && state.freeze_requests.is_empty();
        if done {
            state.running = false;
            self.ended.notify();
        }
        done
    }

    /// Waits for more commits, if the policy allows a delay and no caller waits.
    async fn delay(&self) {
        let waits = {
            let state = self.state.borrow();
            self.policy == FlushPolicy::Delayed
                && !self.prompt.get()
                && state.issued.is_none()
                && state.waiters.is_empty()
                && state.freeze_requests.is_empty()
        };
        if waits {
            self.pause(DELAY_MS).await;
        }
    }

    /// Waits `ms` milliseconds, or until [`wake`](super::Flusher::wake) is called.
    async fn pause(&self, ms: u64) {
        select(self.platform.clock.sleep(ms), pin!(self.wake.notified())).await;
    }

    fn deliver_frozen(&self, frozen: Option<Frozen>, freeze_requests: FreezeRequests) {
        let Some(mut frozen) = frozen else { return };
        frozen.at = self.storage.position();
        let mut freeze_requests = freeze_requests.into_iter();
        let refused = match freeze_requests.next().map(|sender| sender.send(Ok(frozen))) {
            Some(Err(Ok(frozen))) => Some(frozen),
            _ => None,
        };
        if let Some(frozen) = refused {
            self.file.touch(&frozen.touched);
        }
        // One request gets this state; the others get one of the next batch.
        self.state.borrow_mut().freeze_requests.extend(freeze_requests);
    }

    fn succeeded(&self, commits: u64) {
        let mut state = self.state.borrow_mut();
        state.stored = commits;
        state.failures = 0;
        let recovered = state.last_error.take().is_some() && state.lost.is_none();
        let waiting = std::mem::take(&mut state.waiters);
        let (done, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(target, _)| *target <= commits);
        state.waiters = waiting;
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
        let Some(free_space) = self.free_space.borrow().clone().filter(|_| error.is(ErrorCode::StorageQuotaExceeded))
        else {
            return false;
        };
        let freeze_requests = {
            let mut state = self.state.borrow_mut();
            state.freeing_space = Some(error.clone());
            std::mem::take(&mut state.freeze_requests)
        };
        fail_all(freeze_requests, error);
        let freed = free_space().await;
        self.state.borrow_mut().freeing_space = None;
        freed
    }

    /// Sends the error to waiting callers, and waits before the next try. Returns `false` if no further try is
    /// possible.
    async fn failed(&self, error: Error) -> bool {
        if error.is(ErrorCode::LockLost) || error.is(ErrorCode::Closed) {
            self.lose(error);
            return false;
        }
        let (lost, failures) = {
            let mut state = self.state.borrow_mut();
            state.failures += 1;
            state.last_error = Some(error.clone().detail("time", self.platform.clock.now().to_string()));
            (state.lost.clone(), state.failures)
        };
        if let Some(lost) = lost {
            // The files went to the new holder while the batch was on its way: whether they have it is unknown.
            self.fail_tried(&lost);
            return false;
        }
        self.fail_tried(&error.clone().detail("applied", true));
        if failures == 1 {
            self.report_health(Some(&error));
        }
        self.pause(BACKOFF.ms(failures)).await;
        true
    }

    /// Sends an error to the callers that wait for the last batch.
    fn fail_tried(&self, error: &Error) {
        let mut state = self.state.borrow_mut();
        let tried = state.tried.min(state.waiters.len());
        let waiting: Vec<_> = state.waiters.drain(..tried).collect();
        drop(state);
        fail_all(waiting.into_iter().map(|(_, sender)| sender), error);
    }

    /// Handles the loss of the lock: nothing is stored from now on.
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
            self.finish();
        }
        if self.stopped.get() {
            return;
        }
        self.report_health(Some(&error));
        let hook = self.on_lost.borrow().clone();
        if let Some(hook) = hook {
            hook(&error);
        }
    }

    fn report_health(&self, error: Option<&Error>) {
        let hook = self.on_failure.borrow().clone();
        if let Some(hook) = hook {
            hook(error);
        }
    }

    fn is_active(&self) -> bool {
        self.check_active(&self.state.borrow()).is_ok()
    }

    /// Ends the loop. Waiting callers get the error.
    pub(super) fn finish(&self) {
        let mut state = self.state.borrow_mut();
        let error = state.lost.clone().unwrap_or_else(closed);
        state.running = false;
        self.ended.notify();
        let (waiting, freeze_requests) =
            (std::mem::take(&mut state.waiters), std::mem::take(&mut state.freeze_requests));
        drop(state);
        fail_all(waiting.into_iter().map(|(_, sender)| sender), &error.clone().detail("applied", false));
        fail_all(freeze_requests, &error);
    }

    /// Issues the storage transaction of all commits so far.
    pub(super) fn issue(&self, state: &mut FlusherState, part_bytes: usize) -> IssuedBatch {
        state.oldest_unsent_ms = None;
        let durability = match self.policy {
            FlushPolicy::Immediate(durability) => durability,
            _ => Durability::Relaxed,
        };
        state.tried = state.waiters.len();
        let commits = self.file.commits();
        // Memory for the batch in its parts, and for two parts as records, which a journal writes at once.
        let (bytes, part) = (self.file.ready_bytes(), part_bytes as u64 + 1024);
        let taken = reserved(2 * bytes.min(part)).and_then(|records| {
            room_for_pieces(bytes, part)?;
            drop(records);
            self.file.take_ready(part_bytes)
        });
        match taken {
            Ok(Some(batch)) => {
                let pages = Some(batch.pages.clone());
                IssuedBatch { commits, pages, stored: self.storage.append(batch, durability) }
            }
            taken => IssuedBatch { commits, pages: None, stored: Box::pin(ready(taken.map(drop))) },
        }
    }

    pub(super) fn freeze(&self) -> Frozen {
        Frozen {
            pin: self.file.pin(),
            touched: self.file.take_touched(),
            at: self.storage.position(),
            commits: self.file.commits(),
        }
    }
}

/// Sends an error to all waiting callers.
fn fail_all<T>(waiting: impl IntoIterator<Item = oneshot::Sender<Result<T>>>, error: &Error) {
    for sender in waiting {
        let _ = sender.send(Err(error.clone()));
    }
}
