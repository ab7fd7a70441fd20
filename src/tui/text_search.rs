//! Search in the texts of the inspector that stand still: Describe and Spec.

use std::ops::Range;

use super::logs::Pattern;

/// What is looked for, and the line that was gone to last. It outlives the object it was typed for.
#[derive(Clone, Debug, Default)]
pub(super) struct TextSearch {
    pattern: Option<Pattern>,
    at: Option<usize>,
}

impl TextSearch {
    /// As typed; empty when nothing is looked for.
    pub(super) fn text(&self) -> &str {
        self.pattern.as_ref().map_or("", Pattern::text)
    }

    pub(super) fn set(&mut self, text: &str) {
        self.pattern = Pattern::search(text);
        self.at = None;
    }

    /// Another text is shown.
    pub(super) fn forget_place(&mut self) {
        self.at = None;
    }

    /// False when nothing was looked for.
    pub(super) fn stop(&mut self) -> bool {
        self.at = None;
        self.pattern.take().is_some()
    }

    pub(super) fn ranges(&self, line: &str) -> Vec<Range<usize>> {
        let pattern = self.pattern.as_ref();
        pattern.map_or_else(Vec::new, |pattern| pattern.ranges(line))
    }

    /// The line that was gone to last.
    pub(super) fn at(&self) -> Option<usize> {
        self.at
    }

    fn matching<'a>(&'a self, lines: &'a [String]) -> impl DoubleEndedIterator<Item = usize> + 'a {
        let is_match = |line: &String| {
            let pattern = self.pattern.as_ref();
            pattern.is_some_and(|pattern| pattern.is_match(line))
        };
        let found = lines.iter().enumerate();
        found
            .filter(move |(_, line)| is_match(line))
            .map(|(index, _)| index)
    }

    /// The first line with a match from `top` on, else from the start.
    pub(super) fn first(&mut self, lines: &[String], top: usize) -> Option<usize> {
        let from_top = self.matching(lines).find(|&index| index >= top);
        self.at = from_top.or_else(|| self.matching(lines).next());
        self.at
    }

    /// The next line with a match behind or before the last one; `None` leaves everything as it is. Whoever has
    /// scrolled the last one out of `view` goes on from what is seen.
    pub(super) fn step(
        &mut self,
        lines: &[String],
        view: Range<usize>,
        forward: bool,
    ) -> Option<usize> {
        let at = self.at.filter(|at| view.contains(at));
        let found = match (at, forward) {
            (Some(at), true) => self.matching(lines).find(|&index| index > at),
            (Some(at), false) => self.matching(lines).rfind(|&index| index < at),
            (None, true) => self.matching(lines).find(|&index| index >= view.start),
            (None, false) => self.matching(lines).rfind(|&index| index < view.end),
        };
        self.at = found.or(self.at);
        found
    }

    /// `/web 2 of 7 lines`; `None` when nothing is looked for.
    pub(super) fn words(&self, lines: &[String]) -> Option<String> {
        let text = self.pattern.as_ref()?.text();
        let all = self.matching(lines).count();
        let place = self
            .at
            .and_then(|at| self.matching(lines).position(|one| one == at));
        Some(match (all, place) {
            (0, _) => format!("/{text} no match"),
            (1, None) => format!("/{text} 1 line"),
            (all, None) => format!("/{text} {all} lines"),
            (all, Some(place)) => format!("/{text} {} of {all}", place + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<String> {
        ["name: web", "image: x", "env: WEB", "port: 1", "cmd: web"]
            .map(str::to_owned)
            .to_vec()
    }

    #[track_caller]
    fn check(
        search: &mut TextSearch,
        view: Range<usize>,
        forward: bool,
        found: Option<usize>,
        words: &str,
    ) {
        let lines = lines();
        assert_eq!(search.step(&lines, view, forward), found);
        assert_eq!(search.words(&lines).as_deref(), Some(words));
    }

    #[test]
    fn there_and_back() {
        let mut search = TextSearch::default();
        assert_eq!(search.words(&lines()), None);
        search.set("web");
        assert_eq!(search.words(&lines()).as_deref(), Some("/web 3 lines"));
        assert_eq!(search.first(&lines(), 1), Some(2));
        check(&mut search, 0..5, true, Some(4), "/web 3 of 3");
        check(&mut search, 0..5, true, None, "/web 3 of 3");
        check(&mut search, 3..5, false, Some(2), "/web 2 of 3");
        // Scrolled away: from what is in view.
        check(&mut search, 0..2, false, Some(0), "/web 1 of 3");
        check(&mut search, 3..5, true, Some(4), "/web 3 of 3");
        // Nothing from there on: from the start.
        search.set("image");
        assert_eq!(search.first(&lines(), 3), Some(1));
        search.set("none");
        assert_eq!(search.first(&lines(), 0), None);
        assert_eq!(search.words(&lines()).as_deref(), Some("/none no match"));
        assert!(search.stop() && !search.stop());
    }
}
