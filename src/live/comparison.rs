//! What changed from one result of a query to the next where the query has to run: a join, an aggregate, a result without an order.
//!
//! Of the result that was read last, a hash of each row is kept.

use super::difference::{Difference, MOST_ROWS};
use crate::{
    error::Result,
    sqlite::{Authority, Connection, FlatRows, Integers, Step},
    value::Value,
};

/// So many rows at once may be missing before a row that stays, besides those in whose place others came. A row that is farther ahead has more
/// likely moved, unless the row behind it follows.
const NEAR: usize = 16;

/// Runs a query, and returns how its result differs from the one before, whose hashes are `before`, and the hashes of this one; `out` then has
/// the inserted rows.
pub(super) fn compare(
    connection: &Connection,
    sql: &str,
    params: &[Value],
    before: &[u128],
    integers: Integers,
    out: &mut FlatRows,
) -> Result<(Difference, Option<Vec<u128>>)> {
    let mut statement = connection.statement_for(sql, Authority::User)?;
    statement.bind_first(params)?;
    out.clear();
    out.keep_repeats();
    statement.describe(out);
    let mut comparison = Comparison { before, ..Comparison::default() };
    while statement.step()? == Step::Row {
        let end = out.end();
        statement.push_row(out.columns, integers, out)?;
        if comparison.stays(out.hash(end)) {
            out.truncate(end);
        }
    }
    let (difference, after) = comparison.end();
    Ok((difference, (after.len() <= MOST_ROWS).then_some(after)))
}

/// The comparison of two results while the rows of the later one arrive.
#[derive(Default)]
struct Comparison<'b> {
    /// The hashes of the rows before.
    before: &'b [u128],
    /// Their hashes and positions, sorted; made for the first row that isn't the next one.
    places: Option<Vec<(u128, usize)>>,
    /// The position behind the last row that stays.
    next: usize,
    /// How many rows were inserted since that one.
    inserted: usize,
    /// The position behind the last row, if that was far ahead.
    behind_far: Option<usize>,
    difference: Difference,
    after: Vec<u128>,
}

impl Comparison<'_> {
    /// Takes the next row. Returns whether it stays; else it is inserted.
    fn stays(&mut self, hash: u128) -> bool {
        let position = self.after.len() as u32;
        self.after.push(hash);
        match self.place(hash) {
            Some(place) if place - self.next <= NEAR + self.inserted || self.behind_far == Some(place) => {
                self.remove_before(place);
                (self.next, self.inserted, self.behind_far) = (place + 1, 0, None);
                true
            }
            found => {
                self.inserted += 1;
                self.behind_far = found.map(|place| place + 1);
                self.difference.inserted.push(position);
                false
            }
        }
    }

    /// Returns the first position of such a row that isn't passed yet.
    fn place(&mut self, hash: u128) -> Option<usize> {
        if self.before.get(self.next) == Some(&hash) {
            return Some(self.next);
        }
        let places = self.places.get_or_insert_with(|| {
            let mut places: Vec<_> = self.before.iter().copied().zip(0..).collect();
            places.sort_unstable();
            places
        });
        let from = places.partition_point(|place| *place < (hash, self.next));
        places.get(from).filter(|place| place.0 == hash).map(|place| place.1)
    }

    fn remove_before(&mut self, place: usize) {
        self.difference.removed.extend(self.next as u32..place as u32);
    }

    fn end(mut self) -> (Difference, Vec<u128>) {
        self.remove_before(self.before.len());
        self.difference.total = self.after.len() as u32;
        (self.difference, self.after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Comparison;

    fn difference(before: &[u128], after: &[u128]) -> (Vec<u32>, Vec<u32>) {
        let mut comparison = Comparison { before, ..Comparison::default() };
        after.iter().for_each(|hash| _ = comparison.stays(*hash));
        let (difference, hashes) = comparison.end();
        assert_eq!(hashes, after);
        (difference.removed, difference.inserted)
    }

    #[test]
    fn few_changes_are_few_differences() {
        let all: Vec<u128> = (0..1000).collect();
        let with = |from: usize, to: usize| {
            let mut rows = all.clone();
            let row = rows.remove(from);
            rows.insert(to, row);
            rows
        };
        assert_eq!(difference(&all, &all), (vec![], vec![]));
        assert_eq!(difference(&all, &with(0, 999)), (vec![0], vec![999]));
        assert_eq!(difference(&all, &with(999, 0)), (vec![999], vec![0]));
        assert_eq!(difference(&all, &with(500, 100)), (vec![500], vec![100]));
        let changed: Vec<u128> =
            (0..1000).map(|row| if (100..200).contains(&row) { row + 5000 } else { row }).collect();
        assert_eq!(difference(&all, &changed), ((100..200).collect(), (100..200).collect()));
        // Many rows are missing: one that stays counts as moved.
        let (removed, inserted) = difference(&all, &[&all[..10], &all[500..]].concat());
        assert_eq!((removed.len(), inserted), (491, vec![10]));
        assert_eq!(difference(&[], &all[..2]), (vec![], vec![0, 1]));
        assert_eq!(difference(&all[..2], &[]), (vec![0, 1], vec![]));
    }

    proptest! {
        /// Rows may be equal.
        #[test]
        fn the_difference_makes_the_one_result_of_the_other(
            before in prop::collection::vec(0..40u128, 0..80), after in prop::collection::vec(0..40u128, 0..80)
        ) {
            let (removed, inserted) = difference(&before, &after);
            let mut rows = before;
            removed.iter().rev().for_each(|at| _ = rows.remove(*at as usize));
            inserted.iter().for_each(|at| rows.insert(*at as usize, after[*at as usize]));
            prop_assert_eq!(rows, after);
        }
    }
}
