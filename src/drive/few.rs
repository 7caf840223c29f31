//! A few things in a row. Two need no memory of their own, so that thousands of rows are cheap.

/// The first two, then the others; no place is empty before one that is taken.
pub(super) struct Few<T> {
    first: [Option<T>; 2],
    more: Option<Box<More<T>>>,
}

struct More<T>(Vec<T>);

impl<T> Few<T> {
    pub fn new() -> Few<T> {
        Few { first: [None, None], more: None }
    }

    pub fn push(&mut self, item: T) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(item),
            None => self.more.get_or_insert_with(|| Box::new(More(Vec::new()))).0.push(item),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().flatten().chain(self.more.iter().flat_map(|more| &more.0))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().flatten().chain(self.more.iter_mut().flat_map(|more| &mut more.0))
    }

    /// Takes the first one out of which this holds; those behind it move up.
    pub fn take(&mut self, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let place = self.iter().position(is_it)?;
        self.first[place.min(2)..].rotate_left(usize::from(place == 0));
        let next = match &mut self.more {
            Some(more) if place >= 2 => return Some(more.0.remove(place - 2)),
            Some(more) if !more.0.is_empty() => Some(more.0.remove(0)),
            _ => None,
        };
        std::mem::replace(&mut self.first[1], next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_in_their_order_whichever_is_taken_out() {
        for count in 0..6 {
            for taken in 0..=count {
                let mut few = Few::new();
                (0..count).for_each(|number| few.push(number));
                assert_eq!(few.take(|&number| number == taken), (taken < count).then_some(taken));
                few.iter_mut().for_each(|number| *number += 10);
                few.push(20);
                let left: Vec<_> = few.iter().copied().collect();
                let expected = (0..count).filter(|&number| number != taken).map(|number| number + 10).chain([20]);
                assert_eq!(left, expected.collect::<Vec<_>>());
            }
        }
    }
}
