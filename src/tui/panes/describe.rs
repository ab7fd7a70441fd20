use super::canvas::Canvas;
use crate::tui::model::Model;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let inspector = &model.inspector;
    let styles = &model.look.theme.styles;
    let lines = inspector.describe.iter().skip(inspector.describe_top);
    for (row, line) in lines.take(canvas.height()).enumerate() {
        canvas.put_cut(
            1,
            row,
            canvas.width(),
            line,
            styles.text,
            model.look.glyphs.ellipsis,
        );
    }
}
