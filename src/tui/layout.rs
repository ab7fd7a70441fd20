//! Where the regions are, for every size from 1x1 up. Pure, so that the view and the mouse agree.

use ratatui::layout::{Position, Rect};

use super::overlay::Focus;

const SIDE_BY_SIDE: u16 = 120;

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
    pub(super) hints: Rect,
}

/// `rows` is the number of rows the list would like to show.
pub(super) fn areas(screen: Rect, rows: usize, zoomed: Option<Focus>) -> Areas {
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
        hints: Rect {
            y: screen.y + screen.height - hints_height,
            height: hints_height,
            ..screen
        },
    };
    match zoomed {
        Some(Focus::List) => areas.list = body,
        Some(Focus::Inspector) => areas.inspector = body,
        None if body.height < 8 => areas.list = body,
        None if body.width >= SIDE_BY_SIDE => split_columns(&mut areas, body),
        None => split_rows(&mut areas, body, rows),
    }
    areas
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
    let height = wanted.clamp(4, body.height / 2);
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
                for zoomed in [None, Some(Focus::List), Some(Focus::Inspector)] {
                    let screen = Rect::new(0, 0, width, height);
                    let areas = areas(screen, 12, zoomed);
                    let all = [
                        areas.header,
                        areas.list,
                        areas.divider,
                        areas.inspector,
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
