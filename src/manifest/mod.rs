//! YAML text to objects and back, with a line and column for every diagnostic.
