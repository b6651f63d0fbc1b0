"""Browser files about tracks: a UCSC hub, a WashU datahub, an igv.js session."""
