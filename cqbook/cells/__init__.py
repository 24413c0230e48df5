"""What a notebook imports: claims, figures, results, and how its kernel is set up."""
