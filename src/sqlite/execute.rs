//! One statement from parameters to encoded rows.

use crate::error::{Error, Result};

/// Fails with `invalid_argument` when there are not as many values as parameters.
pub(super) fn check_count(values: usize, parameters: usize) -> Result<()> {
    if values < parameters {
        let missing = values + 1;
        return Err(Error::invalid(format!("parameter {missing} is missing: the statement takes {parameters}"))
            .detail("parameter", missing));
    }
    if values > parameters {
        let extra = parameters + 1;
        return Err(Error::invalid(format!("there is no parameter {extra}: the statement takes {parameters}"))
            .detail("parameter", extra));
    }
    Ok(())
}
