//! Which ones of a test's many cases run.

/// Takes the cases evenly: every nth one; all of them in a long run (`./build.sh test --all`).
pub struct Sample {
    nth: usize,
    cases: usize,
}

impl Sample {
    pub fn every(nth: usize) -> Self {
        let all = std::env::var_os("TIDELOCK_ALL").is_some();
        Self { nth: if all { 1 } else { nth }, cases: 0 }
    }

    /// Returns how many of so many cases run, about.
    pub fn part_of(&self, cases: usize) -> usize {
        cases / self.nth
    }

    /// Returns whether the next case runs.
    pub fn takes(&mut self) -> bool {
        self.cases += 1;
        self.cases.is_multiple_of(self.nth)
    }
}
