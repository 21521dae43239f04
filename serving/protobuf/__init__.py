"""Protocol buffer encoding and decoding without generated classes."""
