"""The book: its contents, its source, and the pages made from results."""
