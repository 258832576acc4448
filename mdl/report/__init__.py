"""One page of HTML about weights or a sweep: it holds all it needs, and asks nothing of anybody."""

from mdl.report.writing import write

__all__ = ["write"]
