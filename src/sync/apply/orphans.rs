//! Staged rows that lack a parent, and those that refer to them.

use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        schema::{
            plan::{Plan, Rows},
            table::key_condition,
        },
        values::{encode::quote, outgoing::filter_text},
    },
    value::Value,
};

/// A foreign key between two tables of staged rows.
struct StagedReference {
    parent: usize,
    /// Indexes of the referenced columns.
    to: Vec<usize>,
    /// The referring rows, each as the values that it refers to, its table's index and its own, sorted.
    children: Vec<(String, usize, usize)>,
    /// SQL that finds a local row with these values.
    find: String,
}

/// Adds the rows that refer to orphans, directly or through others, unless a local row is their parent. Otherwise each
/// attempt to apply the rest would find only the next ones of a chain. `orphans` has a flag for each row of a table.
pub(super) fn add_dependents(
    connection: &Connection,
    plans: &[&Plan],
    candidates: &[Rows],
    orphans: &mut [Vec<bool>],
) -> Result<()> {
    let references = references(plans, candidates);
    let mut work: Vec<(usize, usize)> = Vec::new();
    for (table, flags) in orphans.iter().enumerate() {
        work.extend((0..flags.len()).filter(|row| flags[*row]).map(|row| (table, row)));
    }
    while let Some((table, row)) = work.pop() {
        if candidates[table].deleted[row] {
            continue;
        }
        for reference in references.iter().filter(|reference| reference.parent == table) {
            let Some(values) = values(&candidates[table], row, &reference.to) else { continue };
            let text = text(&values);
            let first = reference.children.partition_point(|(known, ..)| *known < text);
            let children = reference.children[first..].iter().take_while(|(known, ..)| *known == text);
            let mut children = children.filter(|(_, table, row)| !orphans[*table][*row]).peekable();
            if children.peek().is_none() || connection.value(&reference.find, &values)?.is_some() {
                continue;
            }
            let children: Vec<(usize, usize)> = children.map(|(_, table, row)| (*table, *row)).collect();
            children.iter().for_each(|(table, row)| orphans[*table][*row] = true);
            work.extend(children);
        }
    }
    Ok(())
}

fn references(plans: &[&Plan], candidates: &[Rows]) -> Vec<StagedReference> {
    let mut references = Vec::new();
    for (child, plan) in plans.iter().enumerate() {
        for key in &plan.table.foreign_keys {
            let is_parent = |plan: &&Plan| plan.table.name.eq_ignore_ascii_case(&key.parent);
            let Some(parent) = plans.iter().position(is_parent) else { continue };
            let (Some(from), Some(to)) = (plan.places(&key.from), plans[parent].places(&key.to)) else {
                continue;
            };
            let rows = present(&candidates[child], &from);
            let mut children: Vec<_> = rows.map(|(row, values)| (text(&values), child, row)).collect();
            children.sort_unstable();
            let find = format!("SELECT 1 FROM main.{} WHERE {}", quote(&key.parent), key_condition(&key.to, 1));
            references.push(StagedReference { parent, to, children, find });
        }
    }
    references
}

/// Returns the values of some columns of all rows that aren't deletions, where none is NULL.
fn present<'a>(rows: &'a Rows, places: &'a [usize]) -> impl Iterator<Item = (usize, Vec<Value>)> + 'a {
    let there = (0..rows.len()).filter(|row| !rows.deleted[*row]);
    there.filter_map(|row| Some((row, values(rows, row, places)?)))
}

fn values(rows: &Rows, row: usize, places: &[usize]) -> Option<Vec<Value>> {
    let values: Vec<Value> = places.iter().map(|at| rows.row(row)[*at].clone()).collect();
    values.iter().all(|value| !value.is_null()).then_some(values)
}

fn text(values: &[Value]) -> String {
    values.iter().map(filter_text).collect::<Vec<_>>().join("\0")
}
