"""The checker, and what tests it."""
