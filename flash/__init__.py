"""Packages for boards: builds the .deb, and installs it into an image before flashing."""
