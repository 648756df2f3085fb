"""HandMap Edge: 21 metric hand joints from a depth camera, as a library and as a service."""

__version__ = "0.1.0"
