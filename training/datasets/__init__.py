"""Fixed sets of synthetic hands: `synthetic:val`, the hard sets, and the two-hand sequences."""
