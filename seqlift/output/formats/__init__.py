"""Layouts of other tools, each written from a scores file: one file a format."""
