"""The commands of `placet audit`, one file each; `terminal` has what they print with."""
