//! The tables on both sides.
//!
//! | file | subject |
//! |---|---|
//! | `table` | what sync has to know about a local table |
//! | `table_sql` | the statements about the rows of one synced table |
//! | `plan` | what is read of a table, and where it goes |
//! | `remote_schema` | the tables of the remote, as it tells them |
//! | `local_schema` | the local tables that hold them |

pub mod local_schema;
pub mod plan;
pub mod remote_schema;
pub mod table;
pub mod table_sql;
