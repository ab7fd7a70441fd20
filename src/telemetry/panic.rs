use std::backtrace::Backtrace;

/// Logs a panic with its backtrace, then calls the hook that was there before (the one that restores the
/// terminal, or the default one that prints).
pub(super) fn install() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info
            .location()
            .map_or_else(String::new, ToString::to_string);
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without a message");
        tracing::error!(place, backtrace = %Backtrace::force_capture(), "panic: {message}");
        previous(info);
    }));
}
