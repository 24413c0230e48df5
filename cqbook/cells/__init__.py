"""Modules that notebooks import: claims, figures, results, setup of the kernel."""
