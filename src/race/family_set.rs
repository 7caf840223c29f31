//! A set of address families.
use super::Family;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FamilySet {
    v6: bool,
    v4: bool,
}

impl FamilySet {
    pub(super) fn insert(&mut self, family: Family) {
        match family {
            Family::V6 => self.v6 = true,
            Family::V4 => self.v4 = true,
        }
    }

    pub(super) fn contains(self, family: Family) -> bool {
        match family {
            Family::V6 => self.v6,
            Family::V4 => self.v4,
        }
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> FamilySet {
        let mut set = FamilySet::default();
        families.into_iter().for_each(|family| set.insert(family));
        set
    }
}
