"""What any long-running program wants: configuration, timing, progress, sd_notify, and which Jetson release this is."""
