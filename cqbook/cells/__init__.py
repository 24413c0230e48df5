"""Modules for notebooks: claims, figures, results, and setup of the kernel."""
