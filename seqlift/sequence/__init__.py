"""Letters and numbers: one-hot DNA, its shuffles, and the references made from it."""
