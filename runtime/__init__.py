"""The daemon around the library: cameras, main loop, publishing, and the tools to record, check and benchmark."""
