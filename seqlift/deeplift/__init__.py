"""DeepLIFT on captured graphs; torch only, and nothing about genomes."""
