"""Mutants: the library with one behaviour changed on purpose. ``tools/mutants.py`` runs them."""
