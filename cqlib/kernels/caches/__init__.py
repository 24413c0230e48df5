"""Machine code that is kept from process to process, and the folders it is kept in."""
