use ratatui::style::Style;

use super::canvas::Canvas;
use crate::tui::theme::Glyphs;

/// A value over time as columns, with lines where a limit and a request are.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// Oldest first; one per column.
    pub(super) steps: &'a [Option<u64>],
    pub(super) limit: Option<u64>,
    pub(super) request: Option<u64>,
    /// What the top of the chart stands for, in words.
    pub(super) format: fn(u64) -> String,
}

pub(super) struct ChartStyles {
    pub(super) title: Style,
    pub(super) columns: Style,
    pub(super) limit: Style,
    pub(super) request: Style,
    pub(super) scale: Style,
}

/// Columns left of the plot, for the numbers of its scale.
pub(super) const SCALE: usize = 7;
/// A limit this many times above the highest value would press the chart flat: it is not drawn then, only told.
const FAR: u64 = 8;

impl Chart<'_> {
    /// The value at the top of the plot.
    fn top(&self) -> u64 {
        let peak = self.steps.iter().flatten().copied().max().unwrap_or(0);
        let near =
            |line: Option<u64>| line.filter(|line| peak == 0 || *line <= peak.saturating_mul(FAR));
        let lines = near(self.limit).max(near(self.request)).unwrap_or(0);
        peak.max(lines).max(1)
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, glyphs: &Glyphs, styles: &ChartStyles) {
        let width = canvas.width();
        canvas.put_cut(1, 0, width, self.title, styles.title, glyphs.ellipsis);
        let height = canvas.height().saturating_sub(1);
        if height == 0 || width <= SCALE {
            return;
        }
        let top = self.top();
        canvas.put_right(SCALE - 1, 1, &(self.format)(top), styles.scale);
        if height > 1 {
            canvas.put_right(SCALE - 1, height, &(self.format)(0), styles.scale);
        }
        self.draw_line(canvas, self.request, height, glyphs.request, styles.request);
        self.draw_line(canvas, self.limit, height, glyphs.limit, styles.limit);
        for (index, step) in self.steps.iter().enumerate() {
            let Some(value) = *step else { continue };
            self.draw_column(canvas, SCALE + index, value, height, glyphs, styles.columns);
        }
    }

    /// A line across the plot, unless it is beyond its top.
    fn draw_line(
        &self,
        canvas: &mut Canvas<'_>,
        value: Option<u64>,
        height: usize,
        glyph: char,
        style: Style,
    ) {
        let Some(value) = value.filter(|value| *value <= self.top() && *value > 0) else {
            return;
        };
        let eighths = scaled(value, self.top(), height);
        // The row that a column of this value ends in.
        let row = height - (eighths.saturating_sub(1) / 8).min(height - 1);
        let text: String = std::iter::repeat_n(glyph, self.steps.len()).collect();
        canvas.put(SCALE, row, &text, style);
    }

    fn draw_column(
        &self,
        canvas: &mut Canvas<'_>,
        column: usize,
        value: u64,
        height: usize,
        glyphs: &Glyphs,
        style: Style,
    ) {
        let mut eighths = scaled(value, self.top(), height);
        let mut row = height;
        while eighths > 0 && row > 0 {
            let glyph = match eighths {
                8.. => glyphs.full,
                part => glyphs.spark[part - 1],
            };
            canvas.put(column, row, glyph.encode_utf8(&mut [0; 4]), style);
            eighths = eighths.saturating_sub(8);
            row -= 1;
        }
    }
}

/// Eighths of rows; something is never drawn as nothing.
fn scaled(value: u64, top: u64, height: usize) -> usize {
    let whole = (height as u64).saturating_mul(8);
    let eighths = u128::from(value) * u128::from(whole) / u128::from(top.max(1));
    let eighths = usize::try_from(eighths)
        .unwrap_or(usize::MAX)
        .min(height * 8);
    if value > 0 { eighths.max(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::*;

    fn drawn(glyphs: &Glyphs, steps: &[Option<u64>], limit: Option<u64>) -> Vec<String> {
        let area = Rect::new(0, 0, 13, 4);
        let mut buffer = Buffer::empty(area);
        let style = Style::new();
        let styles = ChartStyles {
            title: style,
            columns: style,
            limit: style,
            request: style,
            scale: style,
        };
        let chart = Chart {
            title: "T",
            steps,
            limit,
            request: None,
            format: |value| value.to_string(),
        };
        chart.draw(&mut Canvas::new(&mut buffer, area), glyphs, &styles);
        let row = |y| {
            (0..13)
                .map(|x| buffer[(x, y)].symbol().to_owned())
                .collect()
        };
        (0..4).map(row).collect()
    }

    #[test]
    fn values_limits_and_gaps() {
        let steps = [Some(24), None, Some(0), Some(1), Some(12), Some(20)];
        assert_eq!(
            drawn(&Glyphs::UNICODE, &steps, None),
            [
                " T           ",
                "    24 █    ▄",
                "       █   ▄█",
                "     0 █  ▁██",
            ]
        );
        let half = [Some(12); 6];
        assert_eq!(
            drawn(&Glyphs::ASCII, &half, Some(24)),
            [
                " T           ",
                "    24 ------",
                "       ------",
                "     0 ######",
            ]
        );
        // A limit far above would leave nothing to see.
        assert_eq!(drawn(&Glyphs::ASCII, &half, Some(1000))[1], "    12 ######");
    }

    #[test]
    fn no_size_and_no_value_is_too_much() {
        for width in 0..12 {
            for height in 0..5 {
                let area = Rect::new(0, 0, width, height);
                let mut buffer = Buffer::empty(area);
                let style = Style::new();
                let styles = ChartStyles {
                    title: style,
                    columns: style,
                    limit: style,
                    request: style,
                    scale: style,
                };
                let chart = Chart {
                    title: "title",
                    steps: &[Some(u64::MAX), Some(1)],
                    limit: Some(u64::MAX),
                    request: Some(1),
                    format: |value| value.to_string(),
                };
                chart.draw(
                    &mut Canvas::new(&mut buffer, area),
                    &Glyphs::UNICODE,
                    &styles,
                );
            }
        }
    }
}
