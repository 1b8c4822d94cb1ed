//! Changes that wait for each other: rows that hand on unique values, or deletions of rows that refer to each other. In a
//! chain, each is sent after the one that it waits for. In a cycle, none can be sent as a whole before the others. One
//! change of each cycle breaks it: the remote gets NULL where the next change waits for a value, and the whole change is
//! sent later.

use super::{
    dependencies::{Dependencies, divided, unique_text},
    job::{Job, JobKind},
};
use crate::{
    collections::{Map, Set},
    error::{Detail, Error, Result},
    sqlite::Connection,
    sync::{outbox::change::UNKNOWN, schema::plan::Plan, values::encode::decode_row},
    value::Value,
};

/// How many refused changes are compared with each other.
const MOST: usize = 500;

/// Returns whether a refused change of a table wants a unique value that the remote's row of a delayed change has. `began`
/// is the start of the push in milliseconds since 1970: changes that are due later are delayed.
pub fn wants_value_of_delayed(
    connection: &Connection,
    plan: &Plan,
    job: &Job,
    refusal: &Error,
    began: i64,
) -> Result<bool> {
    let named = match refusal.details.get("columns") {
        Some(Detail::Text(columns)) => columns.as_str(),
        _ => "",
    };
    let is_unique = |name: &str| {
        plan.table.unique.iter().flatten().any(|known| known.eq_ignore_ascii_case(name))
            || named.split(", ").any(|known| known.trim_matches('"') == name)
    };
    let sql = "SELECT base FROM tidelock_outbox WHERE tbl = ?1 AND state = 'pending' AND base IS NOT NULL \
               AND not_before > ?2 AND not_before <= ?2 + 3600000";
    let delayed = connection.rows(sql, &[Value::from(plan.name()), Value::Integer(began)])?;
    let holds = |row: &Vec<Value>| {
        decode_row(row[0].as_text().unwrap_or_default()).iter().any(|(name, value)| {
            let sends = |at: &usize| plan.columns[*at].name == *name && job.row[*at] == *value;
            !value.is_null() && is_unique(name) && job.columns.iter().any(sends)
        })
    };
    Ok(delayed.iter().any(holds))
}

/// Divides updates so that each takes a unique value after the one that releases it. Those in a cycle come first.
pub fn levels(plans: &[&Plan], jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let unique = |job: &Job| -> Vec<usize> {
        let plan = plans[job.table];
        let is_unique = |at: &usize| {
            plan.table.unique.iter().flatten().any(|known| known.eq_ignore_ascii_case(&plan.columns[*at].name))
        };
        job.columns.iter().copied().filter(is_unique).collect()
    };
    let mut released = Map::default();
    for (index, job) in jobs.iter().enumerate() {
        for at in unique(job) {
            if let Some(value) = job.base.as_ref().and_then(|base| base[at].clone()) {
                released.insert((job.table, at, unique_text(&[value])), index);
            }
        }
    }
    let waits_for = |(index, job): (usize, &Job)| {
        let holder = |at: usize| released.get(&(job.table, at, unique_text(&[job.row[at].clone()]))).copied();
        unique(job).into_iter().filter_map(holder).find(|holder| *holder != index)
    };
    let waits_for: Vec<Option<usize>> = jobs.iter().enumerate().map(waits_for).collect();
    let depth = |index: usize| {
        let (mut depth, mut next) = (0, waits_for[index]);
        while let Some(holder) = next.filter(|_| depth <= jobs.len()) {
            (depth, next) = (depth + 1, waits_for[holder]);
        }
        if next.is_some() { 0 } else { depth }
    };
    let depths: Vec<usize> = (0..jobs.len()).map(depth).collect();
    divided(jobs, &depths)
}

/// One change that waits for what another one holds remotely.
struct Edge {
    waiting: usize,
    holding: usize,
    /// The columns that hold it; `None` when they can't be NULL.
    columns: Option<Vec<usize>>,
}

/// How the cycles among refused changes are broken.
pub struct CycleBreakers {
    /// Changes that set some of their columns to NULL.
    pub releases: Vec<Job>,
    /// Updates whose columns can't be NULL: they can only be made in one transaction.
    pub exchanges: Vec<Job>,
}

/// Returns how the cycles among the refused changes are broken.
pub fn breakers(plans: &[&Plan], order: &Dependencies, refused: &[&Job]) -> CycleBreakers {
    let refused = &refused[..refused.len().min(MOST)];
    let mut edges = Vec::new();
    for (waiting, a) in refused.iter().enumerate() {
        for (holding, b) in refused.iter().enumerate().filter(|(holding, _)| *holding != waiting) {
            edges.extend(held(plans, order, a, b).map(|columns| Edge { waiting, holding, columns }));
        }
    }
    let (mut broken, mut releases) = (Set::new(), Vec::new());
    for Edge { waiting, holding, columns } in &edges {
        let (Some(columns), Some(base)) = (columns, &refused[*holding].base) else { continue };
        if broken.contains(holding) || !has_path(&edges, *holding, *waiting, &broken) {
            continue;
        }
        broken.insert(*holding);
        let mut row: Vec<Value> = base.iter().map(|value| value.clone().unwrap_or_default()).collect();
        columns.iter().for_each(|at| row[*at] = Value::Null);
        releases.push(Job { kind: JobKind::Update, row, columns: columns.clone(), ..refused[*holding].clone() });
    }
    let exchanged = |at: &usize| {
        let mut leaving = edges.iter().filter(|edge| edge.waiting == *at);
        refused[*at].kind == JobKind::Update
            && leaving.any(|edge| edge.columns.is_none() && has_path(&edges, edge.holding, *at, &broken))
    };
    let exchanges = (0..refused.len()).filter(exchanged).map(|at| refused[at].clone()).collect();
    CycleBreakers { releases, exchanges }
}

/// Returns what `b` holds remotely that `a` waits for: its columns, or an inner `None` when they can't be NULL.
fn held(plans: &[&Plan], order: &Dependencies, a: &Job, b: &Job) -> Option<Option<Vec<usize>>> {
    let (before_a, before_b) = (a.base.as_ref()?, b.base.as_ref()?);
    match (a.kind, b.kind) {
        (JobKind::Update, JobKind::Update) if a.table == b.table => {
            let table = &plans[a.table].table;
            let name = |at: usize| &plans[a.table].columns[at].name;
            let is_unique = |at: usize| table.unique.iter().flatten().any(|known| known.eq_ignore_ascii_case(name(at)));
            let taken = |at: &&usize| {
                let wanted = &a.row[**at];
                let before = before_b[**at].as_ref();
                b.columns.contains(at) && !wanted.is_null() && [Some(wanted), Some(&UNKNOWN)].contains(&before)
            };
            let at = *a.columns.iter().filter(|at| is_unique(**at)).find(taken)?;
            let nullable = table.column(name(at)).is_some_and(|column| !column.not_null);
            Some(nullable.then(|| vec![at]))
        }
        // A row can be deleted once the rows that refer to it are deleted.
        (JobKind::Delete, JobKind::Delete) => order.reference(b.table, before_b, a.table, before_a),
        _ => None,
    }
}

/// Returns whether a path leads from one change to another, not through changes that break a cycle.
fn has_path(edges: &[Edge], from: usize, to: usize, broken: &Set<usize>) -> bool {
    let (mut seen, mut next) = (Set::new(), vec![from]);
    while let Some(at) = next.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) && !broken.contains(&at) {
            next.extend(edges.iter().filter(|edge| edge.waiting == at).map(|edge| edge.holding));
        }
    }
    false
}
