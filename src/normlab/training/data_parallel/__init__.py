"""Several processes that train one network, each on an equal part of every batch."""
