"""Packet v1, the only thing on the wire: its fields and its reference codec."""
