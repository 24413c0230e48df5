"""One executed notebook and its folder: parameters, what it was made from, how jobs are run."""
