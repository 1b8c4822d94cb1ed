//! For live queries: what statements read and change.
//!
//! | file | what |
//! |---|---|
//! | `query_analysis` | what a query reads, the values of its parameters, and the changed rows |
//! | `query_reads` | what a query reads, as SQLite reports it |
//! | `row_changes` | the rows that statements change, as SQLite reports them |

pub(super) mod query_analysis;
pub(super) mod query_reads;
pub(super) mod row_changes;
