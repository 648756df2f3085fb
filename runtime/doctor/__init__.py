"""`handmap doctor`: the machine under examination, the checks by subject, and the report."""
