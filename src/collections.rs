//! Sets and maps as sorted vectors, and sets of small numbers as [`Bits`]. At this crate's sizes the standard library's
//! trees are no faster, and each type stored in one costs kilobytes of wasm.

mod bits;

use std::{
    borrow::Borrow,
    fmt,
    ops::{Deref, Index},
};

pub use bits::Bits;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// A set: a sorted vector without duplicates. Reads as a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set<T>(Vec<T>);

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Set<T> {
    /// Creates an empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Creates a set of values that are mostly sorted already: the standard library that is compiled for size takes as long to sort
    /// those as any others.
    pub fn from_mostly_sorted(values: Vec<T>) -> Self {
        if values.is_sorted_by(|one, next| one < next) { Self(values) } else { values.into_iter().collect() }
    }

    /// Returns whether the set holds the value.
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.find(value).is_ok()
    }

    /// Adds a value. Returns `false` when the set already held it.
    pub fn insert(&mut self, value: T) -> bool {
        match self.find(&value) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, value);
                true
            }
        }
    }

    /// Keeps the values for which the closure returns `true`.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }

    /// Removes all values; keeps the allocation.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn find<Q: Ord + ?Sized>(&self, value: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.0.binary_search_by(|known| known.borrow().cmp(value))
    }
}

impl<T> Deref for Set<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        Self(values)
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| _ = self.insert(value));
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A map: a vector of pairs sorted by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Map<K, V> {
    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the map has no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the map has the key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Returns the value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// Returns the value of a key, to change it.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Sets the value of a key. Returns the previous value.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Removes a key. Returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps the pairs for which the closure returns `true`.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    /// Returns all pairs in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Returns the pairs whose key is not less than `key`, in order.
    pub fn from(&self, key: &K) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let start = self.0.partition_point(|(known, _)| known < key);
        self.0[start..].iter().map(|(key, value)| (key, value))
    }

    /// Returns the keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Returns the values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        entries.into_iter().for_each(|(key, value)| _ = map.insert(key, value));
        map
    }
}

impl<'m, K, V> IntoIterator for &'m Map<K, V> {
    type Item = &'m (K, V);
    type IntoIter = std::slice::Iter<'m, (K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Reads a plain object.
impl<'de> Deserialize<'de> for Map<String, String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Texts)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Map<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::default();
        while let Some((key, value)) = pairs.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}

impl<K: Ord, V> Index<&K> for Map<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key).expect("no such key")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32),
        Remove(u32),
        Truncate(u32),
        Add(Vec<u32>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..300u32).prop_map(Step::Insert),
            (0..300u32).prop_map(Step::Remove),
            (0..300u32).prop_map(Step::Truncate),
            prop::collection::vec(0..300u32, 0..9).prop_map(Step::Add),
        ]
    }

    proptest! {
        /// Each collection behaves as the standard library's tree does.
        #[test]
        fn they_behave_as_trees(steps in prop::collection::vec(step(), 0..60)) {
            let (mut set, mut map, mut bits) = (Set::new(), Map::default(), Bits::new());
            let (mut tree, mut pairs, mut numbers) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(n) => {
                        prop_assert_eq!(set.insert(n), tree.insert(n));
                        prop_assert_eq!(map.insert(n, at), pairs.insert(n, at));
                        bits.insert(n);
                        numbers.insert(n);
                    }
                    Step::Remove(n) => {
                        set.retain(|known| *known != n);
                        tree.remove(&n);
                        prop_assert_eq!(map.remove(&n), pairs.remove(&n));
                    }
                    Step::Truncate(n) => {
                        map.retain(|known, _| *known < n);
                        pairs.split_off(&n);
                        bits.truncate(n);
                        numbers.split_off(&n);
                    }
                    Step::Add(more) => {
                        let mut other = Bits::new();
                        more.iter().for_each(|n| other.insert(*n));
                        bits.add(&other);
                        numbers.extend(&more);
                        prop_assert_eq!(&*more.iter().copied().collect::<Set<_>>(), &*Set(BTreeSet::from_iter(more.clone()).into_iter().collect()));
                        set.extend(more.clone());
                        tree.extend(more);
                    }
                }
                prop_assert!(set.iter().eq(tree.iter()) && map.iter().eq(pairs.iter()));
                prop_assert_eq!(bits.to_vec(), numbers.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!((bits.len(), bits.is_empty()), (numbers.len(), numbers.is_empty()));
            }
            for n in 0..301 {
                prop_assert_eq!((set.contains(&n), bits.contains(n)), (tree.contains(&n), numbers.contains(&n)));
                prop_assert_eq!((map.get(&n), map.contains_key(&n)), (pairs.get(&n), pairs.contains_key(&n)));
                prop_assert!(map.from(&n).eq(pairs.range(n..)));
            }
        }
    }
}
