//! How things look: the theme that is used, made fit for the terminal, and the themes to choose from.

use super::theme::{Catalog, Depth, Glyphs, Theme};

#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) theme: Theme,
    pub(super) glyphs: Glyphs,
    /// Themes may not bring colours back.
    pub(super) no_color: bool,
    depth: Depth,
    catalog: Catalog,
    /// What `config.toml` names: it comes back with the next start.
    configured: Option<String>,
    /// Chosen on this screen, or on the one before.
    pub(super) chosen: Option<String>,
    /// The name of the theme that comes back when the one on the screen is only tried.
    trying_instead_of: Option<String>,
}

impl Look {
    /// With the default theme.
    pub(super) fn new(glyphs: Glyphs, no_color: bool, depth: Depth) -> Self {
        let catalog = Catalog::default();
        let theme = catalog
            .find("default")
            .expect("a test parses every theme of the binary");
        let mut look = Self {
            theme: theme.clone(),
            glyphs,
            no_color,
            depth,
            catalog,
            configured: None,
            chosen: None,
            trying_instead_of: None,
        };
        look.theme = look.fit(theme);
        look
    }

    pub(super) fn theme_names(&self) -> Vec<&str> {
        self.catalog.names()
    }

    /// Uses other theme files; the theme in use is read anew when it still exists.
    pub(super) fn set_catalog(&mut self, catalog: Catalog) {
        self.catalog = catalog;
        if let Ok(theme) = self.catalog.find(&self.theme.name) {
            self.theme = self.fit(theme);
        }
    }

    /// # Errors
    /// As [`Catalog::find`]; the theme stays as it is.
    pub(super) fn set_theme(&mut self, name: &str) -> Result<(), String> {
        let theme = self.catalog.find(name)?;
        self.theme = self.fit(theme);
        self.trying_instead_of = None;
        Ok(())
    }

    /// The theme that `config.toml` names now, if it names one. One that was chosen on the screen stays while the
    /// name there stays the same.
    ///
    /// # Errors
    /// As [`Catalog::find`]; the theme stays as it is.
    pub(super) fn configure(&mut self, name: Option<&str>) -> Result<(), String> {
        if self.configured.as_deref() == name {
            return Ok(());
        }
        let chosen = self.chosen.clone().filter(|_| name.is_none());
        self.set_theme(name.or(chosen.as_deref()).unwrap_or("default"))?;
        self.configured = name.map(str::to_owned);
        Ok(())
    }

    /// What a person wants to see from now on; true when it is kept for the next start.
    ///
    /// # Errors
    /// As [`Catalog::find`]; the theme stays as it is.
    pub(super) fn choose(&mut self, name: &str) -> Result<bool, String> {
        self.set_theme(name)?;
        self.chosen = Some(self.theme.name.clone());
        Ok(self.configured.is_none())
    }

    /// The theme of the last screen, unless something else was wanted meanwhile.
    ///
    /// # Errors
    /// As [`Catalog::find`]; the theme stays as it is.
    pub(super) fn restore(&mut self, name: &str) -> Result<(), String> {
        if self.configured.is_some() || self.chosen.is_some() {
            return Ok(());
        }
        self.choose(name).map(|_| ())
    }

    /// Shows a theme until [`stop_trying`](Self::stop_trying); an unknown name stops as well.
    pub(super) fn try_theme(&mut self, name: &str) {
        let Ok(theme) = self.catalog.find(name) else {
            self.stop_trying();
            return;
        };
        let theme = self.fit(theme);
        let before = std::mem::replace(&mut self.theme, theme).name;
        self.trying_instead_of.get_or_insert(before);
    }

    pub(super) fn stop_trying(&mut self) {
        let Some(name) = self.trying_instead_of.take() else {
            return;
        };
        if let Ok(theme) = self.catalog.find(&name) {
            self.theme = self.fit(theme);
        }
    }

    fn fit(&self, theme: Theme) -> Theme {
        if self.no_color {
            theme.without_colors()
        } else {
            theme.at_depth(self.depth)
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Color;

    use super::*;

    #[test]
    fn a_theme_that_is_only_tried_goes_away_again() {
        let mut look = Look::new(Glyphs::UNICODE, false, Depth::True);
        look.try_theme("paper");
        look.try_theme("ember");
        assert_eq!(look.theme.name, "ember");
        look.try_theme("no such");
        assert_eq!(look.theme.name, "default");
        look.try_theme("paper");
        look.set_theme("paper").unwrap();
        look.stop_trying();
        assert_eq!(look.theme.name, "paper");
    }

    #[test]
    fn no_color_and_depth_hold_for_every_theme() {
        let mut look = Look::new(Glyphs::UNICODE, true, Depth::True);
        look.set_theme("paper").unwrap();
        assert_eq!(look.theme.styles.text.bg, None);
        let mut look = Look::new(Glyphs::UNICODE, false, Depth::Sixteen);
        look.set_theme("paper").unwrap();
        assert_eq!(look.theme.styles.text.bg, Some(Color::White));
    }
}
