//! What can be done with the selected object: the menu of it, the command line that does the same outside of the
//! screen, what can be copied, and what `--readonly` refuses.

use std::sync::Arc;

use super::data::Row;
use super::inspector::Tab;
use super::keymap::Cmd;
use crate::model::Kind;
use crate::model::restarts::RESTARTED_AT;

/// What a command line is about: the rows an action applies to, never none.
pub(super) struct Subject<'a> {
    pub(super) rows: &'a [Arc<Row>],
}

impl Subject<'_> {
    fn first(&self) -> &Row {
        &self.rows[0]
    }

    fn kind(&self) -> Kind {
        self.first().key.kind
    }

    fn is_pod(&self) -> bool {
        self.kind() == Kind::Pod
    }

    fn namespace(&self) -> String {
        match &self.first().key.namespace {
            Some(namespace) => format!(" -n {namespace}"),
            None => String::new(),
        }
    }

    /// `podtui VERB KIND NAME -n NAMESPACE`, for the first row.
    fn one(&self, verb: &str, more: &str) -> String {
        let kind = self.kind().singular();
        let name = &self.first().key.name;
        format!("podtui {verb} {kind} {name}{}{more}", self.namespace())
    }

    /// One line per namespace: a request is about one.
    fn all(&self, verb: &str, more: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        let mut rest: Vec<&Arc<Row>> = self.rows.iter().collect();
        while let Some(first) = rest.first() {
            let namespace = first.key.namespace.clone();
            let (here, others): (Vec<_>, Vec<_>) = rest
                .iter()
                .copied()
                .partition(|row| row.key.namespace == namespace);
            let names: Vec<&str> = here.iter().map(|row| row.key.name.as_str()).collect();
            let place = namespace.map_or_else(String::new, |name| format!(" -n {name}"));
            let kind = self.kind().singular();
            lines.push(format!(
                "podtui {verb} {kind} {}{place}{more}",
                names.join(" ")
            ));
            rest = others;
        }
        lines.join("; ")
    }

    fn of_pod(&self, verb: &str, more: &str) -> Option<String> {
        let name = &self.first().key.name;
        self.is_pod()
            .then(|| format!("podtui {verb} {name}{}{more}", self.namespace()))
    }
}

/// One row of the menu.
pub(super) struct Action {
    pub(super) cmd: Cmd,
    pub(super) what: &'static str,
    /// The same from a shell; `None` where it means nothing for this kind, empty where only the screen can do it.
    pub(super) line: fn(&Subject<'_>) -> Option<String>,
}

const fn action(cmd: Cmd, what: &'static str, line: fn(&Subject<'_>) -> Option<String>) -> Action {
    Action { cmd, what, line }
}

const ONLY_HERE: fn(&Subject<'_>) -> Option<String> = |_| Some(String::new());

/// In the order of the menu.
pub(super) const ACTIONS: &[Action] = &[
    action(Cmd::Show(Tab::Logs), "logs", |on| {
        on.of_pod("logs", " --all-containers -f")
    }),
    action(Cmd::Shell, "shell", |on| on.of_pod("exec -it", " -- sh")),
    action(Cmd::Attach, "attach", |on| on.of_pod("attach -it", "")),
    action(Cmd::Show(Tab::Describe), "describe", |on| {
        Some(on.one("describe", ""))
    }),
    action(Cmd::Show(Tab::Spec), "yaml", |on| {
        Some(on.one("get", " -o yaml"))
    }),
    action(Cmd::Show(Tab::Events), "events", |on| {
        let (kind, name) = (on.kind().singular(), &on.first().key.name);
        let line = format!("podtui events --for {kind}/{name}{}", on.namespace());
        (on.kind() != Kind::Event).then_some(line)
    }),
    action(Cmd::Reveal, "secret values", |on| {
        (on.kind() == Kind::Secret).then(|| on.one("get", " -o yaml"))
    }),
    action(Cmd::Edit, "edit", |on| {
        (on.kind() != Kind::Event).then(|| on.one("edit", ""))
    }),
    action(Cmd::EditExternally, "edit in $EDITOR", |on| {
        (on.kind() != Kind::Event).then(|| on.one("edit", ""))
    }),
    action(Cmd::Restart, "restart", |on| {
        let more = format!(" --overwrite {RESTARTED_AT}=$(date -u +%FT%TZ)");
        on.is_pod().then(|| on.all("annotate", &more))
    }),
    action(Cmd::Delete, "delete", |on| {
        (on.kind() != Kind::Node).then(|| on.all("delete", ""))
    }),
    action(Cmd::Copy, "copy ...", ONLY_HERE),
    action(Cmd::Undo, "take back", ONLY_HERE),
    action(Cmd::Mark, "mark", ONLY_HERE),
    action(Cmd::Create, "new object", |_| {
        Some("podtui create -f FILE".to_owned())
    }),
    action(Cmd::Help, "all keys", ONLY_HERE),
];

/// What this does outside of the screen, on these rows.
pub(super) fn command_line(cmd: Cmd, rows: &[Arc<Row>]) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let action = ACTIONS.iter().find(|action| action.cmd == cmd)?;
    (action.line)(&Subject { rows }).filter(|line| !line.is_empty())
}

/// What `--readonly` refuses: everything that changes an object or runs something in a container.
pub(super) const fn changes_something(cmd: Cmd) -> bool {
    matches!(
        cmd,
        Cmd::Create
            | Cmd::Edit
            | Cmd::EditExternally
            | Cmd::Undo
            | Cmd::Delete
            | Cmd::Restart
            | Cmd::Shell
            | Cmd::Attach
    )
}

/// It means something for objects of this kind; hints and help leave out what does not.
pub(super) fn is_for(cmd: Cmd, kind: Kind) -> bool {
    match cmd {
        Cmd::Show(tab) => Tab::of(kind).contains(&tab),
        Cmd::TabNumber(number) => Tab::of(kind).iter().any(|tab| tab.number() == number),
        Cmd::Shell | Cmd::Attach | Cmd::Restart => kind == Kind::Pod,
        Cmd::Edit | Cmd::EditExternally => kind != Kind::Event,
        Cmd::Delete => kind != Kind::Node,
        Cmd::Reveal => kind == Kind::Secret,
        _ => true,
    }
}

/// What of an object can be put into the clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    Name,
    /// As the list shows it.
    Row,
    Address,
    GetCommand,
    LogsCommand,
    ShellCommand,
    Yaml,
}

impl Copied {
    pub(super) const ALL: [Self; 7] = [
        Self::Name,
        Self::Row,
        Self::Address,
        Self::GetCommand,
        Self::LogsCommand,
        Self::ShellCommand,
        Self::Yaml,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Row => "row",
            Self::Address => "address",
            Self::GetCommand => "command: describe",
            Self::LogsCommand => "command: logs",
            Self::ShellCommand => "command: shell",
            Self::Yaml => "yaml",
        }
    }
}

pub(super) fn address_of(row: &Row) -> Option<&str> {
    row.pod.as_ref()?.ip.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::Screen;

    #[track_caller]
    fn check(cmd: Cmd, keys: &str, expected: Option<&str>) {
        let mut screen = Screen::populated(80, 24);
        screen.keys(keys);
        let rows = screen.model.list.targets(&screen.model.collections);
        assert_eq!(command_line(cmd, &rows).as_deref(), expected);
    }

    #[test]
    fn command_lines() {
        check(
            Cmd::Shell,
            "",
            Some("podtui exec -it api-7d9 -n default -- sh"),
        );
        check(
            Cmd::Show(Tab::Events),
            "",
            Some("podtui events --for pod/api-7d9 -n default"),
        );
        check(
            Cmd::Delete,
            "<space><space>",
            Some("podtui delete pod api-7d9 web-0 -n default"),
        );
        check(Cmd::Copy, "", None);
        check(Cmd::Reveal, "", None);
    }
}
