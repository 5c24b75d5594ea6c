"""What would have happened: a recording that is bent at an event, and goes on in virtual time."""
