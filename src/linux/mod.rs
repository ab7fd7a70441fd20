//! Safe wrappers of kernel interfaces; the only room with unsafe code.
