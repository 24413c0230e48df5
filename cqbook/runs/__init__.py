"""Runs: parameters and provenance of an executed notebook, its folder, and running of jobs."""
