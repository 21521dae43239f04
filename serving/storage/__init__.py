"""File systems that hold models, and checks whether a version is completely written."""
