"""The receiving end of the wire, for programs that use hands: packets in order, and hands that are held, relaxed and taken up again."""
