"""The commands: what is typed, what is printed. They decide nothing themselves."""
