//! Probe workers and handlers. Empty until probes arrive; a pod with probes is admitted with a warning.
