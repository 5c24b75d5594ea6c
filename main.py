"""rxmcp."""
