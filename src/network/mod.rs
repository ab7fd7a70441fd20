//! Address allocation and the plain link plan of a sandbox; hosts and resolv.conf text.
