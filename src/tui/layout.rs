//! Where the regions are, for every size from 1x1 up. Pure, so that the view and the mouse agree.

use ratatui::layout::{Position, Rect};

use super::overlay::Focus;
use serde::{Deserialize, Serialize};

const SIDE_BY_SIDE: u16 = 120;
/// Room for three regions on top of each other.
pub(super) const MANY_ROWS: u16 = 36;
/// What a divider leaves on either side of it.
const LEAST_ROWS: u16 = 3;
const LEAST_COLUMNS: u16 = 20;

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
    pub(super) shares: Shares,
}

/// Where somebody has put the dividers, in thousandths of what they divide; `None`: where they fall by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Shares {
    /// Width of the list beside the inspector.
    pub(super) columns: Option<u16>,
    /// Height of the list above the inspector.
    pub(super) rows: Option<u16>,
    /// Height of what is above the terminal.
    pub(super) terminal: Option<u16>,
}

/// What lies between two regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Divider {
    Columns,
    Rows,
    Terminal,
}

impl Shares {
    pub(super) const fn of(&mut self, divider: Divider) -> &mut Option<u16> {
        match divider {
            Divider::Columns => &mut self.columns,
            Divider::Rows => &mut self.rows,
            Divider::Terminal => &mut self.terminal,
        }
    }
}

/// So many of `whole`, and at least `least` on both sides.
fn part(share: u16, whole: u16, least: u16) -> u16 {
    let part = (u32::from(share) * u32::from(whole)).div_ceil(1000);
    let part = u16::try_from(part).unwrap_or(whole);
    let least = least.min(whole / 2);
    part.clamp(least, whole - least)
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
            split_rows(&mut areas, body, rows, split.shares);
            areas.terminal = std::mem::replace(&mut areas.inspector, nothing);
        }
        (_, true) => split_terminal(&mut areas, body, rows, split.shares),
        (_, false) if body.width >= SIDE_BY_SIDE => split_columns(&mut areas, body, split.shares),
        (_, false) => split_rows(&mut areas, body, rows, split.shares),
    }
    areas
}

/// The terminal gets most of the rows; above it the others stay in sight as far as they can.
fn split_terminal(areas: &mut Areas, body: Rect, rows: usize, shares: Shares) {
    let is_wide = body.width >= SIDE_BY_SIDE;
    let above = match body.height {
        0..12 => 3,
        12..18 => 4,
        // Heading and three rows, title and four rows.
        18..MANY_ROWS if !is_wide => 9,
        height => height * 2 / 5,
    };
    let above = shares
        .terminal
        .map_or(above, |share| part(share, body.height, LEAST_ROWS));
    let top = Rect {
        height: above,
        ..body
    };
    match body.height {
        _ if above < 8 => areas.list = top,
        _ if is_wide => split_columns(areas, top, shares),
        _ => split_rows(areas, top, rows, shares),
    }
    areas.terminal = Rect {
        y: body.y + above,
        height: body.height - above,
        ..body
    };
}

fn split_columns(areas: &mut Areas, body: Rect, shares: Shares) {
    let left = shares.columns.map_or(body.width / 2, |share| {
        part(share, body.width, LEAST_COLUMNS)
    });
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

fn split_rows(areas: &mut Areas, body: Rect, rows: usize, shares: Shares) {
    let wanted = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    let height = wanted.clamp(4, (body.height / 2).max(4));
    let height = shares
        .rows
        .map_or(height, |share| part(share, body.height, LEAST_ROWS));
    areas.list = Rect { height, ..body };
    areas.inspector = Rect {
        y: body.y + height,
        height: body.height - height,
        ..body
    };
}

impl Areas {
    /// The divider at this place: the rule between list and inspector, or the title of the region below it.
    pub(super) fn divider_at(&self, position: Position) -> Option<Divider> {
        let title = |region: Rect| Rect {
            height: region.height.min(1),
            ..region
        };
        if self.list.is_empty() {
            None
        } else if self.divider.contains(position) {
            Some(Divider::Columns)
        } else if title(self.terminal).contains(position) {
            Some(Divider::Terminal)
        } else if self.divider.is_empty() && title(self.inspector).contains(position) {
            Some(Divider::Rows)
        } else {
            None
        }
    }

    /// The share a divider has when it is moved to this place.
    pub(super) fn share_at(&self, divider: Divider, position: Position) -> Option<u16> {
        let top = self.header.bottom();
        let (before, whole) = match divider {
            Divider::Columns => (
                (position.x + 1).saturating_sub(self.list.x),
                self.list.width + self.divider.width + self.inspector.width,
            ),
            Divider::Rows => (
                position.y.saturating_sub(self.list.y),
                self.list.height + self.inspector.height,
            ),
            Divider::Terminal => (
                position.y.saturating_sub(top),
                self.terminal.bottom().saturating_sub(top),
            ),
        };
        let share = (u32::from(before) * 1000).checked_div(u32::from(whole))?;
        u16::try_from(share.min(1000)).ok()
    }

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
                for number in 0..48 {
                    let split = Split {
                        focus: [Focus::List, Focus::Inspector, Focus::Terminal][number % 3],
                        is_zoomed: number % 12 >= 6,
                        has_terminal: number % 6 >= 3,
                        covers_inspector: number % 24 >= 12,
                        shares: if number < 24 {
                            Shares::default()
                        } else {
                            let share = Some((width * 37 + height * 101) % 1001);
                            Shares {
                                columns: share,
                                rows: share,
                                terminal: share,
                            }
                        },
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

    #[test]
    fn a_divider_stays_where_it_is_put() {
        for (width, height) in [(80, 24), (200, 50), (121, 40)] {
            let mut split = Split {
                focus: Focus::List,
                is_zoomed: false,
                has_terminal: false,
                covers_inspector: false,
                shares: Shares::default(),
            };
            let screen = Rect::new(0, 0, width, height);
            for at in 5..height - 5 {
                let before = areas(screen, 3, split);
                let (divider, position) = if width >= SIDE_BY_SIDE {
                    (Divider::Columns, Position::new(at + 20, 3))
                } else {
                    (Divider::Rows, Position::new(3, at))
                };
                *split.shares.of(divider) = before.share_at(divider, position);
                let after = areas(screen, 3, split);
                assert_eq!(after.divider_at(position), Some(divider), "{width} {at}");
            }
        }
    }
}
