"""What the documentation's build does beyond Sphinx; only the modules with a ``setup`` need it installed."""
