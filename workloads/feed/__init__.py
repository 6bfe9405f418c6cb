"""The commodity price feed: an HTTP API over real and marked synthetic series, with faults that can be switched on."""
