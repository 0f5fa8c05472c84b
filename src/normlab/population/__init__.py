"""Many seeds of one configuration, trained as one stack of networks in a single process."""
