//! Sets of small numbers as bits.

/// A set of numbers, one bit each: as large as its largest number.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    /// Creates an empty set.
    pub const fn new() -> Self {
        Self { words: Vec::new(), count: 0 }
    }

    /// Returns the numbers below `end`.
    pub fn below(end: u32) -> Self {
        let mut bits = Self::new();
        (0..end).for_each(|number| bits.insert(number));
        bits
    }

    /// Returns the count of numbers.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether the set has no numbers.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns whether the set holds the number.
    pub fn contains(&self, number: u32) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds a number.
    pub fn insert(&mut self, number: u32) {
        let at = number as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let bit = 1 << (number % 64);
        self.count += usize::from(self.words[at] & bit == 0);
        self.words[at] |= bit;
    }

    /// Adds the numbers of another set.
    pub fn add(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
        self.recount();
    }

    /// Removes the numbers that are not below `end`.
    pub fn truncate(&mut self, end: u32) {
        let at = end as usize / 64;
        if at < self.words.len() {
            self.words.truncate(at + 1);
            self.words[at] &= (1 << (end % 64)) - 1;
            self.recount();
        }
    }

    /// Removes all numbers.
    pub fn clear(&mut self) {
        self.words.clear();
        self.count = 0;
    }

    /// Returns the numbers, ascending.
    pub fn to_vec(&self) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(self.count);
        for (at, word) in self.words.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                numbers.push(at as u32 * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
        numbers
    }

    fn recount(&mut self) {
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn bits_below_are_all_of_them() {
        for end in [0, 1, 63, 64, 65, 200] {
            assert_eq!(Bits::below(end).to_vec(), (0..end).collect::<Vec<_>>());
        }
    }
}
