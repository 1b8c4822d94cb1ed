//! A bound for what is done at once: first come, first served.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use futures_channel::oneshot;

/// So many may go on at once; the others wait in line.
#[derive(Clone, Debug)]
pub struct Permits(Rc<Line>);

#[derive(Debug)]
struct Line {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<Permit>>>,
}

/// The right to go on, until it is dropped.
#[derive(Debug)]
pub struct Permit(Option<Rc<Line>>);

impl Permits {
    /// So many at once.
    pub fn new(count: usize) -> Self {
        Self(Rc::new(Line { free: Cell::new(count), waiting: RefCell::default() }))
    }

    /// Waits for its turn. Dropping the future gives up the place in line.
    pub async fn take(&self) -> Permit {
        let line = &self.0;
        if line.free.get() > 0 {
            line.free.set(line.free.get() - 1);
            return Permit(Some(line.clone()));
        }
        let (give, given) = oneshot::channel();
        line.waiting.borrow_mut().push_back(give);
        // The line outlives those who wait in it, so somebody gives it.
        given.await.unwrap_or(Permit(None))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else { return };
        loop {
            let next = line.waiting.borrow_mut().pop_front();
            let Some(next) = next else { break };
            match next.send(Permit(Some(line.clone()))) {
                Ok(()) => return,
                // Whoever waited there has gone.
                Err(mut permit) => permit.0 = None,
            }
        }
        line.free.set(line.free.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_waits_longest_is_next_and_who_goes_leaves_no_gap() {
        let permits = Permits::new(1);
        let first = permits.take().now_or_never().unwrap();
        let mut gone = Box::pin(permits.take());
        let mut second = Box::pin(permits.take());
        let mut third = Box::pin(permits.take());
        assert!((&mut gone).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(gone);
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        let second = (&mut second).now_or_never().unwrap();
        // Given, and dropped before it was looked at.
        drop(second);
        drop(third);
        assert!(permits.take().now_or_never().is_some());
    }
}
