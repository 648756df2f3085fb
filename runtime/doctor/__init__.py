"""`handmap doctor`: the machine that is looked at, the checks by subject, and the report."""
