//! Places for connects: found by number in constant time, and not mistaken for one that was there before.

/// How many low bits of an id say the place; the others say how often it was given out before. 16 million
/// connects at once, and 2^34 in a row at one place before an id comes again.
const PLACE_BITS: u32 = 24;
const PLACES: usize = 1 << PLACE_BITS;
/// No place: the end of the list of free ones.
const NONE: u32 = u32::MAX;

/// What an id says of its place.
pub(super) fn place_of(id: u64) -> u32 {
    (id & (PLACES as u64 - 1)) as u32
}

pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    first_free: u32,
    used: usize,
}

struct Slot<T> {
    generation: u64,
    content: Content<T>,
}

enum Content<T> {
    Free {
        next: u32,
    },
    In(Box<T>),
    /// Somebody works on it, perhaps inside one of the caller's callbacks; `cancel`: which asked to end it.
    Out {
        cancel: bool,
    },
}

/// Where the connect of an id is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Gone,
    In,
    Out,
}

impl<T> Slots<T> {
    pub fn new() -> Slots<T> {
        Slots { slots: Vec::new(), first_free: NONE, used: 0 }
    }

    /// How many are in here, those that are out included.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether every place there can be is taken.
    pub fn is_full(&self) -> bool {
        self.used == PLACES
    }

    /// How many places there are, free ones included.
    pub fn places(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Puts in what `make` makes for the id that it gets. None if every place is taken.
    pub fn insert(&mut self, make: impl FnOnce(u64) -> Box<T>) -> Option<u64> {
        let place = if self.first_free != NONE {
            self.first_free
        } else if self.slots.len() < PLACES {
            // Generations begin with 1, so that no id is 0.
            self.slots.push(Slot { generation: 1, content: Content::Free { next: NONE } });
            self.slots.len() as u32 - 1
        } else {
            return None;
        };
        let slot = &mut self.slots[place as usize];
        if let Content::Free { next } = slot.content {
            self.first_free = next;
        }
        let id = slot.generation << PLACE_BITS | u64::from(place);
        slot.content = Content::In(make(id));
        self.used += 1;
        Some(id)
    }

    pub fn find(&self, id: u64) -> Whereabouts {
        match self.slot(id) {
            Some(Slot { content: Content::In(_), .. }) => Whereabouts::In,
            Some(Slot { content: Content::Out { .. }, .. }) => Whereabouts::Out,
            _ => Whereabouts::Gone,
        }
    }

    /// The id of what is at a place.
    pub fn id_at(&self, place: u32) -> Option<u64> {
        let slot = self.slots.get(place as usize)?;
        match slot.content {
            Content::Free { .. } => None,
            _ => Some(slot.generation << PLACE_BITS | u64::from(place)),
        }
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        match self.slot_mut(id) {
            Some(Slot { content: Content::In(content), .. }) => Some(content),
            _ => None,
        }
    }

    /// Takes it out to work on it; its place stays its own. None if it has gone, or is out already.
    pub fn take_out(&mut self, id: u64) -> Option<Box<T>> {
        let slot = self.slot_mut(id)?;
        match std::mem::replace(&mut slot.content, Content::Out { cancel: false }) {
            Content::In(content) => Some(content),
            other => {
                slot.content = other;
                None
            }
        }
    }

    /// Notes that what is out is to be ended.
    pub fn cancel_when_back(&mut self, id: u64) {
        if let Some(Slot { content: Content::Out { cancel }, .. }) = self.slot_mut(id) {
            *cancel = true;
        }
    }

    /// Puts it back; true if it is to be ended.
    pub fn put_back(&mut self, id: u64, content: Box<T>) -> bool {
        let Some(slot) = self.slot_mut(id) else { return false };
        let before = std::mem::replace(&mut slot.content, Content::In(content));
        matches!(before, Content::Out { cancel: true })
    }

    /// Gives the place of what is out away.
    pub fn vacate(&mut self, id: u64) {
        let next = self.first_free;
        if let Some(slot) = self.slot_mut(id) {
            slot.generation += 1;
            slot.content = Content::Free { next };
            self.first_free = place_of(id);
            self.used -= 1;
        }
    }

    fn slot(&self, id: u64) -> Option<&Slot<T>> {
        self.slots.get(place_of(id) as usize).filter(|slot| slot.generation == id >> PLACE_BITS)
    }

    fn slot_mut(&mut self, id: u64) -> Option<&mut Slot<T>> {
        self.slots.get_mut(place_of(id) as usize).filter(|slot| slot.generation == id >> PLACE_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_finds_its_own_content_and_nothing_that_came_later() {
        let mut slots = Slots::new();
        let first = slots.insert(Box::new).unwrap();
        assert!(first != 0 && slots.find(first) == Whereabouts::In && slots.len() == 1);
        assert_eq!(slots.take_out(first).as_deref(), Some(&first));
        assert_eq!((slots.find(first), slots.take_out(first)), (Whereabouts::Out, None));
        slots.vacate(first);
        let second = slots.insert(Box::new).unwrap();
        assert_eq!(place_of(first), place_of(second));
        assert_eq!((slots.find(first), slots.find(second)), (Whereabouts::Gone, Whereabouts::In));
        assert!(slots.take_out(first).is_none() && slots.get_mut(first).is_none());
        assert_eq!(slots.id_at(place_of(first)), Some(second));
    }

    #[test]
    fn a_cancel_meanwhile_is_told_when_it_comes_back() {
        let mut slots = Slots::new();
        let id = slots.insert(|_| Box::new(())).unwrap();
        let content = slots.take_out(id).unwrap();
        assert!(!slots.put_back(id, content));
        let content = slots.take_out(id).unwrap();
        slots.cancel_when_back(id);
        assert!(slots.put_back(id, content));
    }

    #[test]
    fn free_places_are_used_again() {
        let mut slots = Slots::new();
        let ids: Vec<u64> = (0..100).map(|_| slots.insert(|_| Box::new(())).unwrap()).collect();
        for &id in &ids {
            slots.take_out(id);
            slots.vacate(id);
        }
        assert_eq!(slots.len(), 0);
        for _ in 0..100 {
            slots.insert(|_| Box::new(())).unwrap();
        }
        assert_eq!((slots.len(), slots.places()), (100, 100));
    }
}
