//! Reading the remote.
//!
//! | file | subject |
//! |---|---|
//! | `helpers` | the state of the helpers (`sqlHelpers`) in the project |
//! | `page` | the source of a pull, and the pages to apply |
//! | `page_size` | how many rows a request asks for |
//! | `window` | where a pull of a table begins, and its progress |
//! | `pulled_table` | the state of one table of a pull |
//! | `reader` | concurrent requests, pages in order |
//! | `key_list` | the keys of tables whose deletions are found by comparison |
//! | `full_read` | all rows of a table, in concurrent spans |
//! | `guard` | the guard against mass deletion |
//! | `compare` | deletions by absence |
//! | `tombstones` | deletions by the helpers' tombstones |
//! | `replace` | replacing whole tables by a difference |

pub mod compare;
pub mod full_read;
pub mod guard;
pub mod helpers;
pub mod key_list;
pub mod page;
pub mod page_size;
pub mod pulled_table;
pub mod reader;
pub mod replace;
pub mod tombstones;
pub mod window;
