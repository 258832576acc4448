"""Code lengths of a model and its data: one method a file; methods never import one another."""
