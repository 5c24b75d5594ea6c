"""The reference SSE server: the seed dialect and MCP 2024-11-05, on one port."""
