//! Frees the unique values of a row for other rows.

use crate::sync::{
    schema::{plan::Plan, table::key_condition},
    values::encode::{key_parameters, quote},
};

/// Returns SQL that frees the unique values of the row with the key `?1..`: NULL where the column allows it, else a
/// text that no other row has. Returns `None` when only the key is unique.
pub(super) fn park_sql(plan: &Plan) -> Option<String> {
    let key = plan.key_columns();
    let unique = |name: &str| plan.table.unique.iter().flatten().any(|column| column.eq_ignore_ascii_case(name));
    let parked: Vec<String> = plan
        .table
        .columns
        .iter()
        .filter(|column| unique(&column.name) && !key.contains(&column.name))
        .map(|column| {
            let name = quote(&column.name);
            if column.not_null {
                format!("{name} = 'tidelock parked ' || {}", key_parameters(key.len(), 1))
            } else {
                format!("{name} = NULL")
            }
        })
        .collect();
    (!parked.is_empty()).then(|| {
        format!("UPDATE main.{} SET {} WHERE {}", quote(&plan.table.name), parked.join(", "), key_condition(&key, 1))
    })
}
