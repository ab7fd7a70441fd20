//! Keys of the editor, of lines of input and of overlays come from `keys.toml`, and hints and help from them.

use crate::tui::inspector::ProcessOrder;
use crate::tui::keymap::Keymap;
use crate::tui::testing::Screen;

fn with_keys(file: &str) -> Screen {
    let mut screen = Screen::populated(120, 30);
    let (keymap, problems) = Keymap::from_file(file);
    assert_eq!(problems, [""; 0]);
    screen.model.keymap = keymap;
    screen
}

fn last_row(screen: &mut Screen) -> String {
    screen.text().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn the_editor_does_and_says_what_the_file_wants() {
    let mut screen = with_keys(
        "[editor]\neditor-review = \"ctrl-g\"\neditor-leave = \"ctrl-q\"\n[review]\neditor-accept = \"Y\"\n",
    );
    screen.keys("e");
    let hints = last_row(&mut screen);
    assert!(
        hints.contains("ctrl-g review and apply  ctrl-q leave"),
        "{hints}"
    );
    screen.keys("<ctrl-s>");
    assert!(last_row(&mut screen).contains("ctrl-g review"));
    screen.keys("<f1>");
    let help = screen.text();
    assert!(
        help.contains("ctrl-g                 review the difference"),
        "{help}"
    );
    screen.keys("<esc># mine<enter><ctrl-g>");
    let hints = last_row(&mut screen);
    assert!(hints.contains("Y apply  esc back to the text"), "{hints}");
    screen.keys("q<ctrl-q>");
    assert!(
        screen
            .text()
            .contains("The text was changed and is not applied")
    );
}

#[test]
fn esc_gets_out_whatever_the_file_says() {
    let mut screen = with_keys(
        "[editor]\neditor-leave = \"\"\n[input]\ninput-cancel = \"ctrl-g\"\ninput-next = \"ctrl-n\"\n",
    );
    screen.keys(":");
    let keys = last_row(&mut screen);
    assert!(
        keys.contains("ctrl-n complete  enter do it  ctrl-g cancel"),
        "{keys}"
    );
    screen.keys("<esc>");
    assert!(screen.model.overlays.is_empty());
    screen.keys("D");
    let hints = last_row(&mut screen);
    assert!(
        hints.contains("ctrl-n other answer  ctrl-g cancel"),
        "{hints}"
    );
    screen.keys("<ctrl-g>e<esc>");
    assert!(screen.model.overlays.is_empty() && screen.model.editing.editor.is_none());
}

#[test]
fn lists_to_choose_from_move_as_the_file_wants() {
    let mut screen = with_keys("[input]\ninput-next = \"ctrl-n\"\ninput-previous = \"ctrl-p\"\n");
    screen.keys("o<ctrl-n><ctrl-n><ctrl-p><enter>");
    let by_second = screen.model.list.sort;
    screen.keys("o<esc>");
    assert_eq!(screen.model.list.sort, by_second);
    assert_ne!(by_second, Screen::populated(120, 30).model.list.sort);
}

#[test]
fn processes_are_put_in_order() {
    let mut screen = Screen::populated(120, 30);
    screen.keys("4<tab>C");
    assert_eq!(screen.model.inspector.procs_order, ProcessOrder::Cpu);
    assert!(last_row(&mut screen).contains("C by cpu"));
    screen.keys("t");
    assert_eq!(screen.model.inspector.procs_order, ProcessOrder::Tree);
}
