"""Single measurements on spectra, one a file; each is a function of arrays and says what it is unsure of."""
