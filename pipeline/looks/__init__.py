"""Ways to look at a recording: as a text, as a page, beside another one, for what is wrong."""
