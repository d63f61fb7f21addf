"""Acquisition: plans as data, the microscope as a small protocol, and the runner between them."""
