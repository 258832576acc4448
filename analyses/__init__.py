"""One script a question: sweep, table, figure."""
