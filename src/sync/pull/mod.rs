//! Reading the remote.
//!
//! | file | subject |
//! |---|---|
//! | `helpers` | what `sqlHelpers` has put into the project |
//! | `page` | what is read, and what is handed over to be applied |
//! | `window` | where a pull of a table begins, and how far it came |
//! | `reader` | requests side by side, pages in order |
//! | `whole` | a table that is read whole, in spans side by side |
//! | `guard` | what stops a mass deletion |
//! | `compare` | deletions by absence |
//! | `tombstones` | rows that are gone by the helpers' tombstones |
//! | `replace` | whole tables as a difference |

pub mod compare;
pub mod guard;
pub mod helpers;
pub mod page;
pub mod reader;
pub mod replace;
pub mod tombstones;
pub mod whole;
pub mod window;
