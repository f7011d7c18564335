"""The bench: every op beside its rivals and beside a copy of the same bytes, behind a check of its answers."""
