//! Column names by number: JavaScript asks for a list of names once, not with each result.

use std::rc::Rc;

use crate::collections::Map;

/// The lists of column names seen so far. Numbers count from 1 and are never used again.
#[derive(Default)]
pub(super) struct Shapes {
    lists: Vec<Rc<[String]>>,
    numbers: Map<Rc<[String]>, u32>,
}

impl Shapes {
    /// The number of a list.
    pub fn number(&mut self, names: Vec<String>) -> u32 {
        if let Some(number) = self.numbers.get(names.as_slice()) {
            return *number;
        }
        let names: Rc<[String]> = names.into();
        self.lists.push(names.clone());
        let number = self.lists.len() as u32;
        self.numbers.insert(names, number);
        number
    }

    /// The list of a number.
    pub fn names(&self, number: u32) -> Option<Rc<[String]>> {
        self.lists.get((number as usize).checked_sub(1)?).cloned()
    }
}
