"""The companion: what runs notebooks and sweeps, and makes the book of them."""
