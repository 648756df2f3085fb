"""Two training processes on this machine, as torchrun starts them."""

# An address, not a name: a fresh machine may know neither `localhost` nor its own name. The system chooses the port.
TWO_PROCESSES = (
    *("-m", "torch.distributed.run", "--nproc-per-node", "2"),
    *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"),
)
