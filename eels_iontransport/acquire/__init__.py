"""Acquisition: plans as data, the microscope as a small protocol, and the runner between them.

Where things are, from what is planned down to what is written:

    what to do       plan, step, places, plan_json, follow_ups; site (this microscope); strict (how both are read)
    may it be done   plan_check, preflight, estimate, disk, exposure
    doing it         runner -> run -> parked or synchronized -> port (the microscope); thread, orders, clock, home
    between rows     boundary, with beam_guard (watch), drift_tracker (drift), zero_tracker (zero_follow), disk_guard
    drift            drift -> shift -> registration, correlation; drift_settings; drift_reference (from run to run)
    telling of it    reporter, outcome, zero_check
    keeping it       writer -> journal (journal_files, syncing, claim) and an item, or memory; recovery
"""
