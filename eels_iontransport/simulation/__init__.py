"""A simulated HERMES with a known truth: specimen, spectra, camera, clock, and one microscope that owns them.

It shares no code with the measurement and the decomposition, so that those can be judged by what it makes.
"""
