"""Options of the command line: parsing, ranges, combinations, and the checks before a run."""
