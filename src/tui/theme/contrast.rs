//! Every truecolor theme can be read: contrast ratios by WCAG 2.2, "Contrast (Minimum)".

use ratatui::style::{Color, Modifier, Style};

use super::{Catalog, Theme};

/// Text; WCAG level AA.
const TEXT: f64 = 4.5;
/// Large or less important text, and text on the selected row.
const WEAK: f64 = 3.0;

fn luminance(color: Color) -> Option<f64> {
    let Color::Rgb(red, green, blue) = color else {
        return None;
    };
    let part = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.03928 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    Some(0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue))
}

fn contrast(style: Style) -> Option<f64> {
    let (mut front, mut back) = (luminance(style.fg?)?, luminance(style.bg?)?);
    if style.add_modifier.contains(Modifier::REVERSED) {
        (front, back) = (back, front);
    }
    Some((front.max(back) + 0.05) / (front.min(back) + 0.05))
}

#[track_caller]
fn check(theme: &Theme, what: &str, style: Style, least: f64) {
    let ratio = contrast(style).unwrap_or_else(|| panic!("{} {what}: not truecolor", theme.name));
    assert!(
        ratio >= least,
        "{} {what}: contrast {ratio:.2}, needs {least}",
        theme.name
    );
}

fn check_theme(theme: &Theme) {
    let styles = &theme.styles;
    let on = |back: Style, style: Style| styles.text.patch(back).patch(style);
    let strong = [
        ("text", Style::new()),
        ("ok", styles.ok),
        ("wait", styles.wait),
        ("bad", styles.bad),
        ("warning", styles.warning),
        ("key", styles.key),
        ("mode", styles.mode),
        ("marker", styles.marker),
        ("matched", styles.matched),
        ("overlay_title", styles.overlay_title),
    ];
    for (what, style) in strong {
        check(theme, what, on(Style::new(), style), TEXT);
        check(theme, what, on(styles.overlay, style), TEXT);
        check(theme, what, on(styles.selected, style), WEAK);
    }
    let weak = [
        ("dim", styles.dim),
        ("done", styles.done),
        ("title", styles.title),
    ];
    for (what, style) in weak {
        check(theme, what, on(Style::new(), style), WEAK);
        check(theme, what, on(styles.overlay, style), WEAK);
    }
    for index in 0..theme.containers.len() {
        check(
            theme,
            "containers",
            on(Style::new(), theme.container(index)),
            TEXT,
        );
    }
}

#[test]
fn truecolor_themes_can_be_read() {
    let catalog = Catalog::default();
    let (mut dark, mut light) = (0, 0);
    for name in catalog.names() {
        let theme = catalog.find(name).unwrap();
        let Some(back) = theme.styles.text.bg.and_then(luminance) else {
            continue;
        };
        check_theme(&theme);
        if back < 0.2 {
            dark += 1;
        } else {
            light += 1;
        }
    }
    assert!(dark >= 2 && light >= 2, "{dark} dark, {light} light");
}
