"""Measurements over emulated links, and distributed training on one machine."""
