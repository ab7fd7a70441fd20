//! The screen: pure model, update and view; effects run beside them.
