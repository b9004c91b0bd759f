"""The hostile rows: what is broken on purpose, and what must come of it."""
