"""File systems that hold models, and checks that a version is completely written."""
