"""What stands at the other end of the wire: a receiver, a listener, a view in the browser."""
