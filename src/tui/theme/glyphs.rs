/// Every sign beyond ASCII and what stands for it where the terminal has only ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Glyphs {
    pub(in crate::tui) rule: char,
    /// The rule of the region that has the focus: not told by colour alone.
    pub(in crate::tui) rule_focused: char,
    pub(in crate::tui) bar: char,
    pub(in crate::tui) bar_focused: char,
    pub(in crate::tui) cursor: char,
    /// A marked row.
    pub(in crate::tui) mark: char,
    pub(in crate::tui) ellipsis: char,
    pub(in crate::tui) ascending: char,
    pub(in crate::tui) descending: char,
    pub(in crate::tui) spark: [char; 8],
    /// A cell of a chart that is full.
    pub(in crate::tui) full: char,
    /// Where a limit and where a request is in a chart.
    pub(in crate::tui) limit: char,
    pub(in crate::tui) request: char,
    /// In a tree: a level that goes on, none, a child with others behind it, the last one.
    pub(in crate::tui) tree: [&'static str; 4],
}

impl Glyphs {
    pub(in crate::tui) const UNICODE: Self = Self {
        rule: '─',
        rule_focused: '━',
        bar: '│',
        bar_focused: '┃',
        cursor: '▶',
        mark: '●',
        ellipsis: '…',
        ascending: '↑',
        descending: '↓',
        spark: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
        full: '█',
        limit: '─',
        request: '┄',
        tree: ["│ ", "  ", "├─", "└─"],
    };

    pub(in crate::tui) const ASCII: Self = Self {
        rule: '-',
        rule_focused: '=',
        bar: '|',
        bar_focused: '#',
        cursor: '>',
        mark: '*',
        ellipsis: '~',
        ascending: '^',
        descending: 'v',
        spark: ['.', '.', ':', '-', '=', '+', '#', '|'],
        full: '#',
        limit: '-',
        request: '.',
        tree: ["| ", "  ", "|-", "`-"],
    };
}
