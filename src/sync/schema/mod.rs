//! The tables on both sides.
//!
//! | file | subject |
//! |---|---|
//! | `table` | what sync has to know about a local table |
//! | `table_sql` | the statements about the rows of one synced table |
//! | `plan` | the options of a table joined with its local schema |
//! | `answer` | reads the remote's answers by a plan |
//! | `remote_schema` | the remote's tables, as the remote describes them |
//! | `column_sql` | the SQL of a local column for a remote's |
//! | `order` | an order in which parents come before their children |
//! | `local_schema` | SQL for local tables that hold the remote's |

pub mod answer;
mod column_sql;
pub mod local_schema;
mod order;
pub mod plan;
pub mod remote_schema;
pub mod table;
pub mod table_sql;
