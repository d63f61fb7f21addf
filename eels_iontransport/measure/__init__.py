"""One measurement per module: pure functions of spectra."""
