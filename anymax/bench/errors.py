"""What can be wrong with a request to measure."""


class BenchError(ValueError):
    """A request that cannot be carried out, in one sentence."""
