"""One run of a notebook: parameters, provenance, execution."""
