//! Objects to table rows and describe text, as kubectl prints them. Pure.
