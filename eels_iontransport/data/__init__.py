"""What the rest of the package speaks in: spectra, regions, flags, units."""
