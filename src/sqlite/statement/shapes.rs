//! Column names by id: JavaScript fetches a list of names once, not with each result.

use std::rc::Rc;

use crate::collections::Map;

/// The lists of column names seen so far. Ids count from 1 and are never reused.
#[derive(Default)]
pub(in crate::sqlite) struct Shapes {
    lists: Vec<Rc<[String]>>,
    numbers: Map<Rc<[String]>, u32>,
}

impl Shapes {
    /// Returns the id of a list.
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

    /// Returns the list of an id.
    pub fn names(&self, number: u32) -> Option<Rc<[String]>> {
        self.lists.get((number as usize).checked_sub(1)?).cloned()
    }
}
