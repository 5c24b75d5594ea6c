"""The prompts of a recording for the real servers and model again, and what they do compared."""
