//! Where each of a race's lookups stands.
use super::family::Family;
use super::question::{LookupId, Question, QuestionKind, Urgency};
use super::settings::{Families, Settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// To be asked as soon as it is permitted.
    Wanted,
    /// Asked; the answer has not come.
    Pending,
    /// Answered, failed or given up.
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Lookup {
    question: Question,
    standing: Standing,
    /// How it was asked, or what it was hastened to.
    urgency: Urgency,
}

/// A race's lookups in the order in which they are asked: the place of one is its number.
#[derive(Debug)]
pub(super) struct Lookups(Vec<Lookup>);

impl Lookups {
    /// The lookups for `settings`; `is_remote`: whether the host has to be looked up at all.
    pub(super) fn new(settings: &Settings, is_remote: bool) -> Lookups {
        let preferred = settings.preferred_family;
        let of = |family: Family| Some(QuestionKind::of(family));
        let remote = match settings.asked() {
            _ if !is_remote => [None, None],
            Families::Only(family) => [of(family), None],
            Families::Both if !settings.fast_fallback => [Some(QuestionKind::Both), None],
            // RFC 8305, section 3: AAAA first, A right after it. The two are one action apart.
            Families::Both => [of(preferred), of(preferred.other())],
        };
        let local = settings.local.then_some(QuestionKind::Local);
        // Version 3, section 4.1: SVCB or HTTPS goes first.
        let service = settings.service.then_some(QuestionKind::Service);
        let wanted = [service].into_iter().chain(remote).chain([local]).flatten();
        // Thousands of races wait with these in memory: exactly as many as there are, and nothing for none.
        let mut lookups = Vec::with_capacity(wanted.clone().count());
        lookups.extend(wanted.map(|kind| Lookup {
            question: Question::host(kind),
            standing: Standing::Wanted,
            urgency: Urgency::Now,
        }));
        Lookups(lookups)
    }

    /// Has a question asked that was not known to be needed at the beginning.
    pub(super) fn want(&mut self, question: Question) {
        self.0.push(Lookup { question, standing: Standing::Wanted, urgency: Urgency::Now });
    }

    /// Whether there is something to ask.
    pub(super) fn any_wanted(&self) -> bool {
        self.first(Standing::Wanted).is_some()
    }

    /// Takes the next question that is to be asked for asked.
    pub(super) fn ask_next(&mut self) -> Option<(LookupId, Question, Urgency)> {
        let place = self.first(Standing::Wanted)?;
        let question = self.0[place].question;
        let urgency = self.urgency_of(question);
        self.0[place] = Lookup { question, standing: Standing::Pending, urgency };
        Some((LookupId(place as u32), question, urgency))
    }

    /// Of the two families of a name the second may turn out not to be needed, as long as the first may lead
    /// to a connection.
    fn urgency_of(&self, question: Question) -> Urgency {
        let other = question.kind.family().map(|family| QuestionKind::of(family.other()));
        let of_the_other = |lookup: &Lookup| {
            lookup.question.name == question.name
                && Some(lookup.question.kind) == other
                && lookup.standing == Standing::Pending
        };
        if self.0.iter().any(of_the_other) { Urgency::WhenFree } else { Urgency::Now }
    }

    /// The question of a lookup that was asked and is not answered.
    pub(super) fn pending(&self, lookup: LookupId) -> Option<Question> {
        let lookup = self.0.get(lookup.0 as usize).filter(|lookup| lookup.standing == Standing::Pending);
        lookup.map(|lookup| lookup.question)
    }

    /// A lookup that was asked and is not answered.
    pub(super) fn any_pending(&self) -> Option<(LookupId, Question)> {
        let place = self.first(Standing::Pending)?;
        Some((LookupId(place as u32), self.0[place].question))
    }

    /// Whether an answer may still come, be it asked already or not.
    pub(super) fn is_unfinished(&self, question: Question) -> bool {
        self.0.iter().any(|lookup| lookup.question == question && lookup.standing != Standing::Ended)
    }

    /// Whether an answer may still come to a question of a kind.
    pub(super) fn any_unfinished_of(&self, is_meant: impl Fn(&Question) -> bool) -> bool {
        self.0.iter().any(|lookup| lookup.standing != Standing::Ended && is_meant(&lookup.question))
    }

    pub(super) fn any_unfinished(&self) -> bool {
        self.0.iter().any(|lookup| lookup.standing != Standing::Ended)
    }

    /// Whether more remote addresses may come.
    pub(super) fn remote_unfinished(&self) -> bool {
        let remote = |lookup: &&Lookup| lookup.question.kind != QuestionKind::Local;
        self.0.iter().filter(remote).any(|lookup| lookup.standing != Standing::Ended)
    }

    /// Whether a pending lookup gives way to others.
    pub(super) fn any_when_free(&self) -> bool {
        self.0.iter().any(Lookup::gives_way)
    }

    /// Takes a pending lookup that gives way to others for hastened.
    pub(super) fn hasten_one(&mut self) -> Option<(LookupId, Question)> {
        let place = self.0.iter().position(Lookup::gives_way)?;
        self.0[place].urgency = Urgency::Now;
        Some((LookupId(place as u32), self.0[place].question))
    }

    /// A pending lookup is answered, has failed or is given up.
    pub(super) fn ended(&mut self, lookup: LookupId) {
        self.0[lookup.0 as usize].standing = Standing::Ended;
    }

    /// Strikes out what was not asked yet, which stands behind all that was.
    pub(super) fn forget_unasked(&mut self) {
        self.0.retain(|lookup| lookup.standing != Standing::Wanted);
    }

    fn first(&self, standing: Standing) -> Option<usize> {
        self.0.iter().position(|lookup| lookup.standing == standing)
    }
}

impl Lookup {
    fn gives_way(&self) -> bool {
        self.standing == Standing::Pending && self.urgency == Urgency::WhenFree
    }
}
