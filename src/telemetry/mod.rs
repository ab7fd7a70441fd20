//! Tracing to a rolling file, and the panic hook.
