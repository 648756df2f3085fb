"""System services: configuration, timing, progress, sd_notify, plug-ins, and the Jetson release."""
