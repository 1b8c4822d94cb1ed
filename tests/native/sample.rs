//! Which ones of a test's many cases run.

/// Returns how many random cases a test draws: so many as the environment variable CASES says, otherwise `usual`, and `all` of them in a
/// long run.
pub fn draws(usual: u32, all: u32) -> u32 {
    let asked = std::env::var("CASES").ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(usual_or_all(usual, all))
}

/// Returns the value for a usual run, or that for a long one (`./build.sh test --all`).
pub fn usual_or_all<T>(usual: T, all: T) -> T {
    if std::env::var_os("TIDELOCK_ALL").is_some() { all } else { usual }
}

/// Takes the cases evenly: every nth one; all of them in a long run (`./build.sh test --all`).
pub struct Sample {
    nth: usize,
    cases: usize,
}

impl Sample {
    pub fn every(nth: usize) -> Self {
        Self { nth: usual_or_all(nth, 1), cases: 0 }
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
