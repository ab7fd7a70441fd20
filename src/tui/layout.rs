//! Where the regions are, for every size from 1x1 up. Pure, so that the view and the mouse agree.

use ratatui::layout::{Position, Rect};

use super::overlay::Focus;

const SIDE_BY_SIDE: u16 = 120;
/// Room for three regions on top of each other.
pub(super) const MANY_ROWS: u16 = 36;

/// A region that has no room is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) header: Rect,
    /// With its heading row.
    pub(super) list: Rect,
    /// The rule between list and inspector when they stand side by side.
    pub(super) divider: Rect,
    /// With its title row.
    pub(super) inspector: Rect,
    /// With its title row.
    pub(super) terminal: Rect,
    pub(super) hints: Rect,
}

/// What decides about the regions besides the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) focus: Focus,
    pub(super) is_zoomed: bool,
    pub(super) has_terminal: bool,
    /// The terminal stands for the inspector: `$EDITOR` has its text.
    pub(super) covers_inspector: bool,
}

/// `rows` is the number of rows the list would like to show.
pub(super) fn areas(screen: Rect, rows: usize, split: Split) -> Areas {
    let header_height = u16::from(screen.height >= 3);
    let hints_height = u16::from(screen.height >= 5);
    let body = Rect {
        y: screen.y + header_height,
        height: screen.height - header_height - hints_height,
        ..screen
    };
    let nothing = Rect::new(screen.x, screen.y, 0, 0);
    let mut areas = Areas {
        header: Rect {
            height: header_height,
            ..screen
        },
        list: nothing,
        divider: nothing,
        inspector: nothing,
        terminal: nothing,
        hints: Rect {
            y: screen.y + screen.height - hints_height,
            height: hints_height,
            ..screen
        },
    };
    match (split.focus, split.has_terminal) {
        (Focus::List, _) if split.is_zoomed => areas.list = body,
        (Focus::Inspector, _) if split.is_zoomed => areas.inspector = body,
        (Focus::Terminal, true) if split.is_zoomed || body.height < 8 => areas.terminal = body,
        _ if body.height < 8 => areas.list = body,
        (Focus::Terminal, true) if split.covers_inspector => {
            split_rows(&mut areas, body, rows);
            areas.terminal = std::mem::replace(&mut areas.inspector, nothing);
        }
        (_, true) => split_terminal(&mut areas, body, rows),
        (_, false) if body.width >= SIDE_BY_SIDE => split_columns(&mut areas, body),
        (_, false) => split_rows(&mut areas, body, rows),
    }
    areas
}

/// The terminal gets most of the rows; above it the others stay in sight as far as they can.
fn split_terminal(areas: &mut Areas, body: Rect, rows: usize) {
    let is_wide = body.width >= SIDE_BY_SIDE;
    let above = match body.height {
        0..12 => 3,
        12..18 => 4,
        // Heading and three rows, title and four rows.
        18..MANY_ROWS if !is_wide => 9,
        height => height * 2 / 5,
    };
    let top = Rect {
        height: above,
        ..body
    };
    match body.height {
        ..18 => areas.list = top,
        _ if is_wide => split_columns(areas, top),
        _ => split_rows(areas, top, rows),
    }
    areas.terminal = Rect {
        y: body.y + above,
        height: body.height - above,
        ..body
    };
}

fn split_columns(areas: &mut Areas, body: Rect) {
    let left = body.width / 2;
    areas.list = Rect {
        width: left - 1,
        ..body
    };
    areas.divider = Rect {
        x: body.x + left - 1,
        width: 1,
        ..body
    };
    areas.inspector = Rect {
        x: body.x + left,
        width: body.width - left,
        ..body
    };
}

fn split_rows(areas: &mut Areas, body: Rect, rows: usize) {
    let wanted = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    let height = wanted.clamp(4, (body.height / 2).max(4));
    areas.list = Rect { height, ..body };
    areas.inspector = Rect {
        y: body.y + height,
        height: body.height - height,
        ..body
    };
}

impl Areas {
    pub(super) fn focus_at(&self, position: Position) -> Option<Focus> {
        if self.list.contains(position) {
            Some(Focus::List)
        } else if self.inspector.contains(position) {
            Some(Focus::Inspector)
        } else if self.terminal.contains(position) {
            Some(Focus::Terminal)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_never_overlap_or_leave_the_screen() {
        for width in (1..300).step_by(7) {
            for height in 1..80 {
                for number in 0..24 {
                    let split = Split {
                        focus: [Focus::List, Focus::Inspector, Focus::Terminal][number % 3],
                        is_zoomed: number % 12 >= 6,
                        has_terminal: number % 6 >= 3,
                        covers_inspector: number >= 12,
                    };
                    let screen = Rect::new(0, 0, width, height);
                    let areas = areas(screen, 12, split);
                    let all = [
                        areas.header,
                        areas.list,
                        areas.divider,
                        areas.inspector,
                        areas.terminal,
                        areas.hints,
                    ];
                    for (index, one) in all.iter().enumerate() {
                        assert_eq!(
                            screen.intersection(*one).area(),
                            one.area(),
                            "{screen} {one}"
                        );
                        for other in &all[index + 1..] {
                            assert_eq!(
                                one.intersection(*other).area(),
                                0,
                                "{screen} {one} {other}"
                            );
                        }
                    }
                    let covered: u32 = all.iter().map(|one| one.area()).sum();
                    assert_eq!(covered, screen.area(), "{screen}");
                }
            }
        }
    }
}
