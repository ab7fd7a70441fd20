//! Pod volumes become prepared directories and a list of plain mounts.
