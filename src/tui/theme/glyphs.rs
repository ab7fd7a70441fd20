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
    };
}
