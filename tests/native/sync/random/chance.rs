//! Draws from a seed.

use tidelock::ports::{Platform, sim::Sim};

pub struct Chance(Platform);

impl Chance {
    pub fn new(seed: u64) -> Self {
        let chance = Self(Sim::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(1)).platform());
        // The first word of seeds that are close is close, too.
        chance.below(2);
        chance
    }

    pub fn below(&self, limit: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.entropy.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % limit.max(1) as u64) as usize
    }

    pub fn between(&self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    pub fn one_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() { None } else { Some(&list[self.below(list.len())]) }
    }
}
