//! The health report.
