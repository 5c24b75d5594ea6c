"""Mocks made from recordings: an MCP server and a model that answer as the recorded ones did."""
