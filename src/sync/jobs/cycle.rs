//! Changes that wait for each other: rows that hand on unique values, or deletions of rows that refer to each other. In a
//! chain, each is sent after the one that it waits for. In a cycle, none can be sent as a whole before the others. One
//! change of each cycle breaks it: the remote gets NULL where the next change waits for a value, and the whole change is
//! sent later.

use super::{
    dependencies::{Dependencies, divided, unique_text},
    job::{Job, JobKind},
};
use crate::{
    collections::Map,
    error::{Detail, Error, Result},
    sqlite::Connection,
    sync::{outbox::change::UNKNOWN, schema::plan::Plan, values::encode::decode_row},
    value::Value,
};

/// How many changes are taken into account of those that may hold the same value.
const MOST: usize = 100;

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

/// A change holds remotely what another one waits for.
struct Edge {
    holding: usize,
    /// The columns that hold it; `None` when they can't be NULL.
    columns: Option<Vec<usize>>,
}

/// How the cycles among refused changes are broken.
#[derive(Default)]
pub struct CycleBreakers {
    /// Changes that set some of their columns to NULL.
    pub releases: Vec<Job>,
    /// Updates whose columns can't be NULL: they can only be made in one transaction. The number is the same for those that
    /// need each other, which are neighbours.
    pub exchanges: Vec<(usize, Job)>,
}

/// Returns how the cycles among the refused changes are broken. Takes time in proportion to their number.
pub fn breakers(plans: &[&Plan], order: &Dependencies, refused: &[&Job]) -> CycleBreakers {
    let edges = edges(plans, order, refused);
    let mut breakers = CycleBreakers::default();
    let [mut broken, mut exchanged, mut visited] = [(); 3].map(|()| vec![false; refused.len()]);
    // Disjoint sets: cycles that share a change are one exchange.
    let mut sets: Vec<usize> = (0..refused.len()).collect();
    // The place in the path of each change that is in it.
    let mut places: Vec<Option<usize>> = vec![None; refused.len()];
    for start in 0..refused.len() {
        if visited[start] {
            continue;
        }
        // A search in depth, whose path has each change with the edges that were followed from it.
        let mut path = vec![(start, 0)];
        (visited[start], places[start]) = (true, Some(0));
        while let Some((at, followed)) = path.last_mut() {
            let Some(edge) = edges[*at].get(*followed) else {
                places[*at] = None;
                path.pop();
                continue;
            };
            *followed += 1;
            if let Some(first) = places[edge.holding] {
                let cycle = &path[first..];
                if cycle.iter().any(|(at, _)| broken[*at]) {
                    continue;
                }
                let last = cycle.iter().map(|(at, followed)| &edges[*at][followed - 1]);
                let release = last.rev().find_map(|edge| Some((edge.holding, edge.columns.as_ref()?)));
                match release {
                    Some((holding, columns)) => {
                        broken[holding] = true;
                        breakers.releases.extend(released(refused[holding], columns));
                    }
                    None => {
                        let set = set_of(&mut sets, cycle[0].0);
                        for (at, _) in cycle.iter().filter(|(at, _)| refused[*at].kind == JobKind::Update) {
                            exchanged[*at] = true;
                            let other = set_of(&mut sets, *at);
                            sets[other] = set;
                        }
                    }
                }
            } else if !visited[edge.holding] {
                (visited[edge.holding], places[edge.holding]) = (true, Some(path.len()));
                path.push((edge.holding, 0));
            }
        }
    }
    let exchanged = (0..refused.len()).filter(|at| exchanged[*at]);
    breakers.exchanges = exchanged.map(|at| (set_of(&mut sets, at), refused[at].clone())).collect();
    breakers.exchanges.sort_by_key(|(set, _)| *set);
    breakers
}

/// Returns the member that stands for the set of this one.
fn set_of(sets: &mut [usize], mut member: usize) -> usize {
    while sets[member] != member {
        sets[member] = sets[sets[member]];
        member = sets[member];
    }
    member
}

/// Returns the change that sets columns of the remote's row to NULL.
fn released(job: &Job, columns: &[usize]) -> Option<Job> {
    let mut row: Vec<Value> = job.base.as_ref()?.iter().map(|value| value.clone().unwrap_or_default()).collect();
    columns.iter().for_each(|at| row[*at] = Value::Null);
    Some(Job { kind: JobKind::Update, row, columns: columns.to_vec(), ..job.clone() })
}

/// Returns for each of the refused changes what it waits for.
fn edges(plans: &[&Plan], order: &Dependencies, refused: &[&Job]) -> Vec<Vec<Edge>> {
    let mut edges: Vec<Vec<Edge>> = refused.iter().map(|_| Vec::new()).collect();
    // A row can be deleted once the rows that refer to it are deleted.
    for (waiting, holding, columns) in order.between_deletions(refused) {
        edges[waiting].push(Edge { holding, columns });
    }
    let name = |table: usize, at: usize| &plans[table].columns[at].name;
    let is_unique = |table: usize, at: usize| {
        plans[table].table.unique.iter().flatten().any(|known| known.eq_ignore_ascii_case(name(table, at)))
    };
    let updates = || refused.iter().enumerate().filter(|(_, job)| job.kind == JobKind::Update);
    // What the changes release of unique columns: table, column, value (`None`: unknown) and change.
    let mut held: Vec<(usize, usize, Option<String>, usize)> = Vec::new();
    for (holding, job) in updates() {
        for at in job.columns.iter().filter(|at| is_unique(job.table, **at)) {
            let value = job.base.as_ref().and_then(|base| base[*at].as_ref());
            let text = |value: &Value| (*value != UNKNOWN).then(|| unique_text(std::slice::from_ref(value)));
            held.extend(value.map(|value| (job.table, *at, text(value), holding)));
        }
    }
    held.sort_unstable();
    for (waiting, job) in updates().filter(|(_, job)| job.base.is_some()) {
        for at in job.columns.iter().filter(|at| is_unique(job.table, **at) && !job.row[**at].is_null()) {
            let nullable = plans[job.table].table.column(name(job.table, *at)).is_some_and(|column| !column.not_null);
            for value in [Some(unique_text(std::slice::from_ref(&job.row[*at]))), None] {
                let wanted = (job.table, *at, &value);
                let first = held.partition_point(|(table, at, value, _)| (*table, *at, value) < wanted);
                let same = held[first..].iter().take_while(|(table, at, value, _)| (*table, *at, value) == wanted);
                let others = same.take(MOST).map(|(.., holding)| *holding).filter(|holding| *holding != waiting);
                edges[waiting].extend(others.map(|holding| Edge { holding, columns: nullable.then(|| vec![*at]) }));
            }
        }
    }
    edges
}
