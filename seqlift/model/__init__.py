"""The user's model: loaded, captured as a graph, cut down to a target, placed on a device."""
