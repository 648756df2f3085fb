"""Packages for boards: the .deb, and its way into an image that is not yet flashed."""
