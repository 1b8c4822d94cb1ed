//! Migrations: plan, history, apply.
