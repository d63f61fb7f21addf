"""The operator's panel: what it says (model, wording), how it looks (view), and what it drives (session, panel)."""
