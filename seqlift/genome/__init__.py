"""Regions and genomes: strings and coordinates, no arrays and no torch."""
