"""Results in files: scores (HDF5), tracks (bigWig), the table of regions, the summary."""
