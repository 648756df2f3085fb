"""The networks for hand, palm and side, and the dense guidance maps that supervise the first."""
