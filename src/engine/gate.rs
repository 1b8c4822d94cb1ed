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

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::Gate;
    use crate::ports::sim::Sim;

    #[test]
    fn one_at_a_time_and_whoever_leaves_the_line_holds_nobody_up() {
        let mut sim = Sim::new(1);
        let (gate, inside, platform) = (Gate::default(), Rc::new(RefCell::new(Vec::new())), sim.platform());
        let first = gate.clone();
        let pass = sim.run(async move { first.enter().await });
        for number in 0..3 {
            let (gate, inside, clock) = (gate.clone(), inside.clone(), platform.clock.clone());
            platform.spawner.spawn(Box::pin(async move {
                let enter = Box::pin(gate.enter());
                // The second one doesn't wait that long.
                if number == 1 {
                    drop(futures_util::future::select(enter, clock.sleep(5)).await);
                    return;
                }
                let _pass = enter.await;
                inside.borrow_mut().push((number, "in"));
                clock.sleep(10).await;
                inside.borrow_mut().push((number, "out"));
            }));
        }
        sim.advance(50);
        assert!(inside.borrow().is_empty());
        drop(pass);
        sim.advance(50);
        assert_eq!(*inside.borrow(), [(0, "in"), (0, "out"), (2, "in"), (2, "out")]);
    }
}
