"""One MCP session per server, as pure machines: one file per dialect, one that leads them."""
