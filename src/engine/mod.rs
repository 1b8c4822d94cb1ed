//! Joins the concepts into a database.
