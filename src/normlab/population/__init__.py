"""Many seeds trained as one stack of networks in one process."""
