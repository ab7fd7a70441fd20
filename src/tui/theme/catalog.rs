//! The themes there are, by name: those of the binary and those of the user, who wins.

use std::collections::BTreeMap;

use super::Theme;

const BUILT_IN: &[(&str, &str)] = &[
    ("default", include_str!("../../../themes/default.toml")),
    ("dune", include_str!("../../../themes/dune.toml")),
    ("ember", include_str!("../../../themes/ember.toml")),
    ("harbor", include_str!("../../../themes/harbor.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
    ("paper", include_str!("../../../themes/paper.toml")),
];

/// A theme that does not parse stays in the catalog with its problem, so that choosing it says why.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Catalog {
    users: BTreeMap<String, Result<Theme, String>>,
}

impl Catalog {
    /// With the user's files: name without `.toml`, and the text or why it cannot be read.
    pub(in crate::tui) fn new(
        files: impl IntoIterator<Item = (String, Result<String, String>)>,
    ) -> Self {
        let parse = |(name, text): (String, Result<String, String>)| {
            let theme = text
                .and_then(|text| Theme::parse(&name, &text).map_err(|problem| problem.to_string()));
            (name, theme)
        };
        Self {
            users: files.into_iter().map(parse).collect(),
        }
    }

    /// Every name, sorted.
    pub(in crate::tui) fn names(&self) -> Vec<&str> {
        let built_in = BUILT_IN.iter().map(|(name, _)| *name);
        let mut names: Vec<&str> = built_in
            .chain(self.users.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// # Errors
    /// There is no such theme, or its file is wrong: the text says which and how to mend it.
    pub(in crate::tui) fn find(&self, name: &str) -> Result<Theme, String> {
        if let Some(theme) = self.users.get(name) {
            return theme.clone();
        }
        let (_, text) = BUILT_IN
            .iter()
            .find(|(built_in, _)| *built_in == name)
            .ok_or_else(|| {
                format!(
                    "there is no theme {name:?}: choose one of {}",
                    self.names().join(", ")
                )
            })?;
        Theme::parse(name, text).map_err(|problem| problem.to_string())
    }

    /// What is wrong with the user's files.
    pub(in crate::tui) fn problems(&self) -> impl Iterator<Item = &str> {
        self.users
            .values()
            .filter_map(|theme| theme.as_ref().err().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Color;

    use super::*;

    #[test]
    fn every_built_in_theme_parses() {
        let catalog = Catalog::default();
        assert!(catalog.names().len() >= 6);
        for name in catalog.names() {
            assert_eq!(catalog.find(name).unwrap().name, name);
        }
    }

    #[test]
    fn the_default_theme_uses_only_terminal_colours() {
        for name in ["default", "mono"] {
            Catalog::default().find(name).unwrap().styles.map(|style| {
                for color in [style.fg, style.bg] {
                    assert!(!matches!(color, Some(Color::Rgb(..) | Color::Indexed(_))));
                }
                style
            });
        }
    }

    #[test]
    fn the_users_files_win_and_keep_their_problems() {
        let mine = include_str!("../../../themes/paper.toml").replace("#fbfbf8", "#ffffff");
        let catalog = Catalog::new([
            ("paper".to_owned(), Ok(mine)),
            ("broken".to_owned(), Ok("containers = 1".to_owned())),
            ("secret".to_owned(), Err("permission denied".to_owned())),
        ]);
        let paper = catalog.find("paper").unwrap();
        assert_eq!(paper.styles.text.bg, Some(Color::Rgb(255, 255, 255)));
        assert!(
            catalog
                .find("broken")
                .unwrap_err()
                .contains("themes/broken.toml")
        );
        assert_eq!(catalog.problems().count(), 2);
        let unknown = catalog.find("papr").unwrap_err();
        assert!(unknown.contains("paper"), "{unknown}");
    }
}
