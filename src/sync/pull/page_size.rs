//! The page size of a pull, which follows the time that pages take.

/// The page size: halved when a page takes too long, doubled after enough pages that arrive in time.
#[derive(Debug)]
pub struct AdaptivePageSize {
    maximum: u32,
    size: u32,
    successes: u32,
    /// Successes before the size grows.
    required: u32,
}

impl AdaptivePageSize {
    /// Starts with the maximum number of rows.
    pub fn new(maximum: u32) -> Self {
        Self { maximum, size: maximum, successes: 0, required: 8 }
    }

    /// Returns the number of rows to request.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Halves the size after `limit` rows were too many. A larger `limit` than the present size was requested before
    /// the size was halved, and changes nothing.
    pub fn shrink(&mut self, limit: u32) {
        if limit <= self.size {
            self.size = (limit / 2).max(1);
            self.successes = 0;
            self.required = self.required.saturating_mul(2);
        }
    }

    /// Counts a page of `limit` rows that arrived. The size grows after a number of successes that doubles with each
    /// failure.
    pub fn succeed(&mut self, limit: u32) {
        if self.size < self.maximum && limit == self.size {
            self.successes += 1;
            if self.successes >= self.required {
                (self.size, self.successes) = (self.size.saturating_mul(2).min(self.maximum), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AdaptivePageSize;

    #[test]
    fn pages_shrink_once_for_all_concurrent_failures_and_grow_again() {
        let mut page_size = AdaptivePageSize::new(1000);
        (0..6).for_each(|_| page_size.shrink(1000));
        assert_eq!(page_size.size(), 500);
        (0..15).for_each(|_| page_size.succeed(500));
        assert_eq!(page_size.size(), 500);
        page_size.succeed(500);
        assert_eq!(page_size.size(), 1000);
        page_size.succeed(1000);
        page_size.shrink(1000);
        (0..31).for_each(|_| page_size.succeed(500));
        assert_eq!(page_size.size(), 500, "what failed twice is tried later");
        (0..20).for_each(|_| page_size.shrink(1));
        assert_eq!(page_size.size(), 1);
    }
}
