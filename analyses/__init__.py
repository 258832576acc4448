"""One module a question: it measures a table, and draws, counts and answers from that table alone.

``python -m analyses`` lists them, ``python -m analyses.NAME`` runs one. A file that starts with ``_`` is no analysis.
"""
