"""What is a program of its own, and needs an extra."""

collect_ignore = ["guided.py"]
