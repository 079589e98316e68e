"""The pages that people see: home, start, session, centres."""
