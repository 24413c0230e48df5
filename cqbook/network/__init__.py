"""Measurements over emulated links, and training between processes."""
