"""The book: its contents, its staged source, and the pages made from results."""
