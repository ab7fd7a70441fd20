use std::sync::Arc;

use k8s_openapi::api::core::v1::Event;

use super::others::Related;
use super::text::{Text, clean};
use crate::printer::duration::{Moment, human_duration};
use crate::printer::rows::{event_count, event_time, first_seen, since};

/// The event list at the end of a description, oldest first.
pub(super) fn events(text: &mut Text, related: &Related, moment: &Moment) {
    let events = &related.events;
    if related.without_events {
        return;
    }
    if events.is_empty() {
        text.pair("Events", "<none>");
        return;
    }
    let mut sorted: Vec<&Arc<Event>> = events.iter().collect();
    sorted.sort_by_key(|event| event_time(event));
    text.line(0, format_args!("Events:"));
    text.line(1, format_args!("Type\tReason\tAge\tFrom\tMessage"));
    text.line(1, format_args!("----\t------\t----\t----\t-------"));
    for event in sorted {
        let part = |text: &Option<String>| clean(text.as_deref().unwrap_or_default());
        let component = event
            .source
            .as_ref()
            .and_then(|source| source.component.clone());
        let from = component
            .filter(|component| !component.is_empty())
            .or_else(|| event.reporting_component.clone())
            .unwrap_or_default();
        // Since 1.36 the message says which container it is about.
        let about = match event.involved_object.field_path.as_deref() {
            Some(path) if !path.is_empty() => format!("{path}: "),
            _ => String::new(),
        };
        let message = part(&event.message);
        text.line(
            1,
            format_args!(
                "{}\t{}\t{}\t{from}\t{about}{}",
                part(&event.type_),
                part(&event.reason),
                interval(event, moment),
                message.trim()
            ),
        );
    }
}

/// `5s`, or `10s (x3 over 20s)` for a repeated event.
pub(crate) fn interval(event: &Event, moment: &Moment) -> String {
    let first = since(moment.now, first_seen(event));
    let count = event_count(event);
    match event_time(event) {
        Some(last) if count > 1 => {
            let last = human_duration(moment.now.duration_since(last));
            format!("{last} (x{count} over {first})")
        }
        _ => first,
    }
}
