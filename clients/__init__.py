"""The receiving side: a receiver, a listener that prints packets, and a view in the browser."""
