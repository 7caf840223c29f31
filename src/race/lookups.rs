//! Where each of a race's lookups stands.
use super::{Families, Question, Settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// To be asked as soon as it is permitted.
    Wanted,
    /// Asked; the answer has not come.
    Pending,
    /// Answered, failed or given up; or never wanted.
    Ended,
}

/// The four questions a race can have, in the order in which they are asked.
#[derive(Debug)]
pub(super) struct Lookups {
    slots: [(Question, Standing); 4],
}

impl Lookups {
    /// The questions for `settings`; `remote`: whether the remote side has to be looked up at all.
    pub(super) fn new(settings: &Settings, remote: bool) -> Lookups {
        let preferred = settings.preferred_family;
        let when = |wanted| if wanted { Standing::Wanted } else { Standing::Ended };
        let per_family = |family| match settings.families {
            Families::Both => remote && settings.fast_fallback,
            Families::Only(only) => remote && only == family,
        };
        let any = remote && !settings.fast_fallback && settings.families == Families::Both;
        // RFC 8305, section 3: AAAA first, A right after it. The two are one action apart.
        let slots = [
            (Question::Remote(preferred), when(per_family(preferred))),
            (Question::Remote(preferred.other()), when(per_family(preferred.other()))),
            (Question::RemoteAny, when(any)),
            (Question::Local, when(settings.local)),
        ];
        Lookups { slots }
    }

    /// The next question to ask.
    pub(super) fn next_wanted(&self) -> Option<Question> {
        self.first(Standing::Wanted)
    }

    /// A question that was asked and is not answered.
    pub(super) fn next_pending(&self) -> Option<Question> {
        self.first(Standing::Pending)
    }

    pub(super) fn is_pending(&self, question: Question) -> bool {
        self.slots.contains(&(question, Standing::Pending))
    }

    /// Whether an answer may still come, be it asked already or not.
    pub(super) fn is_unfinished(&self, question: Question) -> bool {
        self.slots.iter().any(|slot| slot.0 == question && slot.1 != Standing::Ended)
    }

    pub(super) fn any_unfinished(&self) -> bool {
        self.slots.iter().any(|slot| slot.1 != Standing::Ended)
    }

    /// Whether more remote addresses may come.
    pub(super) fn remote_unfinished(&self) -> bool {
        self.slots.iter().any(|slot| slot.0 != Question::Local && slot.1 != Standing::Ended)
    }

    pub(super) fn asked(&mut self, question: Question) {
        self.set(question, Standing::Pending);
    }

    pub(super) fn ended(&mut self, question: Question) {
        self.set(question, Standing::Ended);
    }

    /// Strikes out what was not asked yet.
    pub(super) fn forget_unasked(&mut self) {
        while let Some(question) = self.next_wanted() {
            self.ended(question);
        }
    }

    fn first(&self, standing: Standing) -> Option<Question> {
        self.slots.iter().find(|slot| slot.1 == standing).map(|slot| slot.0)
    }

    fn set(&mut self, question: Question, standing: Standing) {
        for slot in &mut self.slots {
            if slot.0 == question {
                slot.1 = standing;
            }
        }
    }
}
