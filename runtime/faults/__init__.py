"""Fault injection: when which fault is in force, and cameras, engines and sockets that fail so."""
