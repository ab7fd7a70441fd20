//! A list that follows the changes of single rows is the list that is filtered and sorted anew.

use proptest::prelude::*;
use serde_json::json;

use crate::client::WatchEvent;
use crate::model::{Kind, Object};
use crate::tui::msg::Msg;
use crate::tui::testing::{Screen, changes, crashing, running};

#[derive(Clone, Debug)]
enum Step {
    /// Several changes at once, of pods by number.
    Change(Vec<(u8, What)>),
    Usage(Vec<u64>),
    Keys(usize),
}

#[derive(Clone, Debug)]
enum What {
    Runs { restarts: i32 },
    Crashes,
    Gone,
}

const PODS: u8 = 12;
const KEYS: [&str; 12] = [
    "C",
    "M",
    "R",
    "S",
    "A",
    "N",
    "f",
    "j",
    "G",
    " ",
    "/pod-1<enter>",
    "/~d2<enter>",
];

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        3 => (0..3).prop_map(|restarts| What::Runs { restarts }),
        1 => Just(What::Crashes),
        1 => Just(What::Gone),
    ];
    prop_oneof![
        4 => proptest::collection::vec((0..PODS, what), 1..6).prop_map(Step::Change),
        1 => proptest::collection::vec(0u64..3, usize::from(PODS)).prop_map(Step::Usage),
        2 => (0..KEYS.len()).prop_map(Step::Keys),
    ]
}

fn event(number: u8, what: &What) -> WatchEvent {
    let name = format!("pod-{number}");
    match what {
        What::Gone => WatchEvent::Deleted(running(&name)),
        What::Crashes => WatchEvent::Modified(crashing(&name)),
        What::Runs { restarts } => {
            let mut pod = running(&name).to_value();
            pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
            WatchEvent::Modified(Object::from_value(Kind::Pod, pod).unwrap())
        }
    }
}

fn apply(screen: &mut Screen, step: Step) {
    match step {
        Step::Keys(index) => {
            screen.keys(KEYS[index]);
        }
        Step::Usage(usage) => {
            let names: Vec<String> = (0..usage.len())
                .map(|index| format!("pod-{index}"))
                .collect();
            let pods = names.iter().zip(usage);
            let pods: Vec<_> = pods
                .map(|(name, used)| (name.as_str(), used, used))
                .collect();
            screen.metrics(&pods);
        }
        Step::Change(changed) => {
            let events = changed.iter().map(|(number, what)| event(*number, what));
            let news = changes(events.collect());
            let generation = screen.model.collections.get(Kind::Pod).unwrap().generation;
            screen.send(Msg::Watch {
                kind: Kind::Pod,
                generation,
                news,
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn changes_leave_the_order_that_sorting_makes(steps in proptest::collection::vec(step(), 1..40)) {
        let mut screen = Screen::populated(80, 24);
        for step in steps {
            apply(&mut screen, step);
            let model = &screen.model;
            let mut anew = model.list.clone();
            anew.refresh(&model.collections, &model.metrics);
            let names = |list: &crate::tui::list::List| -> Vec<(String, i64)> {
                let row = |row: &std::sync::Arc<crate::tui::data::Row>| {
                    let restarts = row.pod.as_ref().map_or(0, |facts| facts.summary.restarts);
                    (row.key.name.clone(), restarts)
                };
                list.rows().iter().map(row).collect()
            };
            prop_assert_eq!(names(&model.list), names(&anew));
            prop_assert_eq!(model.list.index(), anew.index());
            prop_assert_eq!(model.list.widths, anew.widths);
            prop_assert_eq!(model.list.marks(), anew.marks());
        }
    }
}
