"""Fault injection: a schedule of faults, and cameras, engines and sockets that fail by it."""
