//! The Kubernetes HTTP API over Client, on the unix socket.
