"""The agent loop as a pure machine: its state, its turns, and the step that leads them."""
