"""The companion: it runs notebooks and sweeps, and makes the book from them."""
