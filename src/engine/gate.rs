//! One at a time, in the order of asking.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use futures_channel::oneshot;

/// Lets one task in at a time. Cheap to clone: a handle.
#[derive(Clone, Default)]
pub struct Gate(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    taken: bool,
    line: VecDeque<oneshot::Sender<Pass>>,
}

/// The right to be inside; dropping it lets the next one in.
pub struct Pass(Rc<RefCell<State>>);

impl Gate {
    /// Waits until it is this caller's turn. Dropping the future leaves the line.
    pub async fn enter(&self) -> Pass {
        let waiting = {
            let mut state = self.0.borrow_mut();
            if !state.taken {
                state.taken = true;
                return Pass(self.0.clone());
            }
            let (sender, receiver) = oneshot::channel();
            state.line.push_back(sender);
            receiver
        };
        // The sender goes only with the gate, which this handle keeps.
        waiting.await.expect("the gate outlives its line")
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let next = self.0.borrow_mut().line.pop_front();
        match next {
            // A pass whose asker has left comes back, is dropped here, and so lets the next one in.
            Some(next) => drop(next.send(Pass(self.0.clone()))),
            None => self.0.borrow_mut().taken = false,
        }
    }
}
