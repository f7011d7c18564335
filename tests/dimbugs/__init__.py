"""DimBugs: buggy and fixed pairs of one kind of mistake, an axis or a loss that means something else than was meant.

A folder is a pair: the mistake in `buggy`, the repair in `fixed`, what is wrong and where it was reported in
`about.toml`, and in `drive.py` what an engine that runs code needs. `python -m tests.dimbugs.score` says what each
engine finds.
"""
