"""Scores of a bundle on data sets and sequences, beside the original HandMap."""
