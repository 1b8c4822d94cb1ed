//! An order of tables in which parents come before their children.

/// Returns the tables of `order`, by index, each after its `parents`, as far as cycles allow.
///
/// It doesn't recurse: a remote may list tables that refer to each other in a chain of any length, and wasm's stack is small.
pub(super) fn parents_first(order: impl IntoIterator<Item = usize>, parents: &[Vec<usize>]) -> Vec<usize> {
    let mut seen = vec![false; parents.len()];
    let mut sorted = Vec::with_capacity(parents.len());
    for first in order {
        // Each table with the number of its parents that were looked at.
        let mut path = vec![(first, 0)];
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        while let Some((at, next)) = path.last_mut() {
            match parents[*at].get(*next) {
                Some(&parent) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[parent], true) {
                        path.push((parent, 0));
                    }
                }
                None => {
                    sorted.push(*at);
                    path.pop();
                }
            }
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::parents_first;

    #[test]
    fn parents_come_first_whatever_refers_to_what() {
        for (parents, expected) in [
            (vec![vec![1], vec![2], vec![]], vec![2, 1, 0]),
            (vec![vec![0], vec![2, 0], vec![0]], vec![0, 2, 1]),
            (vec![vec![1], vec![0]], vec![1, 0]),
            (vec![], vec![]),
        ] {
            assert_eq!(parents_first(0..parents.len(), &parents), expected);
        }
        let chain: Vec<Vec<usize>> = (1..=100_000).map(|parent| vec![parent % 100_000]).collect();
        assert_eq!(parents_first(0..100_000, &chain)[..2], [99_999, 99_998]);
    }
}
