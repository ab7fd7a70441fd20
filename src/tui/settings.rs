//! What the screen is started with.

use std::path::PathBuf;

use super::theme::Depth;
use crate::config::OnExit;

/// What the screen is started with.
#[derive(Clone, Debug)]
pub(crate) struct TuiSettings {
    /// Name of what is looked at, for the header: `local`.
    pub(crate) context: String,
    /// `None` = all namespaces.
    pub(crate) namespace: Option<String>,
    pub(crate) on_exit: OnExit,
    /// Nothing can be changed from this screen.
    pub(crate) readonly: bool,
    /// `NO_COLOR` is set and not empty.
    pub(crate) no_color: bool,
    /// The terminal shows only ASCII.
    pub(crate) ascii: bool,
    pub(super) depth: Depth,
    /// `config.toml`, `keys.toml` and `themes/` are read from here and followed; `None` = none of them.
    pub(crate) config_dir: Option<PathBuf>,
    /// Where the texts of open editors are kept for the case of a crash; `None` keeps none.
    pub(crate) edits_dir: Option<std::path::PathBuf>,
    /// The file of the views; `None` keeps none.
    pub(crate) session_file: Option<PathBuf>,
    /// The namespace was asked for: it wins over the one of the last time.
    pub(crate) namespace_is_given: bool,
    /// Where everything that is drawn is recorded.
    pub(crate) record: Option<PathBuf>,
}

impl TuiSettings {
    /// The defaults for a terminal with this environment (`NO_COLOR`, `LC_ALL`, `LC_CTYPE`, `LANG`).
    pub(crate) fn from_env(on_exit: OnExit, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        // locale(7): the first of these that is set decides.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let is_utf8 = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self {
            context: "local".to_owned(),
            namespace: Some("default".to_owned()),
            on_exit,
            readonly: false,
            no_color: set("NO_COLOR").is_some(),
            ascii: !is_utf8,
            depth: Depth::from_env(&variable),
            config_dir: None,
            edits_dir: None,
            session_file: None,
            namespace_is_given: false,
            record: None,
        }
    }
}
