//! Which ones of a test's many cases run.

/// Returns how many random cases a test draws: so many as the environment variable CASES says, otherwise `usual`, and `all` of them in a
/// long run.
pub fn draws(usual: u32, all: u32) -> u32 {
    let asked = std::env::var("CASES").ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(if is_long() { all } else { usual })
}

/// Whether this is a long run (`./build.sh test --all`).
pub fn is_long() -> bool {
    std::env::var_os("TIDELOCK_ALL").is_some()
}

/// Takes the cases evenly: every nth one; all of them in a long run (`./build.sh test --all`).
pub struct Sample {
    nth: usize,
    cases: usize,
}

impl Sample {
    pub fn every(nth: usize) -> Self {
        Self { nth: if is_long() { 1 } else { nth }, cases: 0 }
    }

    /// Returns every how many-th case runs.
    pub fn step(&self) -> usize {
        self.nth
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
