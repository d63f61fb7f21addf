"""What a sceptic asks of a shift: each check a pure function on the spectra of the regions, and able to stay silent."""
