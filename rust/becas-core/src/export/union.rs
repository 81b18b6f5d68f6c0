//! Disjoint sets of numbers, for joining what belongs together.

/// A union-find forest over 0..n; the root of a set is its smallest member, so that results do not depend on
/// the order of joining.
#[derive(Clone, Debug)]
pub(super) struct Union(Vec<u32>);

impl Union {
    /// Every number on its own.
    pub(super) fn new(size: u32) -> Self {
        Self((0..size).collect())
    }

    /// The smallest member of the set of `member`.
    pub(super) fn root(&mut self, mut member: u32) -> u32 {
        while self.0[member as usize] != member {
            let grandparent = self.0[self.0[member as usize] as usize];
            self.0[member as usize] = grandparent;
            member = grandparent;
        }
        member
    }

    /// Makes one set of the sets of both.
    pub(super) fn join(&mut self, one: u32, two: u32) {
        let (one, two) = (self.root(one), self.root(two));
        self.0[one.max(two) as usize] = one.min(two);
    }

    /// Joins what either of two joined.
    pub(super) fn of_both(mut self, other: Self) -> Self {
        for (member, root) in (0_u32..).zip(other.into_roots()) {
            if member != root {
                self.join(member, root);
            }
        }
        self
    }

    /// The root of every number.
    pub(super) fn into_roots(mut self) -> Vec<u32> {
        // A parent is never larger than its child, so one pass in ascending order settles all.
        for member in 0..self.0.len() {
            self.0[member] = self.0[self.0[member] as usize];
        }
        self.0
    }
}
