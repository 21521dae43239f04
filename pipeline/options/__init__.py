"""Command-line options: parsing, ranges, combinations, checks before a run."""
