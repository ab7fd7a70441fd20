//! Probe workers and handlers (exec, httpGet, tcpSocket, grpc), their thresholds pure.
//!
//! Empty until probes arrive. Until then a pod with probes is admitted with a warning that names each of
//! them (`model::unsupported`), and its containers count as ready as soon as they run, as containers
//! without probes do.
